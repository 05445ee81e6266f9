"""The last line of defence: whatever a command meets, the user gets one sentence and the exit code of its kind."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from jaxlaws.errors import BadInput, Failed, Untrusted
from jaxlaws.text import printable, sentence

#: Errors of an exhausted or read-only file system, which no other file name avoids.
_EXHAUSTED = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO, errno.EMFILE, errno.ENFILE)
#: Our own errors and their exit codes.
_CODES = ((BadInput, 2), (Untrusted, 3), (Failed, 1))
_SIZE = re.compile(r"(?:[Aa]llocat\w*) ([\d.,]+\s?\w+)")


def guarded(command: Callable[[Sequence[str]], int], argv: Sequence[str]) -> int:
    """Run a command and return its exit code; what it raises becomes one sentence on stderr."""
    try:
        with _safe_streams():
            code = command(argv)
            if sys.stdout is not None:
                sys.stdout.flush()
            return code
    except BrokenPipeError:
        _abandon(sys.stdout)
        return 0
    except BaseException as error:
        code, message = explain(error, argv)
        _tell(message)
        return code


def explain(error: BaseException, argv: Sequence[str]) -> tuple[int, str]:
    """(exit code, sentence) of an error that a command raised."""
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code, sentence(error)
    if isinstance(error, KeyboardInterrupt):
        goes_on = argv[:1] in (["train"], ["quickstart"])
        return 130, "interrupted" + ("; the same command continues where it stopped." if goes_on else ".")
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
        size = _SIZE.search(str(error))
        return 1, f"memory ran out{f' at {size[1]}' if size else ''}: ask for less, or use a larger machine."
    if isinstance(error, RecursionError):
        return 2, "the input is nested too deeply to be read: expected a file that jaxlaws wrote, or one like it."
    if isinstance(error, OSError) and (refusal := _of_a_file(error, argv)):
        return refusal
    if isinstance(error, SystemExit):
        return 1, sentence(f"the command was ended by code that is not its own (SystemExit: {error.code}).")
    return 1, _unforeseen(error)


def _of_a_file(error: OSError, argv: Sequence[str]) -> tuple[int, str] | None:
    """The exit code and sentence of a file error: bad input if the user named an unreadable file, else a failure."""
    reason = error.strerror or type(error).__name__
    if error.filename is None:
        return (1, sentence(f"the file system failed ({reason}).")) if error.errno in _EXHAUSTED else None
    path = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else str(error.filename)
    by_user = any(path in text or _within(path, text.rpartition("=")[2]) for text in argv)
    if error.errno in _EXHAUSTED or not by_user or (os.path.exists(path) and os.access(path, os.R_OK)):
        return 1, sentence(f"cannot use the file {path} ({reason}).")
    return 2, sentence(f"cannot read {path} ({reason}): expected a file or folder that is there and readable.")


def _within(path: str, folder: str) -> bool:
    return bool(folder) and os.path.abspath(path).startswith(os.path.abspath(folder) + os.sep)


def _unforeseen(error: BaseException) -> str:
    """One sentence that reports a bug and names the file with its traceback; each different bug has one file."""
    from jaxlaws.records.files import cache_dir, write_atomic

    text = "".join(traceback.format_exception(error))
    message = sentence(f"this is a bug of jaxlaws ({type(error).__name__}: {error})", most=400)
    try:
        path = cache_dir() / "errors" / f"{hashlib.sha256(text.encode(errors='replace')).hexdigest()[:12]}.txt"
        write_atomic(path, text)
    except Exception:
        return (
            f"{message}; its traceback follows, since it could not be kept in a file.\n{printable(text, keep=chr(10))}"
        )
    return f"{message}; its traceback is in {printable(path)}: please report it."


class _Escaping:
    """A stream of text that writes control characters as escape sequences."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        with _complete(self.stream):
            return self.stream.write(printable(text, keep="\n\t"))

    def flush(self) -> None:
        with _complete(self.stream):
            self.stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextlib.contextmanager
def _safe_streams() -> Iterator[None]:
    """Escapes control characters on standard output, and characters that a terminal cannot show."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    before = sys.stdout
    if before is not None:
        sys.stdout = _Escaping(before)
    try:
        yield
    finally:
        sys.stdout = before


@contextlib.contextmanager
def _complete(stream: Any) -> Iterator[None]:
    """Raises `Failed` where a write to standard output fails; `BrokenPipeError` of a closed pipe passes through."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        _abandon(stream)
        raise Failed(f"cannot write to standard output ({error.strerror}): the answer is not complete.") from error


def _tell(message: str) -> None:
    """Print the sentence on stderr, after the text that standard output still holds."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        _abandon(sys.stdout)
    with contextlib.suppress(OSError, ValueError):
        if sys.stderr is not None:
            print(f"jaxlaws: {message}", file=sys.stderr, flush=True)


def _abandon(stream: Any) -> None:
    """Discard the text that a stream still holds, so that the interpreter does not fail on it when it ends."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
