"""The last line of defence: one sentence and an exit code for what a command raises, and nothing raw on a terminal."""

import errno
import io
import os
import subprocess
import sys

import pytest

from jaxlaws import cli, text
from jaxlaws.cli import main
from jaxlaws.cli.screen import Screen
from jaxlaws.errors import BadInput, Failed, Untrusted

SPEC = ["schedule", "cosine", "--steps", "50", "--peak-lr", "1e-3"]


class Resource(RuntimeError):
    """As XLA's runtime raises it."""


@pytest.fixture
def raising(monkeypatch, tmp_path):
    """`raising(error, *arguments)`: the exit code of a command that raises an error."""
    monkeypatch.setenv("JAXLAWS_CACHE", str(tmp_path / "cache"))

    def call(error, *arguments):
        def command(_):
            raise error

        monkeypatch.setattr(cli, "_command", command)
        return main(["fit", *arguments])

    return call


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (BadInput("no"), 2, "no"),
        (Untrusted("no"), 3, "no"),
        (Failed("no"), 1, "no"),
        (BadInput("a\nb\x1b[31m\u202e"), 2, "a b\\u001b[31m\\u202e"),
        (BadInput("x" * 10**6), 2, "x … x"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "in/absent.csv"), 2, "cannot read in/absent.csv"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "in/a/b"), 2, "cannot read in/a/b (Not a directory)"),
        (OSError(errno.ENOSPC, "No space left on device", "in/x"), 1, "in/x (No space left on device)"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "No space left on device"),
        (PermissionError(errno.EACCES, "Permission denied", "/else/where"), 1, "/else/where (Permission denied)"),
        (MemoryError(), 1, "memory ran out"),
        (MemoryError("Unable to allocate 7.28 PiB for an array with shape (9,)"), 1, "memory ran out at 7.28 PiB"),
        (Resource("RESOURCE_EXHAUSTED: Out of memory allocating 12345 bytes."), 1, "memory ran out at 12345 bytes"),
        (RecursionError("maximum recursion depth exceeded"), 2, "nested too deeply"),
        (SystemExit(0), 1, "SystemExit: 0"),
        (SystemExit("bye"), 1, "SystemExit: bye"),
        (KeyboardInterrupt(), 130, "interrupted."),
        (TypeError("what\nis this"), 1, "this is a bug of jaxlaws (TypeError: what is this)"),
        (GeneratorExit(), 1, "GeneratorExit"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_every_error_is_one_sentence_and_a_code(raising, capsys, error, code, words):
    assert raising(error, "in") == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("jaxlaws: ")
    assert printed.err.count("\n") == 1
    assert len(printed.err) < 2100
    assert words in printed.err


def test_the_traceback_of_a_bug_is_kept_once_and_named(raising, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert {raising(TypeError("some bug")), raising(TypeError("some bug"))} == {1}
    (kept,) = (tmp_path / "cache" / "errors").iterdir()
    assert "TypeError: some bug" in kept.read_text()
    assert f"its traceback is in {kept}" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["cache"]


def test_a_traceback_that_cannot_be_kept_follows_its_sentence(raising, tmp_path, capsys, monkeypatch):
    (tmp_path / "cache").touch()
    assert raising(TypeError("\x1bsome bug")) == 1
    told = capsys.readouterr().err
    assert told.startswith("jaxlaws: this is a bug of jaxlaws (TypeError: \\u001bsome bug); its traceback follows")
    assert "in command" in told
    assert "\x1b" not in told


@pytest.mark.parametrize(
    ("command", "code", "err"),
    [
        (f"{sys.executable} -m jaxlaws laws | head -1", 0, ""),
        (f"{sys.executable} -m jaxlaws laws | true", 0, ""),
        (f"{sys.executable} -m jaxlaws laws > /dev/full", 1, "jaxlaws: cannot write to standard output"),
        (f"{sys.executable} -m jaxlaws laws >&-", 0, ""),
        (f"{sys.executable} -m jaxlaws nothing 2>&-", 2, ""),
        (f"PYTHONIOENCODING=ascii {sys.executable} -m jaxlaws {' '.join(SPEC)}", 0, ""),
        (f"LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 {sys.executable} -m jaxlaws laws", 0, ""),
        (
            f"PYTHONIOENCODING=ascii {sys.executable} -m jaxlaws fit opl $(printf '\\377\\033')",
            2,
            "jaxlaws: ",
        ),
    ],
)
def test_streams_that_fail_or_lack_characters(command, code, err):
    ended = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, timeout=120)
    assert ended.returncode == code
    assert ended.stderr.startswith(err)
    assert ended.stderr.count("\n") == bool(err)
    assert "\x1b" not in ended.stderr


def test_what_is_printed_holds_no_control_characters(monkeypatch, capsys):
    def command(_):
        print("a\x1b[2J\x9b\u202e\r\tb\nc")
        Screen().print("[red]d[/x] :smile: \x1b]0;x\x07")
        return 0

    monkeypatch.setattr(cli, "_command", command)
    assert main([]) == 0
    assert capsys.readouterr().out == ("a\\u001b[2J\\u009b\\u202e\\r\tb\nc\n[red]d[/x] :smile: \\u001b]0;x\\u0007\n")


def test_a_table_shows_markup_as_text():
    from rich.table import Table

    file = io.StringIO()
    screen = Screen()
    screen.file = file
    table = Table("[red]", title="[/x]")
    table.add_row("[b]\x1b")
    screen.print(table)
    assert all(part in file.getvalue() for part in ("[red]", "[/x]", "[b]\\u001b"))


@pytest.mark.parametrize("value", ["=1+1", "+cmd|x", "-2+3", "@sum", "\tx", "\r=1", " =1", "-", "=-1"])
def test_text_like_a_formula_is_quoted_in_a_spreadsheet(value):
    assert text.spreadsheet_safe(value) == f"'{value}"


@pytest.mark.parametrize("value", ["-1.5", "+2e3", "1.5", "plain", "", 3, -1.5, None, "wsd(floor=0)", "-inf"])
def test_numbers_and_plain_text_stay_in_a_spreadsheet(value):
    assert text.spreadsheet_safe(value) is value


@pytest.mark.parametrize("word", ["$(id)", "a b", "a'b", "`id`", "a\nb", "\x1b[2J", "a;b", "*", "~", ""])
def test_a_quoted_word_is_one_word_for_a_shell(word):
    told = subprocess.run(["bash", "-c", f"printf %s {text.quoted(word)}"], capture_output=True, text=True, check=True)
    assert told.stdout == text.printable(word)


def test_an_interrupt_exits_130_wherever_it_is_met():
    """In code from a string the interpreter itself would end by SIGINT, whoever catches the interrupt."""
    code = "from jaxlaws import cli; cli._command = lambda argv: exec('raise KeyboardInterrupt'); cli.entry()"
    ended = subprocess.run([sys.executable, "-c", code, "fit"], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (130, "jaxlaws: interrupted.\n")
