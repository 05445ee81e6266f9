"""Token shards: read through memory maps as if they were one array, checked, and known by their content."""

import os
from itertools import pairwise

import numpy as np
import pytest

from jaxlaws.config import EvalConfig, RunConfig, check
from jaxlaws.data import corpus, manifest, shards
from jaxlaws.data.config import DataConfig, token_ids
from jaxlaws.data.tokens import open_data, windows
from jaxlaws.errors import BadInput
from jaxlaws.model.shape import ModelConfig
from jaxlaws.sweep.lanes import train_sweep
from jaxlaws.sweep.plan import plan


def write(folder, name, tokens, dtype="<u2", header=None):
    """A shard, raw or with the header of llm.c."""
    folder.mkdir(exist_ok=True)
    head = np.zeros(256, "<i4")
    if header:
        head[:3] = (*header, len(tokens))
    (folder / name).write_bytes((head.tobytes() if header else b"") + np.asarray(tokens, dtype).tobytes())


def config(folder, **values):
    return DataConfig(**{"source": "shards", "path": str(folder), "vocab": 65_536, "seq_len": 16, **values})


def read(data, picks):
    return np.asarray(data.read(data.store, data.fetch(picks)))


def test_shards_read_as_the_same_tokens_in_memory_do(tmp_path):
    """The oracle is the data set of one array, of a length at which its training part is whole windows."""
    n = next(n for n in range(5000, 6000) if len(corpus.split(np.arange(n), 0.25, 17)[0]) % 16 == 1)
    tokens = np.random.default_rng(0).integers(0, 60_000, n)
    for i, (a, b) in enumerate(pairwise([0, 7, 1200, 1201, 4000, n])):
        write(tmp_path, f"part_{i}.bin", tokens[a:b])
    ours = open_data(config(tmp_path, token_dtype="uint16", val_fraction=0.25))
    oracle = windows(tokens, config(tmp_path, val_fraction=0.25))
    assert ours.train_sequences == oracle.train_sequences
    for seed, steps in ((0, 70), (5, 200)):
        np.testing.assert_array_equal(
            read(ours, ours.picks(seed, 0, steps, 3).ravel()),
            oracle.read(oracle.store, oracle.picks(seed, 0, steps, 3).ravel()),
        )
    np.testing.assert_array_equal(read(ours, ours.val_picks(50)), oracle.read(oracle.store, oracle.val_picks(50)))


@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 3, 4), (0, 4)])
def test_fetch_keeps_any_leading_shape(tmp_path, shape):
    write(tmp_path, "a.bin", np.arange(5000))
    data = open_data(config(tmp_path, token_dtype="uint16"))
    picks = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    got = data.fetch(picks)
    assert got.shape == (*shape, 17)
    assert got.dtype == np.uint16
    np.testing.assert_array_equal(got.reshape(-1, 17), data.fetch(picks.ravel()))
    np.testing.assert_array_equal(data.fetch(picks[..., 1:3]), got[..., 1:3, :])


@pytest.mark.parametrize("named", [True, False])
def test_an_epoch_reads_every_token_and_another_epoch_in_another_order(tmp_path, named):
    rng = np.random.default_rng(1)
    ends = [0, *np.sort(rng.choice(np.arange(1, 9000), 6, replace=False)), 9000]
    for i, (a, b) in enumerate(pairwise(ends)):
        write(tmp_path, f"x{i}.bin", np.arange(a, b))
    if named:
        write(tmp_path, "x_val.bin", np.arange(10_000, 11_000))
    data = open_data(config(tmp_path, token_dtype="uint16", val_fraction=0.2))
    epochs = [data.picks(7, i * data.train_sequences, data.train_sequences, 1).ravel() for i in range(2)]
    assert all(sorted(epoch) == list(range(data.train_sequences)) for epoch in epochs)
    assert (epochs[0] != epochs[1]).mean() > 0.9
    seen = read(data, epochs[0])
    train, targets = set(seen.ravel()), seen[:, 1:].ravel()
    held = set(read(data, data.val_picks(20)).ravel())
    assert not train & held
    if named:
        assert train == set(range(9000))
        assert len(targets) - len(set(targets)) < 16


