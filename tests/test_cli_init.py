"""`jaxlaws init` writes configs that run as they are, over nothing that is there."""

import shlex

import pytest

from jaxlaws.cli import main
from jaxlaws.cli.init import STARTER, commands


@pytest.fixture
def started(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["init", "my lab"]) == 0
    return capsys.readouterr().out


def test_every_command_that_it_prints_runs(started, monkeypatch, capsys):
    change, *printed = [line for line in started.splitlines() if line.startswith(("cd ", "jaxlaws "))]
    assert printed == commands()
    assert len(printed) >= 3
    monkeypatch.chdir(shlex.split(change)[1])
    for command in printed:
        assert main(shlex.split(command)[1:]) == 0, capsys.readouterr().err
    assert capsys.readouterr().out.count("to train in") == len(printed)


@pytest.mark.slow
def test_what_it_writes_trains(started, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path / "my lab")
    tiny = ["tokens=4k", "data.seq_len=16", "eval.sequences=4", "data=language", "data.vocab=16"]
    assert main(["train", "--config-dir", "conf", "+experiment=first", *tiny]) == 0
    assert "wsd" in capsys.readouterr().out


def test_nothing_is_written_over(started, tmp_path, capsys):
    (tmp_path / "other" / "conf" / "model").mkdir(parents=True)
    kept = tmp_path / "other" / "conf" / "model" / "mine.yaml"
    kept.write_text("width: 64")
    for folder in ("my lab", "other"):
        assert main(["init", folder]) == 2
        assert "is there and nothing is written over it" in capsys.readouterr().err
    assert [path for path in (tmp_path / "other").rglob("*") if path.is_file()] == [kept]
    assert main(["init", "other/conf/model/mine.yaml/x"]) == 2
    assert "is not a directory" in capsys.readouterr().err


def test_every_file_is_explained(started, tmp_path):
    for path in (tmp_path / "my lab").rglob("*.yaml"):
        assert path.read_text() == (STARTER / path.relative_to(tmp_path / "my lab")).read_text()
        assert sum("#" in line for line in path.read_text().splitlines()) >= 3, path
