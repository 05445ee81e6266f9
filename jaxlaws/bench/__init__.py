"""Benchmarks that anyone can repeat: each a module with `rows(repeats) -> list[Row]`, both sides in the same run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

#: Name of a benchmark → its module.
BENCHES = {
    "fit": "jaxlaws.bench.fit",
    "lanes": "jaxlaws.bench.lanes",
    "recommend": "jaxlaws.bench.recommend",
    "train": "jaxlaws.bench.train",
    "schedule": "jaxlaws.bench.schedule",
    "law": "jaxlaws.bench.law",
}


class Row(NamedTuple):
    """One comparison.

    Attributes:
      name: what is timed.
      ours_s: median seconds of ours.
      baseline_s: median seconds of the baseline; None where there is none.
      baseline: what it is.
      note: how well each side did.
    """

    name: str
    ours_s: float
    baseline_s: float | None = None
    baseline: str = ""
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """The row with its speedup."""
        speedup = None if self.baseline_s is None else self.baseline_s / self.ours_s
        return {**self._asdict(), "speedup": speedup}


def median_seconds(work: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Median wall seconds of `repeats` calls, and what the last one returned."""
    seconds, value = [], None
    for _ in range(repeats):
        began = time.perf_counter()
        value = work()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds), value
