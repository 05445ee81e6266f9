"""`jaxlaws data` with sources and outputs as they are found: nothing lost for one bad row, nothing foreign touched."""

import errno
import json
import os

import numpy as np
import pytest

from jaxlaws.cli import main
from jaxlaws.data import prepare, sources
from jaxlaws.data.config import DataConfig
from jaxlaws.data.shards import open_tokens
from jaxlaws.errors import BadInput

GOOD = [json.dumps({"text": f"document {i}"}).encode() for i in range(4)]


def answer(capsys, *arguments) -> tuple[int, dict, str]:
    """(exit code, the JSON on stdout, stderr) of `jaxlaws data`."""
    code = main(["data", *map(str, arguments), "--json"])
    printed = capsys.readouterr()
    return code, json.loads(printed.out) if printed.out else {}, printed.err


def texts(folder) -> list[str]:
    tokens = np.concatenate([np.fromfile(path, "<u2") for path in sorted(folder.glob("*.bin"))])
    ends = np.flatnonzero(tokens == 256)
    return [bytes(part[part < 256].astype(np.uint8)).decode() for part in np.split(tokens, ends + 1)[:-1]]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (b'{"text": ', "rows.jsonl:3 is not a JSON object"),
        (b'["text"]', "rows.jsonl:3 has no 'text', expected one of: nothing"),
        (b'"text"', "rows.jsonl:3 has no 'text'"),
        (b'{"body": "a", "\\u001b[31m": 1}', "rows.jsonl:3 has no 'text', expected one of: body, \\u001b[31m"),
        (b'{"text": 3}', "rows.jsonl:3: 'text' is int, expected text"),
        (b'{"text": ["a"]}', "rows.jsonl:3: 'text' is list, expected text"),
        (b'{"text": "\xff\xfe"}', "rows.jsonl:3 is not a JSON object"),
        (b'{"text": ' + b"[" * 100_000, "rows.jsonl:3 is not a JSON object"),
        (b'{"text": ' + b"9" * 5_000 + b"}", "rows.jsonl:3 is not a JSON object"),
        (b"\x00\x00", "rows.jsonl:3 is not a JSON object"),
    ],
)
def test_a_bad_row_is_left_out_and_said_and_the_others_are_kept(tmp_path, capsys, row, says):
    source, out = tmp_path / "rows.jsonl", tmp_path / "out"
    source.write_bytes(b"\n".join([*GOOD[:2], row, *GOOD[2:]]) + b"\n")
    for made in (True, False):
        code, told, err = answer(capsys, source, "-o", out)
        assert (code, told["made"], told["documents"]) == (0, made, 4)
        (warning,) = told["warnings"]
        assert warning.startswith("1 of 5 documents were left out. ")
        assert says in warning
        assert not err
    assert texts(out) == [f"document {i}" for i in range(4)]
    assert main(["data", str(source), "-o", str(out)]) == 0
    assert "warning: 1 of 5 documents were left out" in capsys.readouterr().err


def test_half_a_pair_is_replaced_and_said(tmp_path, capsys):
    source, out = tmp_path / "rows.jsonl", tmp_path / "out"
    source.write_bytes(b'{"text": "a\\ud800b"}\n{"text": "\\ud83d\\ude00\\u0000"}\n')
    code, told, _ = answer(capsys, source, "-o", out)
    assert code == 0
    assert texts(out) == ["a\ufffdb", "\U0001f600\0"]
    (warning,) = told["warnings"]
    assert warning.startswith("1 documents hold halves of UTF-16 pairs")
    assert warning.endswith("rows.jsonl:1.")


def test_where_most_rows_cannot_be_read_it_is_noticed_before_the_end(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sources, "_ENOUGH", 10)
    source = tmp_path / "rows.jsonl"
    source.write_bytes(b'{"body": "a"}\n' * 1000)
    code, _, err = answer(capsys, source, "-o", tmp_path / "out")
    assert code == 2
    assert "rows.jsonl:1 has no 'text', expected one of: body; choose with --field. The same holds for 9 others." in err
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


def test_a_file_of_a_folder_that_is_no_text_is_left_out(tmp_path, capsys, monkeypatch):
    folder = tmp_path / "files"
    folder.mkdir()
    for i in range(5):
        (folder / f"{i}.txt").write_text(f"text {i}")
    (folder / "a.txt").write_bytes(b"x" * 3_000_000 + b"\xff")
    (folder / "b.jsonl.gz").write_bytes(b"\x1f\x8b no")
    (folder / "loop").symlink_to(folder)
    (folder / "nowhere").symlink_to(folder / "absent")
    os.mkfifo(folder / "pipe")
    code, told, _ = answer(capsys, folder, "-o", tmp_path / "out")
    assert (code, told["documents"]) == (0, 5)
    assert texts(tmp_path / "out") == [f"text {i}" for i in range(5)]
    assert "2 of 7 documents were left out" in told["warnings"][0]
    assert "a.txt is not UTF-8 text" in told["warnings"][0]
    assert "b.jsonl.gz cannot be read after line 0" in told["warnings"][0]


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("pipe", "is neither a file nor a folder"),
        ("loop", "does not exist|needs the package datasets|cannot be loaded"),
        ("empty.txt", "holds no text"),
        ("empty.jsonl", "holds no text"),
        ("n" * 300, "cannot be read"),
        ("nul\0", "does not exist"),
        (".", "is inside the source"),
    ],
)
def test_sources_that_hold_nothing(tmp_path, capsys, monkeypatch, source, says):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    os.symlink("loop", "loop")
    for name in ("empty.txt", "empty.jsonl"):
        (tmp_path / name).touch()
    with pytest.raises(BadInput, match=says):
        prepare.prepare(prepare.Question(source), "out")
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("out", ["", "nul\0", "file", "full"])
def test_outputs_that_cannot_be_are_refused_and_left_alone(tmp_path, monkeypatch, capsys, out):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    code, _, err = answer(capsys, "a.txt", "-o", out)
    assert code == 2
    assert err.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"a.txt", "file", "full"}
    assert (tmp_path / "full" / "mine").read_text() == (tmp_path / "file").read_text() == "mine"


