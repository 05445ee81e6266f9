"""What holds for every command line, whatever it is given: calls `jaxlaws.cli.main` in this process and looks."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxlaws.cli import main

#: Seconds of computing after which a command counts as hanging, and of waiting.
LIMIT, WAIT = 10, 100
CODES = (0, 1, 2, 3, 130)
_NO_NUMBER = re.compile(r"(?<![\w.\-/'\"])[-+]?(?:nan|inf|infinity)(?![\w'\"./-])", re.IGNORECASE)
#: Options whose value is a file that the command may write.
OUTPUTS = ("-o", "--out", "--output", "--plot")


class Hang(BaseException):
    """The command took longer than `LIMIT` or `WAIT`."""


@dataclass(frozen=True)
class Ended:
    """What a command left: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


def call(argv: Sequence[str], limit: float = LIMIT, wait: float = WAIT) -> Ended:
    """Run a command in this process, with so many seconds of computing and of waiting."""

    def stop(*_: object) -> None:
        raise Hang

    timers = {signal.SIGPROF: (signal.ITIMER_PROF, limit), signal.SIGALRM: (signal.ITIMER_REAL, wait)}
    before = {name: signal.signal(name, stop) for name in timers}
    for timer, seconds in timers.values():
        signal.setitimer(timer, seconds)
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(list(argv))
    finally:
        for name, (timer, _) in timers.items():
            signal.setitimer(timer, 0)
            signal.signal(name, before[name])
    return Ended(code, out.getvalue(), err.getvalue())


def check(argv: Sequence[str], folder: Path, kept: Path) -> None:
    """Run a command in a folder and check every invariant; what it wrote is removed.

    Args:
      argv: of the command, with names relative to the folder.
      folder: the working directory, in which only asked-for outputs may change.
      kept: where tracebacks of bugs are kept, `JAXLAWS_CACHE`.
    """
    before = snapshot(folder)
    with contextlib.chdir(folder):
        ended = call(argv)
    assert ended.code in CODES, f"exit code {ended.code}"
    bug = "this is a bug" in ended.err
    assert not bug, f"{ended.err}\n{''.join(path.read_text() for path in (kept / 'errors').glob('*'))}"
    assert "Traceback" not in ended.err
    assert "Traceback" not in ended.out
    assert _raw(ended.out + ended.err) is None, f"raw character {_raw(ended.out + ended.err)!r}"
    if ended.code != 0:
        assert "jaxlaws: " in ended.err, "no sentence"
    if ended.code in (2, 3):
        assert ended.err.startswith("jaxlaws: "), ended.err
        assert ended.err.count("\n") == 1, ended.err
    if ended.code == 0 and "--help" not in argv and "-h" not in argv:
        _answer(argv, ended.out)
    written = {str(argv[i + 1]) for i, name in enumerate(argv[:-1]) if name in OUTPUTS}
    written |= {name.split("=", 1)[1] for name in argv if name.startswith(tuple(f"{out}=" for out in OUTPUTS))}
    changed = _changed(before, snapshot(folder))
    stray = [name for name in changed if not _asked(name, written)]
    assert not stray, f"changed {stray}"
    for name in reversed(changed):
        path = folder / name
        path.rmdir() if path.is_dir() else path.unlink()


def _answer(argv: Sequence[str], out: str) -> None:
    if "--json" in argv and "/dev/stdout" not in argv:
        answer = json.loads(out, parse_constant=_refuse)
        assert isinstance(answer, dict)
        assert out.count("\n") == 1
    else:
        given = " ".join(argv).lower()
        said = "".join(line for line in out.splitlines() if " cannot be read (" not in line)
        found = [word for word in _NO_NUMBER.findall(said) if word.lower() not in given]
        assert not found, f"{found} in {out}"


def _refuse(constant: str) -> float:
    raise AssertionError(f"{constant} in JSON")


def _raw(text: str) -> str | None:
    return next(
        (char for char in text if unicodedata.category(char) in ("Cc", "Cf", "Cs") and char not in "\n\t"), None
    )


def _asked(name: str, written: set[str]) -> bool:
    """Whether a name is an output, a folder above one, or one of several that carry their steps."""
    for output in map(Path, written):
        path = Path(os.path.normpath(output))
        if Path(name) in (path, *path.parents) or path in Path(name).parents:
            return True
        if Path(name).parent == path.parent and re.fullmatch(
            re.escape(path.stem) + r"-\d+" + re.escape(path.suffix), Path(name).name
        ):
            return True
    return False


def snapshot(folder: Path) -> dict[str, object]:
    """Every name below a folder with what it is: a link's target, a file's mode and content, a folder's mode."""
    return dict(_entries(folder, ""))


def _entries(folder: Path, prefix: str) -> Iterator[tuple[str, object]]:
    for entry in os.scandir(folder):
        name = prefix + entry.name
        if entry.is_symlink():
            yield name, os.readlink(entry.path)
        elif entry.is_dir():
            yield name, entry.stat().st_mode
            yield from _entries(Path(entry.path), f"{name}/")
        elif entry.is_file():
            yield name, (entry.stat().st_mode, Path(entry.path).read_bytes())
        else:
            yield name, entry.stat().st_mode


def _changed(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
