"""`jaxlaws data`: what goes into shards comes back out of them, and nothing half-made is ever taken for a data set."""

import gzip
import json
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from jaxlaws.cli import main
from jaxlaws.data import encode, manifest, prepare, shards, sources
from jaxlaws.data.config import DataConfig
from jaxlaws.data.meter import Meter
from jaxlaws.data.prepare import Question
from jaxlaws.data.tokens import open_data
from jaxlaws.errors import BadInput

ROOT = Path(__file__).resolve().parent.parent
TEXTS = [f"document {i}: " + "naïve words — ångström 物 " * (i % 7) + "\n" for i in range(60)]


@pytest.fixture
def jsonl(tmp_path):
    path = tmp_path / "texts.jsonl"
    path.write_text("\n".join(json.dumps({"text": text, "id": i}) for i, text in enumerate(TEXTS)) + "\n")
    return path


def stored(folder, split):
    """All tokens of a split, straight from the files."""
    made = manifest.find(folder)
    parts = [np.fromfile(folder / s.name, manifest.DTYPES[made.dtype]) for s in made.shards if s.split == split]
    return np.concatenate(parts) if parts else np.zeros(0, np.uint16)


def documents(tokens, eos):
    ends = np.flatnonzero(tokens == eos)
    assert ends[-1] == len(tokens) - 1
    return [part[:-1] for part in np.split(tokens, ends[:-1] + 1)]


def as_text(tokens):
    return bytes(tokens.astype(np.uint8)).decode()


def make(source, out, **values):
    return prepare.prepare(Question(str(source), **values), out)


def test_bytes_come_back(jsonl, tmp_path):
    made, fresh = make(jsonl, tmp_path / "out", val_fraction=0.1, shard_tokens=1000)
    assert fresh
    assert (made.vocab, made.eos, made.max_id, made.documents) == (257, 256, 256, 60)
    held = [text for i, text in enumerate(TEXTS) if i % 10 == 9]
    kept = [text for i, text in enumerate(TEXTS) if i % 10 != 9]
    assert [as_text(part) for part in documents(stored(tmp_path / "out", "train"), 256)] == kept
    assert [as_text(part) for part in documents(stored(tmp_path / "out", "val"), 256)] == held
    assert {s.tokens for s in made.shards[:-2] if s.split == "train"} == {1000}
    with Meter("", None, "") as meter:
        for shard, written in zip(manifest.shards(tmp_path / "out", None), made.shards, strict=True):
            about = shards.read_through(shard, meter)
            assert about["sha256"] == written.sha256
            assert about["max_id"] <= made.max_id


def test_what_was_made_is_what_a_run_reads(jsonl, tmp_path):
    make(jsonl, tmp_path / "out", val_fraction=0.1, shard_tokens=700)
    data = open_data(DataConfig("shards", str(tmp_path / "out"), seq_len=32, vocab=0, documents=True))
    assert data.eos == 256
    tokens = stored(tmp_path / "out", "train")
    rows = data.fetch(np.arange(data.train_sequences))
    np.testing.assert_array_equal(rows[:-1, :-1].ravel(), tokens[: 32 * (len(rows) - 1)])
    np.testing.assert_array_equal(rows[-1], tokens[-33:])
    np.testing.assert_array_equal(data.fetch(data.val_picks(3))[0], stored(tmp_path / "out", "val")[:33])
    with pytest.raises(BadInput, match="has token id 256"):
        open_data(DataConfig("shards", str(tmp_path / "out"), seq_len=32, vocab=256))


