"""Who trains a run: a file with a random token, taken under a lock and renewed as long as its process lives.

A process that finds another token than its own has lost the run and writes nothing more to it, so that one result
stands, whatever kept the process away. No two clocks are compared: a claim is void when its process is known to have
ended, or when the process that waits for it has seen its heartbeat stand still for `STALE` seconds of its own clock.
"""

from __future__ import annotations

import fcntl
import json
import logging
import math
import os
import secrets
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path

from jaxlaws.errors import Failed
from jaxlaws.records.files import create
from jaxlaws.records.read import Unreadable, read_json
from jaxlaws.text import printable

#: Seconds for which a waiting process sees a heartbeat stand still before it takes the run over.
STALE = 120.0
#: Between two looks at a heartbeat at most this share of STALE counts, since the waiting process may have slept.
_LOOK = 0.25
#: Seconds for which a process that wants a run waits for its lock.
PATIENCE = 5.0

log = logging.getLogger(__name__)


class ClaimLost(RuntimeError):
    """The run is another process's by now, or has ended: nothing more may be written to it."""


class Busy(RuntimeError):
    """Another process holds the lock."""


@dataclass(frozen=True)
class Claim:
    """What claim.json says.

    Attributes:
      host, pid: of the process.
      since: when it took the run, seconds since 1970 by its own clock; for people.
      token: random, of this claim alone.
      place: boot and namespace in which the pid means something; empty where that is not known.
      started: when the process began, in ticks since the boot: a pid is used again, the two together are not.
    """

    host: str
    pid: int
    since: float = 0.0
    token: str = ""
    place: str = ""
    started: str = ""

    @property
    def owner(self) -> str:
        return printable(f"{self.host}:{self.pid}")

    @property
    def says(self) -> str:
        """The holder of the run and since when it holds it, by the clock of that process."""
        try:
            return f"{self.owner} since {datetime.fromtimestamp(self.since):%Y-%m-%d %H:%M:%S}"
        except (OSError, OverflowError, ValueError):
            return self.owner

    @classmethod
    def read(cls, path: Path) -> Claim:
        """Raises `FileNotFoundError` where there is none, `Unreadable` where it says something else."""
        content = {"host": None, "pid": None, **read_json(path)}
        fields = {name: content[name] for name in _KINDS if name in content}
        for name, value in fields.items():
            if not isinstance(value, _KINDS[name]) or isinstance(value, bool):
                raise Unreadable(path, f"its {name} is {value!r:.40}")
        return cls(**fields)


_KINDS = {"host": str, "pid": int, "since": int | float, "token": str, "place": str, "started": str}


@dataclass(eq=False)
class Claimant:
    """A process as it claims runs: the tokens that it holds, and the heartbeats that it has watched.

    Attributes:
      clock: seconds, of this process alone.
    """

    clock: Callable[[], float] = time.monotonic
    _tokens: dict[Path, str] = field(default_factory=dict)
    _watched: dict[Path, tuple[object, float, float]] = field(default_factory=dict)

    @cached_property
    def host(self) -> str:
        return socket.gethostname()

    @cached_property
    def place(self) -> str:
        try:
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
            return f"{boot} {os.readlink('/proc/self/ns/pid')}"
        except OSError:
            return ""

    def take(self, path: Path) -> bool:
        """Write a claim in the place of a void one, under the lock; false where another process was faster."""
        pid = os.getpid()
        mine = Claim(self.host, pid, time.time(), secrets.token_hex(8), self.place, _started(pid) or "")
        with suppress(OSError, Unreadable):
            if not self._ended(before := Claim.read(path)):
                log.warning("%s: taken over from %s, whose heartbeat stands still.", path.parent, before.owner)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise Failed(f"cannot take over {printable(path)} ({error.strerror}): remove it.") from error
        if not create(path, json.dumps(asdict(mine)) + "\n"):
            return False
        self._tokens[path] = mine.token
        return True

    def holds(self, path: Path) -> bool:
        """Whether this process has the claim; if it never had one, whether nobody has.

        A claim without a token comes from a version that wrote none, and counts as this process's own.
        """
        try:
            return Claim.read(path).token in ("", self._tokens.get(path))
        except FileNotFoundError:
            return path not in self._tokens
        except Unreadable:
            return False

    def beat(self, path: Path) -> bool:
        """Renew the claim if it is this process's own, and say whether it is."""
        ours = path in self._tokens and self.holds(path)
        if ours:
            os.utime(path)
        return ours

    def release(self, path: Path) -> None:
        """Give the claim back, under the lock, if this process has it; a claim that stays ends with the process."""
        if path in self._tokens and self.holds(path):
            with suppress(OSError):
                path.unlink(missing_ok=True)
                del self._tokens[path]

    def void(self, path: Path) -> bool:
        """Whether a claim is absent or unreadable, its process has ended, or its heartbeat stands still."""
        try:
            claim = Claim.read(path)
            mark = (claim.token, path.stat().st_mtime_ns)
        except FileNotFoundError:
            return True
        except Unreadable as error:
            if path not in self._watched:
                log.warning("%s: nobody is known to hold this run.", error)
            self._watched[path] = (None, 0.0, 0.0)
            return True
        return self._ended(claim) or self._stands_still(path, mark)

    def _ended(self, claim: Claim) -> bool:
        """Whether the process of a claim is known to have ended: it ran on this machine and runs no longer."""
        if claim.host != self.host or claim.place not in ("", self.place):
            return False
        try:
            os.kill(claim.pid, 0)
        except (ProcessLookupError, OverflowError):
            return True
        except PermissionError:
            pass
        now = _started(claim.pid)
        return now == "" or (now is not None and now != (claim.started or now))

    def _stands_still(self, path: Path, mark: tuple[str, int]) -> bool:
        now = self.clock()
        before, at, still = self._watched.get(path, (None, now, 0.0))
        still = still + min(now - at, _LOOK * STALE) if before == mark else 0.0
        self._watched[path] = (mark, now, still)
        return still >= STALE


#: This process.
SELF = Claimant()


def _started(pid: int) -> str | None:
    """When a process began, in ticks since the boot; empty where it has ended, None where that is not known."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    return "" if state in "ZX" else fields[18]


@contextmanager
def locked(folder: Path, patience: float = math.inf) -> Iterator[None]:
    """Hold the lock of a run's directory; a file system without locks causes one warning.

    The lock is on config.yaml, which stays as it is: a network file system locks files that can be written, and no
    directories.

    Raises:
      Busy: another process holds the lock for longer than `patience` seconds.
    """
    try:
        file = os.open(folder / "config.yaml", os.O_RDWR)
    except OSError:
        file = os.open(folder, os.O_RDONLY)
    try:
        _wait_for_lock(file, folder, patience)
        yield
    finally:
        os.close(file)


def _wait_for_lock(file: int, folder: Path, patience: float) -> None:
    end = time.monotonic() + patience
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise Busy(f"{folder} is locked by another process") from None
            time.sleep(0.005)
        except OSError as error:
            if folder.parent not in _WITHOUT_LOCKS:
                _WITHOUT_LOCKS.add(folder.parent)
                log.warning(
                    "%s is on a file system without locks (%s): train it with one process at a time, since two of them "
                    "may train a run twice.",
                    printable(folder.parent),
                    error.strerror,
                )
            return None


#: Sweeps whose file system is known to have no locks.
_WITHOUT_LOCKS: set[Path] = set()


def clock_of(folder: Path) -> float | None:
    """The time by which the file system of a folder dates its files; None where nothing can be written there."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"0")
            file.flush()
            return os.fstat(file.fileno()).st_mtime
    except OSError:
        return None
