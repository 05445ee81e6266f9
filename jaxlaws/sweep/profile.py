"""A trace of what the device does, once a sweep."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class Profile:
    """A trace of three chunks of a sweep's first pack, where the engine asks for one; the first two are warm-up."""

    def __init__(self, sweep: Any, folder: Path):
        self.folder, self.count, self.running = folder, 0, False
        self.wanted, sweep.profiled = sweep.engine.profile and not sweep.profiled, True

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: Any) -> None:
        self.stop()

    def chunk(self) -> None:
        """A chunk has been settled."""
        import jax

        self.count += 1
        if self.wanted and self.count == 2:
            jax.profiler.start_trace(str(self.folder))
            self.running = True
        elif self.count == 5:
            self.stop()

    def stop(self) -> None:
        """End the trace, if there is one."""
        import jax

        if self.running:
            jax.profiler.stop_trace()
            self.running = False