def test_every_kind_of_source_gives_the_same_documents(jsonl, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_PIECE", 100)
    folder = tmp_path / "files"
    (folder / ".git").mkdir(parents=True)
    (folder / ".git" / "config").write_bytes(b"\xff")
    for i, text in enumerate(TEXTS):
        (folder / f"{i:03}.txt").write_bytes(text.replace("\n", "\r\n").encode())
    packed = tmp_path / "packed"
    packed.mkdir()
    (packed / "a.jsonl.gz").write_bytes(gzip.compress(jsonl.read_bytes()))
    (packed / "b.txt.gz").write_bytes(gzip.compress(TEXTS[3].encode()))
    for source, expected in (
        (jsonl, TEXTS),
        (folder, [text.replace("\n", "\r\n") for text in TEXTS]),
        (packed, [*TEXTS, TEXTS[3]]),
    ):
        opened = sources.open_source(str(source), "text", "train", None)
        texts, parts, work = [], [], 0
        for piece in opened.pieces():
            parts.append(piece.text)
            work += piece.work
            if piece.ends:
                texts.append("".join(parts))
                parts = []
        assert texts == expected
        assert work == pytest.approx(opened.total)


def test_parquet(tmp_path):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table({"content": [*TEXTS, None]}), tmp_path / "a.parquet")
    made, _ = make(tmp_path / "a.parquet", tmp_path / "out", field="content")
    assert made.documents == 60
    assert [as_text(part) for part in documents(stored(tmp_path / "out", "train"), 256)] == TEXTS
    (tmp_path / "b.parquet").write_bytes(b"PAR1 no")
    for name, says in (
        ("a.parquet", "has no 'text', expected one of: content"),
        ("b.parquet", "is not a Parquet file"),
    ):
        with pytest.raises(BadInput, match=says):
            make(tmp_path / name, tmp_path / "other")


@pytest.mark.filterwarnings("ignore")  # of the package itself
def test_a_saved_hugging_face_data_set(jsonl, tmp_path):
    datasets = pytest.importorskip("datasets")
    data = datasets.load_dataset("json", data_files={"train": str(jsonl)}, cache_dir=str(tmp_path / "cache"))
    data["train"].save_to_disk(tmp_path / "one")
    data.save_to_disk(tmp_path / "splits")
    for name in ("one", "splits"):
        make(tmp_path / name, tmp_path / f"{name}_out")
        assert [as_text(part) for part in documents(stored(tmp_path / f"{name}_out", "train"), 256)] == TEXTS
    with pytest.raises(BadInput, match="cannot be loaded"):
        make(tmp_path / "splits", tmp_path / "none", split="dev")


def test_a_hugging_face_data_set_by_name_is_streamed(tmp_path, monkeypatch):
    """The package is a stand-in here: what is tested is what it is asked and that its rows arrive."""
    asked = {}

    class Rows(list):
        column_names, info = ("text",), SimpleNamespace(splits={"dev": SimpleNamespace(num_examples=60)}, version="1.0")

    def load_dataset(name, config, **options):
        asked.update(name=name, config=config, **options)
        if name == "a/absent":
            raise ConnectionError("no such host\nmore")
        return Rows({"text": text} for text in TEXTS)

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    monkeypatch.chdir(tmp_path)
    make("org/texts", "out", split="dev", config="en")
    assert asked == {"name": "org/texts", "config": "en", "split": "dev", "streaming": True}
    assert [as_text(part) for part in documents(stored(tmp_path / "out", "train"), 256)] == TEXTS
    with pytest.raises(BadInput, match=r"no such host\.$"):
        make("a/absent", "other")


def test_a_trained_tokenizer_comes_back_and_is_kept_beside(jsonl, tmp_path):
    pytest.importorskip("tokenizers")
    made, _ = make(jsonl, tmp_path / "out", train_tokenizer=300)
    assert made.vocab == 300
    assert made.dtype == "uint16"
    again = encode.open_tokenizer(str(tmp_path / "out" / "tokenizer.json"))
    assert (again.vocab, again.eos, again.about["sha256"]) == (300, made.eos, made.tokenizer["sha256"])
    parts = documents(stored(tmp_path / "out", "train"), made.eos)
    from tokenizers import Tokenizer

    kept = Tokenizer.from_file(str(tmp_path / "out" / "tokenizer.json"))
    assert [kept.decode(part.tolist()) for part in parts] == TEXTS
    assert made.tokens < 0.6 * sum(len(text.encode()) for text in TEXTS)
    make(jsonl, tmp_path / "file", tokenizer=str(tmp_path / "out" / "tokenizer.json"))
    np.testing.assert_array_equal(stored(tmp_path / "file", "train"), stored(tmp_path / "out", "train"))
    spoof = again.encode(["a<|endoftext|>b"])[0]
    assert made.eos not in spoof
    with pytest.raises(BadInput, match="has no token <nothing>"):
        encode.open_tokenizer(str(tmp_path / "out" / "tokenizer.json"), "<nothing>")


