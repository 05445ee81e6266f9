"""`jaxlaws data` with what it cannot use: exit code 2, one sentence, and nothing left behind."""

import sys

import pytest

from jaxlaws.cli import main


@pytest.mark.parametrize(
    ("content", "options", "says"),
    [
        ('{"text": "a"}\n{"text": \n', [], "texts.jsonl:2 is not a JSON object"),
        ('{"body": "a"}\n', [], "has no 'text', expected one of: body; choose with --field"),
        ('{"text": 3}\n', [], "'text' is int, expected text"),
        ("[1]\n", [], "expected one of: nothing"),
        ("", [], "holds no text"),
        ('{"text": ""}\n{"text": null}\n', [], "holds no text"),
        ('{"text": "a"}\n', ["--val-fraction", "0.1"], "has 1 documents, none of them the 10th"),
        ('{"text": "a"}\n', ["--val-fraction", "0.7"], "expected a share from 0 to 0.5"),
        ('{"text": "a"}\n', ["--shard-tokens", "0"], "expected at least 1"),
        ('{"text": "a"}\n', ["--tokenizer", "absent.json"], "'absent.json' does not exist"),
        ('{"text": "a"}\n', ["--train-tokenizer", "100"], "expected at least 257"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(tmp_path, capsys, content, options, says):
    (tmp_path / "texts.jsonl").write_text(content)
    out = tmp_path / "out"
    assert main(["data", str(tmp_path / "texts.jsonl"), "-o", str(out), *options]) == 2
    printed = capsys.readouterr()
    assert says in printed.err
    assert printed.err.count("\n") == 1
    assert not printed.out
    assert [path.name for path in tmp_path.iterdir()] == ["texts.jsonl"]


def test_paths_and_packages_that_are_missing(tmp_path, monkeypatch, capsys):
    out = ["-o", str(tmp_path / "out")]
    assert main(["data", str(tmp_path / "absent.txt"), *out]) == 2
    assert "does not exist, expected a file, a folder or the name" in capsys.readouterr().err
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00")
    assert main(["data", str(tmp_path / "a.txt"), *out]) == 2
    assert "a.txt is not UTF-8 text" in capsys.readouterr().err
    (tmp_path / "a.txt").write_text("a text")
    (tmp_path / "t.json").write_text("{}")
    (tmp_path / "a.parquet").write_bytes(b"")
    for package in ("tokenizers", "tiktoken", "pyarrow", "datasets"):
        for module in [name for name in sys.modules if name.split(".")[0] == package]:
            monkeypatch.delitem(sys.modules, module)
        monkeypatch.setitem(sys.modules, package, None)
    text = str(tmp_path / "a.txt")
    for arguments, package in (
        ([text, "--tokenizer", "gpt2"], "tiktoken"),
        ([text, "--tokenizer", str(tmp_path / "t.json")], "tokenizers"),
        ([text, "--train-tokenizer", "300"], "tokenizers"),
        ([str(tmp_path / "a.parquet")], "pyarrow"),
        (["org/name"], "datasets"),
    ):
        assert main(["data", *arguments, *out]) == 2
        assert f"needs the package {package}: pip install 'jaxlaws[data]'" in capsys.readouterr().err
