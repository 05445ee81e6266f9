"""Files that are either whole or absent, whatever interrupts the writer, and data as JSON can hold it."""

from __future__ import annotations

import errno
import itertools
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxlaws.errors import BadInput, Failed
from jaxlaws.text import printable

if TYPE_CHECKING:
    import numpy as np

_COUNT = itertools.count()
#: Names of streams that are open already, with their numbers.
_OPEN = re.compile(r"/dev/(?:(?P<name>stdout|stderr)|fd/(?P<fd>\d+))|/proc/self/fd/(?P<own>\d+)")
_STREAMS = {"stdout": 1, "stderr": 2}
#: Seconds to wait for the reader of a named pipe.
_READER = 5.0


class Output:
    """A file that is asked for before the work and written after it, so that a bad target is found at once.

    A regular file appears whole or not at all (a draft beside it takes its name; links are followed, and the mode and
    the owner of a file that was there are kept). Anything else, such as /dev/null, a pipe or a terminal, is written
    through.

        with Output(path) as file:
            ...                      # the work
            file.write(text)         # kept until the block ends, and then written whatever ended it
            print(...)

    Where nothing was written, nothing is left behind. With the path None it does nothing and is false.

    Raises:
      BadInput: the path is empty or a directory.
      Failed: it cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        self.path = path
        self._target: Path | None = None
        self._stream: int | None = None
        self._content: bytes | None = None

    def __bool__(self) -> bool:
        return self.path is not None

    def __enter__(self) -> Output:
        if self.path is None:
            return self
        if not os.fspath(self.path) or "\0" in os.fspath(self.path):
            raise BadInput(f"the output file is '{printable(self.path)}', expected the name of a file.")
        with _sentence(self.path):
            path = Path(self.path)
            if path.is_dir():
                raise BadInput(f"the output {printable(path)} is a directory, expected the name of a file.")
            if is_stream(path):
                self._stream = _open_stream(path)
                return self
            self._target = Path(os.path.realpath(path))
            if self._target.exists() and not os.access(self._target, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            _draft(next(folder for folder in self._target.parents if folder.exists()), "").unlink()
        return self

    def write(self, content: str | bytes) -> None:
        """Take the whole content; the end of the block writes it."""
        self._content = content.encode(errors="backslashreplace") if isinstance(content, str) else content

    def __exit__(self, *error: object) -> None:
        with _sentence(self.path):
            if self._stream is not None:
                _write_through(self._stream, self._content or b"")
            elif self._target is not None and self._content is not None:
                _replace(self._target, self._content)


def is_stream(path: Path) -> bool:
    """Whether a path is written through: a device, a pipe or a stream that is open already.

    /dev/stdout may be a link to a regular file that the shell holds open: that one is written through too.
    """
    return bool(_OPEN.fullmatch(os.path.abspath(path))) or (os.path.exists(path) and not os.path.isfile(path))


def cache_dir() -> Path:
    """Where measurements, compiled programs and tracebacks are kept: JAXLAWS_CACHE, or ~/.cache/jaxlaws."""
    home = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Path(os.environ.get("JAXLAWS_CACHE") or Path(home, "jaxlaws"))


def read_array(path: str | Path, what: str) -> np.ndarray:
    """The numbers of a .npy file as float64, without room for more than the file holds.

    Args:
      path: the file.
      what: the meaning of the numbers, for people.

    Raises:
      BadInput: the file is no array of numbers, whatever it is.
    """
    import numpy as np

    try:
        return np.lib.format.open_memmap(path, mode="r").astype(np.float64)
    except Exception as error:  # numpy reads the header as Python text, which fails in many ways
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise BadInput(
            f"{printable(path)} is not an array of {what} ({reason}), expected a .npy file of them."
        ) from None


def remembered(path: Path, valid: Callable[[Any], bool]) -> dict[str, Any]:
    """The `valid` entries of a table that `remember` kept; empty if the file holds something else."""
    with suppress(OSError, ValueError, RecursionError):
        table = json.loads(path.read_text())
        return {key: value for key, value in table.items() if valid(value)} if isinstance(table, dict) else {}
    return {}


def remember(path: Path, table: Mapping[str, Any]) -> None:
    """Keep a table in a file; a failure to write it is no error, since nothing depends on the file."""
    with suppress(BadInput, Failed):
        write_atomic(path, json.dumps(table, indent=1) + "\n")


def write_atomic(path: str | Path, content: str | bytes) -> None:
    """Write a file so that a reader sees the old content or the new one, never a part of it, and no draft is left."""
    with Output(path) as file:
        file.write(content)


def _open_stream(path: Path) -> int:
    """A descriptor to write to. A stream that is open keeps its place, and a pipe that nobody reads is an error."""
    if match := _OPEN.fullmatch(os.path.abspath(path)):
        return os.dup(_STREAMS.get(match["name"]) or int(match["fd"] or match["own"]))
    patience = time.monotonic() + _READER
    while True:
        try:
            stream = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_APPEND)
        except OSError as error:
            if error.errno != errno.ENXIO or time.monotonic() > patience:
                raise
            time.sleep(0.05)
            continue
        os.set_blocking(stream, True)
        return stream


def _write_through(stream: int, content: bytes) -> None:
    # Flush the printed text first, so that it precedes the content where both go to one place.
    for standard in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            standard.flush()
    with open(stream, "wb") as file:
        file.write(content)


def _replace(target: Path, content: bytes) -> None:
    """The whole content under the name of the target, in one step."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = _draft(target.parent, target.name)
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            if target.exists():
                before = target.stat()
                with suppress(OSError):
                    os.fchown(file.fileno(), before.st_uid, before.st_gid)
                os.fchmod(file.fileno(), before.st_mode & 0o7777)
            os.fsync(file.fileno())
        os.replace(draft, target)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise


def _draft(folder: Path, name: str) -> Path:
    """A new empty file beside a target, under a short name that no other thread or process uses."""
    draft = folder / f".{name[:40]}.{os.getpid()}.{next(_COUNT)}"
    draft.touch(exist_ok=False)
    return draft


def create(path: str | Path, text: str) -> bool:
    """Write a file that is not there yet; false where it is. Of several processes one creates it.

    Raises:
      Failed: it cannot be written; nothing of it is kept.
    """
    with _sentence(path):
        try:
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
        except FileExistsError:
            return False
        try:
            _write_all(file, text.encode())
        except OSError:
            os.unlink(path)
            raise
        finally:
            os.close(file)
        return True


def append(path: str | Path, text: str) -> None:
    """Add to the end of a file, whole or not at all, and never through a link.

    Raises:
      Failed: it cannot be written; it ends as before.
    """
    with _sentence(path):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o666)
        try:
            before = os.fstat(file).st_size
            try:
                _write_all(file, text.encode())
            except OSError:
                os.ftruncate(file, before)
                raise
        finally:
            os.close(file)


def _write_all(file: int, content: bytes) -> None:
    while content:
        content = content[os.write(file, content) :]


@contextmanager
def _sentence(path: str | os.PathLike[str] | None) -> Iterator[None]:
    """Turns an error of the file system into one sentence that names the file."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise Failed(f"cannot write {printable(path)} ({reason}): nothing of it was kept.") from error


def finite(value: Any) -> Any:
    """The same data with numbers that are not finite as None and numpy numbers as Python's, as JSON wants them."""
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, str | bool | int) or value is None:
        return value
    number = value.item() if hasattr(value, "item") else value
    if isinstance(number, bool | int):
        return number
    return float(number) if abs(number) < float("inf") else None
