"""How far a long piece of work on data is, with an ETA, on stderr."""

from __future__ import annotations

import sys
import time
from types import TracebackType

_QUIET, _EVERY = 2.0, 15.0


class Meter:
    """A live line on a terminal, a line now and then elsewhere, nothing for what ends at once.

    Args:
      title: what is being done.
      total: how much there is to do, where it is known.
      unit: of what.
    """

    def __init__(self, title: str, total: float | None, unit: str):
        self._title, self._total, self._unit = title, total, unit
        self._done, self._began = 0.0, time.monotonic()
        self._live = sys.stderr.isatty()
        self._shown = self._began + (_QUIET - 0.2 if self._live else _QUIET - _EVERY)
        self._wrote = False

    def add(self, count: float, note: str = "") -> None:
        """Say that `count` more are done; a note is shown behind."""
        self._done += count
        now = time.monotonic()
        if now - self._shown < (0.2 if self._live else _EVERY):
            return
        self._shown = now
        text = f"{self._title}: {self._done / 1e6:.2f}M {self._unit}"
        if self._total:
            left = (now - self._began) * max(0, self._total - self._done) / max(1, self._done)
            text += f", {self._done / self._total:.0%}, ETA {left:.0f} s"
        print(f"\r\x1b[K{text}{note}" if self._live else text + note, file=sys.stderr, end="" if self._live else "\n")
        sys.stderr.flush()
        self._wrote = self._live

    def __enter__(self) -> Meter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._wrote:
            print("\r\x1b[K", file=sys.stderr, end="", flush=True)
