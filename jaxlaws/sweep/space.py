"""The jobs of a sweep from what is swept: grids, zipped lists, cells with grids of their own, samples, replicates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from jaxlaws.config import MOST_RUNS
from jaxlaws.errors import BadInput, unknown


@dataclass(frozen=True)
class Interval:
    """A range of numbers to sample from.

    Attributes:
      low, high: its ends.
      log: even in the logarithm.
      whole: whole numbers only.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def at(self, u: float) -> str:
        """The value at share u of the interval, 0 ≤ u < 1, to six digits."""
        if self.whole and not self.log:
            return str(int(self.low + u * (self.high + 1 - self.low)))
        value = self.low * (self.high / self.low) ** u if self.log else self.low + u * (self.high - self.low)
        return str(round(value)) if self.whole else _number(value)


#: What one key is swept over.
Values = Sequence[str] | Interval


def expand(
    cells: Sequence[Mapping[str, Values]],
    zipped: Sequence[str] = (),
    samples: int = 1,
    method: str = "sobol",
    sample_seed: int = 0,
    replicates: int = 1,
    most: int = MOST_RUNS,
) -> list[list[str]]:
    """The overrides `key=value` of every job: those of each cell in turn, equal jobs once.

    In a cell the values of every key are multiplied, the last key fastest, but for the zipped keys, which advance
    together, and the intervals, which are sampled together.

    Args:
      cells: key → its values, or an interval.
      zipped: keys whose lists have one length.
      samples: points drawn for the intervals of a cell.
      method: a name of `METHODS`.
      sample_seed: of the samples.
      replicates: jobs made of each, with the seeds s, s + 1, …, where s is the job's own, or 0.
      most: jobs before equal ones are dropped.
    """
    if method not in METHODS:
        raise unknown("sampling method", method, METHODS)
    for name, count in (("samples", samples), ("replicates", replicates)):
        if count < 1:
            raise BadInput(f"sweep.{name} is {count}, expected at least 1.")
    if samples > 1 and not any(isinstance(values, Interval) for cell in cells for values in cell.values()):
        raise BadInput(f"sweep.samples is {samples} and no key has an interval to sample: leave it out.")
    sized(sum(_jobs(cell, zipped, samples) * replicates for cell in cells), most)
    jobs: dict[tuple[str, ...], list[str]] = {}
    for cell in cells:
        for job in product(*_axes(cell, zipped, samples, method, sample_seed), _seeds(cell, replicates)):
            values = {key: value for part in job for key, value in part.items()}
            overrides = [f"{key}={value}" if value is not None else key for key, value in values.items()]
            jobs[tuple(overrides)] = overrides
    return list(jobs.values())


def _jobs(cell: Mapping[str, Values], zipped: Sequence[str], samples: int) -> int:
    """How many jobs a cell makes, before any is."""
    lists = {key: len(values) for key, values in cell.items() if not isinstance(values, Interval)}
    alone = math.prod(count for key, count in lists.items() if key not in zipped)
    together = max((count for key, count in lists.items() if key in zipped), default=1)
    return alone * together * (samples if len(lists) < len(cell) else 1)


def _axes(
    cell: Mapping[str, Values], zipped: Sequence[str], samples: int, method: str, seed: int
) -> list[list[dict[str, str]]]:
    """What is multiplied: lists of settings, each at the place of its first key."""
    lengths = {key: len(values) for key, values in cell.items() if key in zipped and not isinstance(values, Interval)}
    if missing := [key for key in zipped if key not in lengths]:
        raise BadInput(f"sweep.zip names {missing[0]}, expected only keys that are swept over a list.")
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{key} has {count}" for key, count in lengths.items())
        raise BadInput(f"zipped keys need lists of one length, but {told}.")
    intervals = {key: values for key, values in cell.items() if isinstance(values, Interval)}
    axes: dict[str, list[dict[str, str]]] = {}
    for key, values in cell.items():
        if isinstance(values, Interval):
            if "interval" not in axes:
                points = METHODS[method](samples, len(intervals), seed)
                axes["interval"] = [
                    {name: item.at(u) for (name, item), u in zip(intervals.items(), point, strict=True)}
                    for point in points
                ]
        elif key in lengths:
            rows = zip(*(cell[name] for name in lengths), strict=True)
            axes.setdefault("zip", [dict(zip(lengths, row, strict=True)) for row in rows])
        else:
            axes[f"key {key}"] = [{key: value} for value in values]
    return list(axes.values())