def test_what_a_user_keeps_beside_is_never_touched(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("text")
    names = [".out.partial", ".out.lock", ".out"]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine").write_text("mine")
    with prepare._draft(tmp_path / "out") as draft:
        name = draft.name
    assert not draft.exists()
    draft.mkdir()
    (draft / "train_00000.bin").write_bytes(b"left by a kill")
    (draft / "mine").write_text("mine")
    code, _, err = answer(capsys, tmp_path / "a.txt", "-o", tmp_path / "out")
    assert code == 2
    assert f"{name}' holds mine, which is no draft's: move it away" in err
    assert (draft / "train_00000.bin").exists()
    (draft / "mine").unlink()
    assert answer(capsys, tmp_path / "a.txt", "-o", tmp_path / "out")[0] == 0
    assert not draft.exists()
    assert all((tmp_path / name / "mine").read_text() == "mine" for name in names)


@pytest.mark.parametrize("name", ["x" * 250, "ü" * 120, "[a](b) 'c'"])
def test_any_name_that_a_folder_can_have_serves(tmp_path, capsys, name):
    (tmp_path / "a.txt").write_text("text")
    assert answer(capsys, tmp_path / "a.txt", "-o", tmp_path / name)[0] == 0
    assert texts(tmp_path / name) == ["text"]


def test_a_link_to_a_folder_is_followed(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert answer(capsys, tmp_path / "a.txt", "-o", tmp_path / "link")[0] == 0
    assert texts(tmp_path / "real") == ["text"]
    assert (tmp_path / "link").is_symlink()


def test_a_full_disk_is_said_and_frees_what_it_took(tmp_path, capsys, monkeypatch):
    (tmp_path / "rows.jsonl").write_bytes(b"\n".join(GOOD))
    end, count = prepare._Shards._end, 0

    def full(self):
        nonlocal count
        count += 1
        if count == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        end(self)

    monkeypatch.setattr(prepare._Shards, "_end", full)
    code, _, err = answer(capsys, tmp_path / "rows.jsonl", "-o", tmp_path / "out", "--shard-tokens", "5")
    assert code == 1
    assert "(No space left on device): nothing of it was kept" in err
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


@pytest.mark.parametrize("where", [0, 7, -1])
def test_a_flipped_bit_in_a_shard_is_refused_and_found_by_check(tmp_path, capsys, where):
    (tmp_path / "a.txt").write_text("text " * 400)
    out = tmp_path / "out"
    assert answer(capsys, tmp_path / "a.txt", "-o", out, "--shard-tokens", "500")[0] == 0
    config = DataConfig("shards", str(out), seq_len=16, vocab=0)
    digest = open_tokens(config).digest
    code, told, _ = answer(capsys, "--check", out)
    assert (code, told["shards"]) == (0, 5)
    shard = sorted(out.glob("*.bin"))[2]
    content = bytearray(shard.read_bytes())
    content[where] ^= 1
    stat = shard.stat()
    shard.write_bytes(content)
    with pytest.raises(BadInput, match=rf"{shard.name} is damaged: its sha256 is"):
        open_tokens(config)
    os.utime(shard, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # rot on the disk leaves the time as it was
    code, _, err = answer(capsys, "--check", out)
    assert code == 2
    assert f"{shard.name} is damaged" in err
    content[where] ^= 1
    shard.write_bytes(content)
    assert open_tokens(config).digest == digest
    (out / ".tokens-seen.json").write_text("[1]")
    assert open_tokens(config).digest == digest


@pytest.mark.parametrize(
    "change",
    [
        lambda about: about["shards"][0].update(tokens=10**14),
        lambda about: about["shards"][0].update(name="../a.txt"),
        lambda about: about.update(dtype="int8"),
        lambda about: about.update(max_id="a"),
        lambda about: about.update(shards=None),
        lambda about: about.pop("eos"),
    ],
)
def test_a_description_that_is_none_is_refused(tmp_path, capsys, change):
    (tmp_path / "a.txt").write_text("text " * 400)
    out = tmp_path / "out"
    assert answer(capsys, tmp_path / "a.txt", "-o", out)[0] == 0
    about = json.loads((out / "tokens.json").read_text())
    change(about)
    (out / "tokens.json").write_text(json.dumps(about))
    with pytest.raises(BadInput, match="is not a description of token shards"):
        open_tokens(DataConfig("shards", str(out), seq_len=16, vocab=0))