def test_tiktoken(tmp_path, jsonl, monkeypatch):
    """A small real encoding stands for those that tiktoken fetches."""
    tiktoken = pytest.importorskip("tiktoken")
    ranks = {bytes([i]): i for i in range(256)} | {b"do": 256, b"cu": 257}
    small = tiktoken.Encoding(
        "gpt2", pat_str=r"\S+|\s+", mergeable_ranks=ranks, special_tokens={"<|endoftext|>": 70_000}
    )
    monkeypatch.setattr(tiktoken, "get_encoding", lambda name: small)
    made, _ = make(jsonl, tmp_path / "out", tokenizer="gpt2")
    assert (made.vocab, made.eos, made.dtype) == (70_001, 70_000, "uint32")
    parts = documents(stored(tmp_path / "out", "train"), made.eos)
    assert [small.decode(part.tolist()) for part in parts] == TEXTS
    with pytest.raises(BadInput, match="unknown tokenizer 'gpt3'"):
        encode.open_tokenizer("gpt3")
    monkeypatch.setattr(tiktoken, "get_encoding", lambda name: (_ for _ in ()).throw(OSError("no net")))
    with pytest.raises(BadInput, match="cannot be loaded, tiktoken fetches it once: no net"):
        encode.open_tokenizer("gpt2")


def test_the_same_question_is_answered_once(jsonl, tmp_path):
    out = tmp_path / "out"
    first, fresh = make(jsonl, out)
    again, fresh_again = make(jsonl, out)
    assert (fresh, fresh_again, again) == (True, False, first)
    with pytest.raises(BadInput, match="made from something else or in another way: give another -o"):
        make(jsonl, out, val_fraction=0.1)
    jsonl.write_text(json.dumps({"text": "other"}))
    with pytest.raises(BadInput, match="made from something else"):
        make(jsonl, out)
    with pytest.raises(BadInput, match="holds something else"):
        make(jsonl, tmp_path)
    (tmp_path / "empty").mkdir()
    assert make(jsonl, tmp_path / "empty")[1]
    assert {path.name for path in tmp_path.iterdir()} == {"out", "empty", "texts.jsonl"}


STALLS = """
import sys, time
from jaxlaws.cli import main
from jaxlaws.data import prepare
write = prepare._Shards._end
def stall(self):
    write(self)
    if len(self._written) == 3:
        print("three", flush=True)
        time.sleep(60)
prepare._Shards._end = stall
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_command_leaves_nothing_and_can_be_repeated(jsonl, tmp_path, how):
    """The command stops in the middle of writing its shards, where a signal meets it."""
    out = tmp_path / "out"
    arguments = ["data", str(jsonl), "-o", str(out), "--shard-tokens", "500"]
    process = subprocess.Popen(
        [sys.executable, "-c", STALLS, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    )
    with process:
        assert process.stdout.readline() == "three\n"
        assert len(list(tmp_path.glob(".out.*.jaxlaws-draft/*.bin"))) == 3
        process.send_signal(how)
        assert process.wait(60) == (130 if how == signal.SIGINT else -9)
    assert not out.exists()
    assert any(tmp_path.glob(".out.*")) == (how == signal.SIGKILL)
    assert main(arguments) == 0
    assert [as_text(part) for part in documents(stored(out, "train"), 256)] == TEXTS
    assert {path.name for path in tmp_path.iterdir()} == {"out", "texts.jsonl"}


def test_two_commands_do_not_write_one_folder(jsonl, tmp_path):
    with prepare._draft(tmp_path / "out"), pytest.raises(BadInput, match="another command is making"):
        make(jsonl, tmp_path / "out")
