"""Batches are a pure function of the step, every window is read once, train and validation never overlap."""

import jax
import numpy as np
import pytest

from jaxlaws.config import RunConfig
from jaxlaws.data import corpus, language
from jaxlaws.data.config import DataConfig
from jaxlaws.data.tokens import open_data, permuted, windows
from jaxlaws.errors import BadInput
from jaxlaws.sweep.plan import lay_out, repeats


@pytest.fixture(scope="module")
def counted():
    """A stream that holds every number once, so that a token says where it came from."""
    return windows(np.arange(10_000, dtype=np.int32), DataConfig(seq_len=16, vocab=10_000, val_fraction=0.1))


def read(data, picks):
    return jax.jit(data.read)(data.store, picks)


@pytest.mark.parametrize("size", [1, 2, 3, 17, 64, 1000, 65_537])
def test_permuted_is_a_permutation_that_depends_on_its_key(size: int):
    one, two = (permuted(np.arange(size), size, key) for key in ((1, 0), (1, 1)))
    assert sorted(one) == list(range(size))
    if size > 16:
        assert (one != two).mean() > 0.8
        assert abs(np.corrcoef(np.arange(size), one)[0, 1]) < 0.5


def test_a_batch_does_not_depend_on_how_the_steps_are_cut(counted):
    whole = counted.picks(3, 0, 40, 5)
    parts = np.concatenate([counted.picks(3, 0, 7, 5), counted.picks(3, 7, 30, 5), counted.picks(3, 37, 3, 5)])
    np.testing.assert_array_equal(whole, parts)
    assert (counted.picks(4, 0, 40, 5) != whole).any()


def test_every_window_is_read_once_before_any_again(counted):
    first = counted.picks(0, 0, counted.train_sequences, 1).ravel()
    second = counted.picks(0, counted.train_sequences, counted.train_sequences, 1).ravel()
    assert sorted(first) == sorted(second) == [16 * i for i in range(counted.train_sequences)]
    assert (first != second).any()


def test_batch_size_does_not_change_the_order_of_the_data(counted):
    np.testing.assert_array_equal(counted.picks(0, 0, 20, 2).ravel(), counted.picks(0, 0, 8, 5).ravel())


def test_train_and_validation_never_overlap(counted):
    train = read(counted, counted.picks(0, 0, counted.train_sequences, 1).ravel())
    val = read(counted, counted.val_picks(30))
    assert train.shape[1] == val.shape[1] == 17
    assert not set(np.asarray(train).ravel()) & set(np.asarray(val).ravel())
    assert len(set(np.asarray(train).ravel())) > 0.85 * 10_000


def test_the_standard_library_is_real_text_and_has_a_stable_hash():
    data = open_data(DataConfig(seq_len=64))
    assert open_data(DataConfig(seq_len=64)) is data
    assert open_data(DataConfig(seq_len=32)).digest == data.digest
    text = bytes(np.asarray(read(data, data.picks(0, 0, 1, 50)[0]), np.uint8))
    assert text.decode(errors="replace").count(" ") > 200


def test_a_folder_is_its_files_in_order(tmp_path):
    (tmp_path / "b.txt").write_text("world")
    (tmp_path / "a.txt").write_text("hello ")
    assert bytes(corpus.user_text(tmp_path)) == b"hello world"


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (DataConfig(source="text"), "needs data.path"),
        (DataConfig(source="text", path="nowhere"), "does not exist"),
        (DataConfig(source="books"), "unknown data source 'books'"),
        (DataConfig(seq_len=0), "seq_len is 0"),
        (DataConfig(val_fraction=0.9), "val_fraction is 0.9"),
        (DataConfig(vocab=100), "raise data.vocab"),
        (DataConfig(source="language", vocab=1), "data.vocab is 1"),
    ],
)
def test_bad_data_gets_one_sentence(config: DataConfig, says: str):
    with pytest.raises(BadInput, match=says):
        open_data(config)


def test_empty_and_too_small_data_are_refused(tmp_path):
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "small.txt").write_text("too small")
    for name, says in (("empty.txt", "no text found"), ("small.txt", "too few")):
        with pytest.raises(BadInput, match=says):
            open_data(DataConfig(source="text", path=str(tmp_path / name)))


def test_the_language_has_the_entropy_that_it_states():
    """Reading the hidden ranks back with the grammar gives code lengths whose mean is H(p), at every position."""
    config = DataConfig(source="language", vocab=16, seq_len=64, zipf=1.3)
    data = open_data(config)
    tables = language.grammar(16, 1.3, 0)
    tokens = np.asarray(read(data, data.picks(0, 0, 1, 2000)[0]))
    inverse = np.argsort(tables.permutations, axis=1)
    p = np.diff(tables.cumulative, prepend=0.0)
    nats = np.empty((2000, 65))
    last = before = np.zeros(2000, int)
    for t in range(65):
        context = np.where(last % 2 == 0, last, 16 + last * 16 + before)
        nats[:, t] = -np.log(p[inverse[context, tokens[:, t]]])
        last, before = tokens[:, t], last
    assert data.entropy == pytest.approx(-np.sum(p * np.log(p)), rel=1e-5)
    error = nats.std() / np.sqrt(nats.size)
    assert abs(nats.mean() - data.entropy) < 4 * error
    halves = nats[:, :32].mean() - nats[:, 33:].mean()
    assert abs(halves) < 4 * error * 2


def test_language_train_and_validation_are_different_and_reproducible():
    data = open_data(DataConfig(source="language", vocab=16, seq_len=32))
    train = np.asarray(read(data, data.picks(0, 0, 1, 200)[0]))
    again = np.asarray(read(data, data.picks(0, 0, 4, 50).reshape(200, 2)))
    val = np.asarray(read(data, data.val_picks(200)))
    np.testing.assert_array_equal(train, again)
    assert not {tuple(row) for row in train} & {tuple(row) for row in val}


def test_data_on_the_device_is_fetched_by_its_picks(counted):
    picks = counted.picks(0, 0, 3, 2)
    np.testing.assert_array_equal(counted.fetch(picks), picks)
    assert counted.eos is None


def test_a_plan_says_which_runs_repeat_their_data(tmp_path):
    data = DataConfig(seq_len=64)
    has = open_data(data).train_sequences
    runs = [
        RunConfig(data=data, steps=has, batch_sequences=1),
        RunConfig(data=data, steps=has, batch_sequences=3),
        RunConfig(data=DataConfig("language", vocab=16, seq_len=64), steps=has, batch_sequences=3),
    ]
    planned = lay_out(runs, tmp_path, lambda config: "x")

    def sequences(config: DataConfig) -> int | None:
        return open_data(config).train_sequences

    assert repeats(planned, sequences) == ["1 of 3 runs read their training data more than once, up to 3 times."]
    assert not repeats([planned[0], planned[2]], sequences)
