"""What `-o` and `--plot` do to files: whole or absent, never another file, never the loss of an answer."""

import json
import os
import stat
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from jaxlaws.bench.recommend import step_law_runs
from jaxlaws.cli import main
from jaxlaws.errors import BadInput, Failed
from jaxlaws.records import files
from jaxlaws.records.files import Output

SPEC = ["schedule", "cosine", "--steps", "50", "--peak-lr", "1e-3"]


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    """Name → (arguments that lack the value of -o, the ending of its file, a word of the answer)."""
    folder = tmp_path_factory.mktemp("source")
    step_law_runs(half_lrs=2, half_batches=2).table.to_csv(folder / "runs.csv", index=False)
    fit = ["fit", "step_law", str(folder / "runs.csv"), "--bootstrap", "20", "--force"]
    design = ["design", "schedule", "multi_power:25M", "--steps", "4000", "--peak-lr", "3e-4", "--knots", "3"]
    return {
        "fit": (fit, ".json", "lr_N"),
        "schedule": (SPEC, ".csv", "last step"),
        "design": ([*design, "--warmup", "100"], ".csv", "predicted loss"),
    }


@pytest.mark.parametrize("name", ["fit", "schedule", "design"])
def test_an_answer_that_cannot_be_saved_is_printed_in_full(name, commands, capfd):
    arguments, _, word = commands[name]
    assert main([*arguments, "-o", "/dev/full"]) == 1
    printed = capfd.readouterr()
    assert word in printed.out
    assert "written to" not in printed.out
    assert printed.err.startswith("jaxlaws: cannot write /dev/full (No space left on device)")
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize("name", ["fit", "schedule", "design"])
def test_a_target_that_cannot_be_written_is_met_before_the_work(name, commands, tmp_path, capsys):
    arguments, ending, _ = commands[name]
    (tmp_path / "file").touch()
    assert main([*arguments, "-o", str(tmp_path / "file" / f"x{ending}")]) == 1
    assert main([*arguments, "-o", str(tmp_path)]) == 2
    assert main([*arguments, "-o", ""]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 3


@pytest.mark.parametrize("name", ["fit", "schedule", "design"])
def test_devices_and_links_stay_what_they_are(name, commands, tmp_path, capfd):
    arguments, ending, word = commands[name]
    (tmp_path / "real").write_text("before")
    (tmp_path / "real").chmod(0o640)
    (tmp_path / f"link{ending}").symlink_to("real")
    (tmp_path / f"null{ending}").symlink_to(os.devnull)
    assert main([*arguments, "-o", str(tmp_path / f"link{ending}")]) == 0
    assert main([*arguments, "-o", str(tmp_path / f"null{ending}")]) == 0
    assert os.readlink(tmp_path / f"link{ending}") == "real"
    assert stat.S_IMODE((tmp_path / "real").stat().st_mode) == 0o640
    assert (tmp_path / "real").read_text() != "before"
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
    assert main([*arguments, "-o", "/dev/stdout"]) == 0
    printed = capfd.readouterr().out
    assert printed.index(word) < printed.rindex((tmp_path / "real").read_text()[:8])
    assert os.readlink("/dev/stdout") == "/proc/self/fd/1"
    assert sorted(os.listdir(tmp_path)) == sorted(["real", f"link{ending}", f"null{ending}"])


def test_a_pipe_is_written_through(tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe.csv")
    read = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe.csv").read_text()))
    reader.start()
    assert main([*SPEC, "-o", str(tmp_path / "pipe.csv")]) == 0
    reader.join()
    assert read[0].startswith("step,lr\n0,")
    assert stat.S_ISFIFO((tmp_path / "pipe.csv").stat().st_mode)


def test_a_pipe_that_nobody_reads_is_an_error(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(files, "_READER", 0.1)
    os.mkfifo(tmp_path / "pipe.csv")
    assert main([*SPEC, "-o", str(tmp_path / "pipe.csv")]) == 1
    assert "cannot write" in capsys.readouterr().err


def test_a_file_that_the_shell_holds_open_keeps_what_was_printed(tmp_path):
    with (tmp_path / "both.txt").open("w") as file:
        arguments = [sys.executable, "-m", "jaxlaws", *SPEC, "-o", "/dev/stdout"]
        assert subprocess.run(arguments, stdout=file, timeout=60).returncode == 0
    text = (tmp_path / "both.txt").read_text()
    assert text.index("last step") < text.index("step,lr\n0,") < text.index("written to")


@pytest.mark.parametrize(
    ("arguments", "made"),
    [
        (["-o", "new/deep/lr.csv", "--plot", "new/lr.PNG"], ["new/deep/lr.csv", "new/lr.PNG"]),
        (["-o", "lr.csv", "--plot", "lr.txt"], []),
        (["-o", "new/lr.csv", "--warmup", "51"], []),
        (["-o", "new/lr.txt"], []),
        (["-o", "a" * 256 + ".csv"], []),
        (["--plot", "", "-o", "lr.csv"], []),
    ],
)
def test_only_what_was_asked_for_is_made(arguments, made, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*SPEC, *arguments]) == (0 if made else 1 if "a" * 256 in arguments[1] else 2)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")) == made
    assert bool(made) or not os.listdir(tmp_path)


def test_several_designs_are_several_files(tmp_path, capsys):
    design = ["design", "schedule", "multi_power:25M", "--horizons", "2000,4000", "--peak-lr", "3e-4", "--knots", "2"]
    assert main([*design, "-o", str(tmp_path / "lr.npy"), "--plot", str(tmp_path / "lr.svg"), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert sorted(Path(name).name for name in answer["files"]) == ["lr-2000.npy", "lr-4000.npy", "lr.svg"]
    assert sorted(os.listdir(tmp_path)) == ["lr-2000.npy", "lr-4000.npy", "lr.svg"]


def test_an_answer_is_saved_whatever_ends_the_block(tmp_path):
    with suppress(BrokenPipeError), Output(tmp_path / "a.txt") as file:
        file.write("all of it")
        raise BrokenPipeError
    assert (tmp_path / "a.txt").read_text() == "all of it"


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failure_while_writing_leaves_the_old_file(failing, tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("before")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(Failed, match="No space left"), Output(tmp_path / "a.txt") as file:
        file.write("after")
    assert (tmp_path / "a.txt").read_text() == "before"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_folder_is_no_output(tmp_path):
    with pytest.raises(BadInput, match="is a directory"), Output(tmp_path):
        pass