def test_every_document_is_visited(tmp_path):
    """Documents of 1 to 40 tokens, each of its own id, over shards that cut them: all ids are seen in one epoch."""
    rng = np.random.default_rng(2)
    text = np.concatenate([[*[i] * rng.integers(1, 40), 9999] for i in range(1000)])
    for i, part in enumerate(np.array_split(text, 7)):
        write(tmp_path, f"s{i}.bin", part)
    write(tmp_path, "val.bin", np.full(100, 5000))
    data = open_data(config(tmp_path, token_dtype="uint16", documents=True, eos=9999))
    assert data.eos == 9999
    batches = data.picks(0, 0, -(-data.train_sequences // 8), 8)
    assert set(read(data, batches).ravel()) == {*range(1000), 9999}


@pytest.mark.parametrize(("header", "dtype", "high"), [((20240520, 1), "<u2", 50_000), ((20240801, 7), "<u4", 120_000)])
def test_the_headers_of_llm_c(tmp_path, header, dtype, high):
    tokens = np.linspace(0, high, 3000).astype(int)
    write(tmp_path, "fineweb_train_000001.bin", tokens, dtype, header)
    write(tmp_path, "fineweb_val_000000.bin", tokens[:100], dtype, header)
    data = open_data(config(tmp_path, vocab=high + 1))
    assert set(read(data, np.arange(data.train_sequences)).ravel()) == set(tokens)
    np.testing.assert_array_equal(read(data, data.val_picks(1))[0], tokens[:17])
    with pytest.raises(BadInput, match=f"has token id {high}, data.vocab is {high}"):
        open_data(config(tmp_path, vocab=high))


def test_the_digest_is_of_the_content_and_read_once(tmp_path, monkeypatch):
    write(tmp_path / "a", "x.bin", np.arange(3000))
    write(tmp_path / "b", "other.bin", np.arange(3000))
    write(tmp_path / "c", "x.bin", np.arange(1, 3001))
    one, two, three = (shards.open_tokens(config(tmp_path / name, token_dtype="uint16")).digest for name in "abc")
    assert one == two != three
    times = []
    monkeypatch.setattr(shards, "read_through", lambda shard, meter: times.append(shard) or {})
    assert shards.open_tokens(config(tmp_path / "a", token_dtype="uint16")).digest == one
    assert not times
    monkeypatch.undo()
    write(tmp_path / "a", "x.bin", np.arange(2, 3002))
    os.utime(tmp_path / "a" / "x.bin", ns=(1, 1))
    assert shards.open_tokens(config(tmp_path / "a", token_dtype="uint16")).digest not in (one, three)


def header_of(folder, **changes):
    write(folder, "a.bin", np.arange(3000), "<u2", (20240520, 1))
    raw = bytearray((folder / "a.bin").read_bytes())
    for index, value in changes.items():
        raw[4 * int(index[1:]) : 4 * int(index[1:]) + 4] = np.array([value], "<i4").tobytes()
    (folder / "a.bin").write_bytes(raw)


@pytest.mark.parametrize(
    ("spoil", "values", "says"),
    [
        (lambda d: None, {}, "is no folder"),
        (lambda d: d.mkdir(), {}, "holds no .bin shards"),
        (lambda d: write(d, "a.bin", np.arange(3000)), {}, "give data.token_dtype"),
        (lambda d: write(d, "a.bin", np.arange(3000)), {"token_dtype": "int16"}, "unknown data.token_dtype 'int16'"),
        (lambda d: write(d, "a.bin", range(251), "u1"), {"token_dtype": "uint16"}, "a.bin is corrupt: 251 bytes"),
        (lambda d: write(d, "a.bin", []), {"token_dtype": "uint16"}, "a.bin is empty"),
        (lambda d: write(d, "a.bin", np.arange(20)), {"token_dtype": "uint16"}, "has 20 tokens, too few"),
        (lambda d: write(d, "a.bin", np.arange(3000)), {"token_dtype": "uint16", "vocab": 2999}, "token id 2999"),
        (lambda d: write(d, "val.bin", np.arange(3000)), {"token_dtype": "uint16"}, "nothing to train on"),
        (lambda d: header_of(d, i2=2999), {}, "says 2999 tokens, it holds 3000"),
        (lambda d: header_of(d, i1=3), {}, "has version 3 of its header"),
        (lambda d: header_of(d), {"token_dtype": "uint32"}, "says uint16 in its header"),
        (lambda d: header_of(d), {"vocab": 0}, "give data.vocab"),
        (lambda d: header_of(d), {"documents": True}, "give data.eos"),
        (lambda d: header_of(d), {"val_fraction": 0.7}, "val_fraction is 0.7"),
        (lambda d: header_of(d) or write(d, "b.bin", [1], "<u4", (20240801, 7)), {}, "mix uint16 and uint32"),
        (lambda d: header_of(d) or write(d, "val.bin", [1], "<u2", (20240520, 1)), {}, "validation shards hold 1"),
        (lambda d: header_of(d) or (d / manifest.NAME).write_text("{}"), {}, "is not a description of token shards"),
    ],
)
def test_bad_shards_get_one_sentence(tmp_path, spoil, values, says):
    spoil(tmp_path / "d")
    with pytest.raises(BadInput, match=says):
        open_data(config(tmp_path / "d", **values))


def test_what_changes_after_it_was_opened_is_noticed(tmp_path):
    write(tmp_path, "a.bin", np.arange(3000))
    data = open_data(config(tmp_path, token_dtype="uint16", vocab=3000))
    raw = np.memmap(tmp_path / "a.bin", "<u2", "r+")
    raw[40] = 3001
    raw.flush()
    with pytest.raises(BadInput, match=r"a\.bin at token 40 has token id 3001"):
        data.fetch(np.arange(5))


def test_the_model_must_hold_every_token_id(tmp_path):
    described = manifest.Manifest("uint16", 3000, 2999, 2999, 1, 0, {}, {}, ())
    described.save(tmp_path)
    assert token_ids(config(tmp_path, vocab=0)) == 3000
    run = RunConfig(ModelConfig(vocab=256), config(tmp_path, vocab=0), steps=1, batch_sequences=1)
    with pytest.raises(BadInput, match=r"the data has 3000 token ids: set model.vocab=3000"):
        check(run)


def test_documents_need_an_end():
    with pytest.raises(BadInput, match="marks no ends of documents"):
        open_data(DataConfig(documents=True))


@pytest.mark.slow
def test_a_run_on_shards_is_the_run_on_the_same_text(tmp_path):
    n = next(n for n in range(4000, 5000) if len(corpus.split(np.arange(n), 0.1, 17)[0]) % 16 == 1)
    text = np.random.default_rng(0).integers(97, 123, n).astype(np.uint8)
    (tmp_path / "a.txt").write_bytes(text.tobytes())
    for i, part in enumerate(np.array_split(text, 3)):
        write(tmp_path / "shards", f"{i}.bin", part)
    places = {"text": tmp_path / "a.txt", "shards": tmp_path / "shards"}
    common = {"seq_len": 16, "val_fraction": 0.1}
    runs = [
        RunConfig(
            ModelConfig(width=16, depth=1, heads=2, mlp_width=24, vocab=256),
            DataConfig(name, str(path), token_dtype="uint16" if name == "shards" else None, **common),
            eval=EvalConfig(points=2, sequences=16),
            steps=90,
            batch_sequences=4,
        )
        for name, path in places.items()
    ]
    planned = plan(runs, tmp_path / "runs", lambda data: open_data(data).digest)
    assert train_sweep(planned).trained
    one, two = (item.directory.record() for item in planned)
    assert one["status"] == two["status"] == "ok"
    assert (one["val_loss_nats"], one["train_loss_nats"]) == (two["val_loss_nats"], two["train_loss_nats"])