def _seeds(cell: Mapping[str, Values], replicates: int) -> list[dict[str, str]]:
    if replicates == 1:
        return [{}]
    first = cell.get("seed", ["0"])
    if isinstance(first, Interval) or len(first) > 1:
        raise BadInput("seed is swept and sweep.replicates is set: give one of them.")
    return [{"seed": str(int(first[0]) + i)} for i in range(replicates)]


def logspace(low: float, high: float, count: int) -> list[float]:
    """`count` values from low to high, both included, in equal ratios, to six digits."""
    if not (low > 0 and high > 0 and count >= 1):
        raise BadInput(f"logspace({low}, {high}, {count}) needs two numbers above zero and at least one point.")
    return [float(_number(value)) for value in np.geomspace(low, high, count)]


def _number(value: float) -> str:
    return repr(float(f"{value:.6g}"))


def _random(count: int, dimensions: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((count, dimensions))


def _sobol(count: int, dimensions: int, seed: int) -> np.ndarray:
    from scipy.stats import qmc

    points = qmc.Sobol(dimensions, scramble=True, seed=seed).random_base2(int(np.ceil(np.log2(count))))
    return points[:count]


#: Sampling method → (points, dimensions, seed) → [points, dimensions] in [0, 1).
METHODS = {"sobol": _sobol, "random": _random}


def parser(most: int = MOST_RUNS) -> Any:
    """Hydra's parser of overrides, which knows `logspace(LOW,HIGH,COUNT)` beside Hydra's own functions.

    Args:
      most: values that one key may be swept over.
    """
    from hydra._internal.grammar import grammar_functions
    from hydra.core.override_parser.overrides_parser import OverridesParser, create_functions
    from hydra.core.override_parser.types import ChoiceSweep

    def spaced(low: float, high: float, count: int) -> Any:
        return ChoiceSweep(list=list(logspace(low, high, sized(count, most))))

    def bounded(start: float, stop: float | None = None, step: float = 1) -> Any:
        first, last = (0, start) if stop is None else (start, stop)
        sized((last - first) / step if step else math.inf, most)
        return grammar_functions.range(first, last, step)

    functions = create_functions()
    functions.register("logspace", lambda low, high, count: spaced(low, high, count))  # Hydra reads annotations
    functions.functions["range"] = bounded
    return OverridesParser(functions)


def sized(runs: float, most: int) -> int:
    """A number of runs, if a sweep may have so many."""
    if not runs <= most:
        told = f"{runs:,.0f}" if runs < 1e15 else "endlessly many"
        raise BadInput(f"the sweep has {told} runs, expected at most {most:,}: sweep.max_runs=N allows more.")
    return int(runs)


def values(override: Any) -> Values:
    """What a parsed override says of its key: one value, a list, or an interval (`interval`, tagged `log` or not)."""
    if override.is_interval_sweep():
        sweep = override.value()
        log = "log" in sweep.tags
        if not (sweep.start < sweep.end and (sweep.start > 0 or not log)):
            raise BadInput(
                f"'{override.input_line}' is no interval, expected two numbers in order, above zero for log."
            )
        return Interval(sweep.start, sweep.end, log, isinstance(sweep.start, int) and isinstance(sweep.end, int))
    if override.is_sweep_override():
        return list(override.sweep_string_iterator())
    return [override.get_value_element_as_str()]
