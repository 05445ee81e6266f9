"""A signal to stop: training ends where it can be continued from, instead of in the middle of a step."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_asked = threading.Event()


class Preempted(KeyboardInterrupt):
    """Training was stopped by a signal between two steps; what there is to save has been saved (exit code 130)."""


def stop_asked() -> bool:
    """Whether this process has been told to stop."""
    return _asked.is_set()


def ask_to_stop() -> None:
    """Stop as after a signal."""
    _asked.set()


@contextmanager
def preemptible() -> Iterator[None]:
    """SIGTERM and SIGINT are noted for `stop_asked`; a second one ends the process as it would have without this.

    Signals that somebody else handles, and threads that cannot handle any, are left alone.
    """
    before: dict[int, Any] = {}

    def note(number: int, frame: FrameType | None) -> None:
        _asked.set()
        os.write(2, b"\nstopping after these steps; the same signal again stops at once\n")
        for one, handler in before.items():
            signal.signal(one, handler)

    if threading.current_thread() is threading.main_thread():
        for number, default in ((signal.SIGTERM, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
            if signal.getsignal(number) in (default, None):
                before[number] = default
                signal.signal(number, note)
    try:
        yield
        if stop_asked():
            raise Preempted
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
        _asked.clear()
