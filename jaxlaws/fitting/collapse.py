"""Scaling collapse: whether loss curves of several sizes are one curve once normalised, and which runs leave it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from jaxlaws.errors import BadInput
from jaxlaws.records.columns import is_result

if TYPE_CHECKING:
    from jaxlaws.records.table import Runs

#: Least deviation of a run that leaves the curve: in deviations of the middle run, and in the loss above L̂.
FACTOR, LEAST = 3.0, 0.01
#: Largest difference of two LRs over their peaks up to which runs have one schedule.
ONE_SCHEDULE = 0.02
#: Columns in which runs of one setting may differ, besides results.
_SEEDS = ("seed", "data_seed")


class Collapse(NamedTuple):
    """Normalised loss curves over x, the share of the steps of a run.

    Attributes:
      table: one row an x: `mean` of ℓ over the runs, `deviation` Δ and, where a setting was repeated,
        `seed_noise` σ.
      runs: one row a run: `deviation` from the median of the others (root mean square over x of ln ℓ), whether it
        `leaves` the collapsed curve, and `leaves_at`, the first x at which it is outside; NaN where it does not leave.
      reached: share of the steps at which curves are normalised to 1.
      warnings: sentences for people.
    """

    table: pd.DataFrame
    runs: pd.DataFrame
    reached: float
    warnings: tuple[str, ...]

    @property
    def share(self) -> float | None:
        """Share of x at which Δ(x) < σ(x), a supercollapse where it is most of them; None without seeds."""
        if "seed_noise" not in self.table:
            return None
        return float(np.mean((self.table["deviation"] < self.table["seed_noise"])[:-1]))


def collapse(runs: Runs, irreducible: float, *, start: float = 0.1, count: int = 50) -> Collapse:
    """Whether the curves of runs collapse:  ℓ(x) = (L(x·t*) − L̂)/(L(t*) − L̂),  Δ(x) = sd(ℓ)/mean(ℓ).

    Runs of every size, each as long as is best for its compute and with one shape of schedule, then follow one curve
    (Qiu et al., ICML 2025, arXiv 2507.02119); a run that leaves it has another LR, batch or data than suit it. σ(x) is
    the same for the raw loss of runs that repeat a setting, over L(x·t*) − L̂. Of unfinished runs t* is the
    last share of the steps that all have reached.

    Args:
      runs: with curves, 3 or more.
      irreducible: L̂, the irreducible loss, in the unit of the losses: E of a law of N and D.
      start: x from which curves are compared.
      count: points of x.

    Raises:
      BadInput: too few curves, or L̂ is not below all losses.
    """
    names = [str(name) for name in runs.table.index if name in runs.curves]
    if len(names) < 3:
        raise BadInput(f"{runs.source} has too few curves for a collapse ({len(names)}), expected at least 3.")
    curves = [runs.curves[name] for name in names]
    lowest = min(float(curve.loss.min()) for curve in curves)
    if not 0 <= irreducible < lowest:
        raise BadInput(
            f"the irreducible loss is {irreducible:g}, expected at least 0 and below every loss ({lowest:g})."
        )
    shares = [(curve.at + 1) / len(curve.lr) for curve in curves]
    first, last = max(start, *(share[0] for share in shares)), min(share[-1] for share in shares)
    if not first < last:
        raise BadInput(f"no share of the steps after {start:g} is reached by all {len(names)} curves of {runs.source}.")
    x = np.linspace(first, last, count)
    above = np.array([np.interp(x, s, c.loss) for s, c in zip(shares, curves, strict=True)]) - irreducible
    level = above / above[:, -1:]
    table = pd.DataFrame({"x": x, "mean": level.mean(0), "deviation": level.std(0, ddof=1) / level.mean(0)})
    noise = _seed_noise(runs.table.loc[names], above)
    if noise is not None:
        table["seed_noise"] = noise
    return Collapse(table, _deviations(names, x, np.log(level)), float(last), _warnings(curves, x))


def _deviations(names: list[str], x: np.ndarray, log: np.ndarray) -> pd.DataFrame:
    """[runs] how far each is from the median of the others, [runs, x] ln ℓ."""
    others = [np.median(np.delete(log, i, 0), 0) for i in range(len(log))]
    away = np.abs(log - np.array(others))
    size = np.sqrt(np.mean(away[:, :-1] ** 2, 1))
    limit = max(FACTOR * float(np.median(size)), LEAST)
    leaves = size > limit
    at = [x[int(np.argmax(row > limit))] if outside else np.nan for row, outside in zip(away, leaves, strict=True)]
    return pd.DataFrame({"deviation": size, "leaves": leaves, "leaves_at": at}, index=pd.Index(names, name="run_id"))


def _seed_noise(table: pd.DataFrame, above: np.ndarray) -> np.ndarray | None:
    """σ(x), pooled over the groups of runs with one setting; None where there is no such group."""
    columns = [name for name in table if not is_result(str(name)) and name not in _SEEDS]
    groups = [rows for rows in table.groupby(columns, dropna=False).indices.values() if len(rows) > 1]
    if not groups:
        return None
    squares = sum((len(rows) - 1) * above[rows].var(0, ddof=1) / above[rows].mean(0) ** 2 for rows in groups)
    return np.sqrt(squares / sum(len(rows) - 1 for rows in groups))


def _warnings(curves: list[Any], x: np.ndarray) -> tuple[str, ...]:
    shapes = [np.interp(x, (np.arange(len(c.lr)) + 1) / len(c.lr), c.lr / c.lr.max()) for c in curves]
    if float(np.max(np.ptp(shapes, axis=0))) <= ONE_SCHEDULE:
        return ()
    return ("the runs have several schedules, and curves collapse under one: choose them with --where.",)
