"""Files that are either whole or absent, whatever interrupts the writer, and data as JSON can hold it."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from jaxlaws.errors import BadInput, Failed
from jaxlaws.text import printable

_COUNT = itertools.count()


class Output:
    """A file that is asked for before the work and written after it, so that a bad target is found at once.

    A regular file appears whole or not at all (a draft beside it takes its name; links are followed and the mode of a
    file that was there is kept). Anything else, such as /dev/null, a pipe or a terminal, is written through.

        with Output(path) as file:
            ...                      # the work
            file.write(text)

    Where nothing was written, nothing is left behind. With the path None it does nothing and is false.

    Raises:
      BadInput: the path is empty or a directory.
      Failed: it cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        self.path = path
        self._draft: Path | None = None
        self._stream: BinaryIO | None = None

    def __bool__(self) -> bool:
        return self.path is not None

    def __enter__(self) -> Output:
        if self.path is None:
            return self
        if not os.fspath(self.path) or "\0" in os.fspath(self.path):
            raise BadInput(f"the output file is '{printable(self.path)}', expected the name of a file.")
        with self._named():
            path = Path(self.path)
            if path.is_dir():
                raise BadInput(f"the output {printable(path)} is a directory, expected the name of a file.")
            # /dev/stdout may be a link to a regular file that the shell holds open: that one is written through too.
            if os.path.abspath(path).startswith(("/dev/", "/proc/")) or (path.exists() and not path.is_file()):
                # A pipe that nobody reads would wait for ever: O_NONBLOCK makes that an error.
                self._stream = open(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_APPEND), "wb")
                os.set_blocking(self._stream.fileno(), True)
            else:
                target = Path(os.path.realpath(path))
                if target.exists() and not os.access(target, os.W_OK):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
                target.parent.mkdir(parents=True, exist_ok=True)
                # A name has at most 255 bytes, and the draft of another thread or process has another one.
                draft = target.with_name(f".{target.name[:40]}.{os.getpid()}.{next(_COUNT)}")
                self._stream, self._draft, self._target = draft.open("xb"), draft, target
        return self

    def __exit__(self, *error: object) -> None:
        if self._stream is not None:
            with suppress(OSError):
                self._stream.close()
        if self._draft is not None:
            self._draft.unlink(missing_ok=True)

    def write(self, content: str | bytes) -> None:
        """Write all of it."""
        if self._stream is None:
            return
        with self._named():
            self._stream.write(content.encode() if isinstance(content, str) else content)
            self._stream.flush()
            if self._draft is not None:
                if self._target.exists():
                    os.fchmod(self._stream.fileno(), self._target.stat().st_mode & 0o7777)
                os.fsync(self._stream.fileno())
                os.replace(self._draft, self._target)
                self._draft = None

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Any failure of the file system as one sentence that names the file."""
        try:
            yield
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise Failed(f"cannot write {printable(self.path)} ({reason}): nothing of it was kept.") from error


def write_atomic(path: str | Path, content: str | bytes) -> None:
    """Write a file so that a reader sees the old content or the new one, never a part of it, and no draft is left."""
    with Output(path) as file:
        file.write(content)


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
