"""What a plan costs before it starts: runs, programs, tokens, FLOPs, time and memory. No JAX."""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxlaws import config
from jaxlaws.config import RunConfig
from jaxlaws.model.shape import count_params
from jaxlaws.records import files
from jaxlaws.sweep.plan import Planned, groups

#: FLOP/s of a device nothing is remembered of: per core of a CPU, and of an accelerator that trains small models.
UNMEASURED = {"cpu": 15e9, "accelerator": 2e12}
#: Seconds to compile one program.
COMPILE_SECONDS = {"cpu": 2.5, "accelerator": 8.0}
#: Training FLOPs of a group below which its speed is not remembered.
LEAST_REMEMBERED = 2e10


@dataclass(frozen=True)
class GroupCost:
    """What the runs of one shape cost that have not ended.

    Attributes:
      runs: how many there are.
      first: one of them.
      steps: the fewest and the most steps.
      tokens, flops: of all of them, seen in training.
      seconds: expected, compilation included.
      memory: bytes, of one run (`run_memory`).
    """

    runs: int
    first: RunConfig
    steps: tuple[int, int]
    tokens: int
    flops: float
    seconds: float
    memory: float


#: (device kind, training FLOPs of a step) → FLOP/s.
Speed = Callable[[str, float], float]


def costs(planned: Sequence[Planned], device: str, speed: Speed) -> list[GroupCost]:
    """The cost of every group of a plan that still has runs to train, in the order of training.

    Args:
      planned: from `jaxlaws.sweep.plan`.
      device: kind of device, "cpu" or the name of an accelerator.
      speed: see there.
    """
    found = []
    for group in groups([item for item in planned if item.directory.state() not in ("ok", "diverged", "failed")]):
        steps = [config.steps(item.run) for item in group]
        step_tokens = config.batch_sequences(group[0].run) * group[0].run.data.seq_len
        work = sum(item.work for item in group)
        seconds = COMPILE_SECONDS[_class(device)] + work / speed(device, work / sum(steps))
        memory = run_memory(group[0].run)
        found.append(
            GroupCost(
                len(group), group[0].run, (min(steps), max(steps)), sum(steps) * step_tokens, work, seconds, memory
            )
        )
    return found


def run_memory(run: RunConfig) -> float:
    """About how many bytes one run holds while it trains, all of it float32 and nothing recomputed.

    16·N for weights, gradients and Adam's two moments, and 4·B·S·(l·(16d + 5f + 2·heads·S) + 4V) for what the backward
    pass keeps.
    """
    m, s = run.model, run.data.seq_len
    kept = m.depth * (16 * m.width + 5 * m.mlp_width + 2 * m.heads * s) + 4 * m.vocab
    return 16.0 * count_params(m)[1] + 4.0 * config.batch_sequences(run) * s * kept


def remembered(cache: Path | None = None) -> Speed:
    """FLOP/s as measured here in earlier sweeps, at the nearest size of a step; a guess where there are none.

    Args:
      cache: the file that `remember` wrote.
    """
    known = _read(cache or _cache_file())

    def speed(device: str, step_flops: float) -> float:
        rows = known.get(device, [])
        if rows:
            return min(rows, key=lambda row: abs(math.log(row["step_flops"] / step_flops)))["flops_per_second"]
        cores = len(os.sched_getaffinity(0)) if _class(device) == "cpu" else 1
        return UNMEASURED[_class(device)] * cores

    return speed


def is_remembered(device: str, cache: Path | None = None) -> bool:
    """Whether anything was measured on this kind of device."""
    return bool(_read(cache or _cache_file()).get(device))


def remember(planned: Sequence[Planned], trained: Sequence[str], device: str, cache: Path | None = None) -> None:
    """Keep the FLOP/s of the groups that were trained now, the newest for each size of a step.

    Args:
      planned: the plan.
      trained: names of its runs that ended now.
      device: kind of device they were trained on.
      cache: the file to keep it in, by default in the user's cache directory.
    """
    path = cache or _cache_file()
    known = _read(path)
    for group in groups([item for item in planned if item.directory.name in set(trained)]):
        work, steps = sum(item.work for item in group), sum(config.steps(item.run) for item in group)
        if work >= LEAST_REMEMBERED:
            step_flops = float(f"{work / steps:.3g}")
            rate = work / steps / statistics.median(item.directory.record()["step_seconds"] for item in group)
            kept = [old for old in known.get(device, []) if old["step_flops"] != step_flops]
            known[device] = [*kept, {"step_flops": step_flops, "flops_per_second": rate}]
    if known:
        files.remember(path, known)


def _class(device: str) -> str:
    return "cpu" if device == "cpu" else "accelerator"


def _cache_file() -> Path:
    return files.cache_dir() / "speed.json"


def _read(path: Path) -> dict[str, list[dict[str, float]]]:
    return files.remembered(path, lambda rows: isinstance(rows, list) and all(map(_is_speed, rows)))


def _is_speed(row: Any) -> bool:
    return isinstance(row, dict) and all(
        isinstance(row.get(name), int | float) and 0 < row[name] < math.inf
        for name in ("step_flops", "flops_per_second")
    )
