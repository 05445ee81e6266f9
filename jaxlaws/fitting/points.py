"""From a table of runs to the flat points that a law reads: one point a run, or one a loss of every curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from jaxlaws.errors import BadInput
from jaxlaws.fitting.columns import cells, metric_of, read_inputs, with_metric
from jaxlaws.inputs import INPUTS
from jaxlaws.laws import events
from jaxlaws.laws.law import Law
from jaxlaws.records.repeats import CLUSTER

if TYPE_CHECKING:
    from jaxlaws.records.table import Runs


@dataclass(frozen=True)
class Points:
    """The points of some runs.

    Attributes:
      inputs: what the law reads, [points] or [points, events] each.
      loss: [points] nats a token.
      run: [points] index into `names`; the points of a run follow one another.
      names: run ids, or those of the clusters of rows that are of one training run.
      cell: [runs] index of the (N, D) pair or of the run: what a bootstrap draws.
      at: [points] last step before the loss, for curves.
      convention: what the inputs mean.
      signed: whether the metric may be negative.
    """

    inputs: Mapping[str, np.ndarray]
    loss: np.ndarray
    run: np.ndarray
    names: tuple[str, ...]
    cell: np.ndarray
    at: np.ndarray
    convention: Mapping[str, str]
    signed: bool = False

    def of(self, names: Sequence[str]) -> Points:
        """The points of these runs only."""
        place = {name: i for i, name in enumerate(self.names)}
        rows = np.array([place[name] for name in names], int)
        number = np.full(len(self.names), -1)
        number[rows] = np.arange(len(rows))
        keep = number[self.run] >= 0
        return replace(
            self,
            inputs={key: value[keep] for key, value in self.inputs.items()},
            loss=self.loss[keep],
            run=number[self.run[keep]],
            names=tuple(names),
            cell=np.unique(self.cell[rows], return_inverse=True)[1],
            at=self.at[keep],
        )

    def scale(self) -> dict[str, float]:
        """Typical value of every unit of the inputs, by which constants are made unitless."""
        out = {}
        for name, value in self.inputs.items():
            unit = INPUTS[name].unit
            if unit and unit not in out:
                out[unit] = float(np.exp(np.mean(np.log(value[value > 0])))) if (value > 0).any() else 1.0
        return out

    @property
    def single(self) -> bool:
        """Whether every run has one loss."""
        return len(self.loss) == len(self.names)

    @property
    def cells(self) -> int:
        """How many (N, D) pairs or curves there are: the units of a bootstrap."""
        return int(self.cell.max()) + 1

    @property
    def size(self) -> float:
        """Mean absolute loss."""
        return float(np.mean(np.abs(self.loss)))

    def residual(self, prediction: np.ndarray) -> np.ndarray:
        """[points] ln L − ln L̂; of a metric that may be negative (L − L̂)/size."""
        if self.signed:
            return (self.loss - prediction) / self.size
        return np.log(self.loss) - np.log(np.maximum(prediction, 1e-9))


def points(law: Law, runs: Runs, params_column: str | None = None, warmup_ld: str = "included") -> Points:
    """The points of all finished runs that `law` reads.

    Args:
      law: a point law reads the final loss of every run, a curve law every loss after the warm-up.
      runs: the table and its curves.
      params_column: `params_nonembedding` or `params_total`; without it the one that the table has, the first of both.
      warmup_ld: `included` or `excluded`, whether drops within the warm-up count.

    Raises:
      BadInput: a column or the curves are missing, or an input is not positive.
    """
    return (
        _curve_points(law, runs, params_column, warmup_ld)
        if law.kind == "curve"
        else _table_points(law, runs, params_column)
    )


def _table_points(law: Law, runs: Runs, params_column: str | None) -> Points:
    metric = metric_of(law)
    runs = with_metric(law, runs).finished()
    inputs, choices = read_inputs(law, runs, params_column)
    loss = runs.table[runs.loss_column].to_numpy(float)
    if not len(loss):
        raise BadInput(f"{runs.source} has no finished run with a finite {runs.loss_column}.")
    if np.any(loss <= 0) and not law.signed:
        raise BadInput(f"{runs.source}: {runs.loss_column} has a value ≤ 0, expected nats a token: drop those runs.")
    own = metric != "nats" and runs.target == metric
    convention = {**law.convention, "loss": metric if own else runs.loss_label, **choices}
    at = np.full(len(loss), -1)
    names = tuple(str(name) for name in runs.table.get(CLUSTER, runs.table.index))
    if len(set(names)) == len(names):
        return Points(inputs, loss, np.arange(len(loss)), names, cells(inputs), at, convention, law.signed)
    clusters, run = np.unique(names, return_inverse=True)
    order = np.lexsort((*(value for key, value in inputs.items() if key in ("D", "steps")), run))
    inputs, every = {key: value[order] for key, value in inputs.items()}, np.arange(len(clusters))
    return Points(inputs, loss[order], run[order], tuple(clusters.tolist()), every, at, convention, law.signed)


def _curve_points(law: Law, runs: Runs, params_column: str | None, warmup_ld: str) -> Points:
    names = [str(name) for name in runs.table.index if name in runs.curves]
    if not names:
        raise BadInput(f"{runs.source} has no curves, the law {law.name} is fitted to curves (step, lr, loss).")
    columns, choices = read_inputs(law, runs.select(names), params_column)
    parts, losses, ats, ids = [], [], [], []
    for row, name in enumerate(names):
        curve = runs.curves[name]
        after = curve.at >= max(curve.warmup_steps - 1, 0)
        if not after.any():
            continue
        part = curve_inputs(
            law, curve.lr, curve.at[after], curve.warmup_steps, warmup_ld, {k: v[row] for k, v in columns.items()}
        )
        part |= {key: value[after] for key, value in read_logged(law, curve.logged, f"the curve '{name}'").items()}
        part |= {key: np.repeat(value[row : row + 1], int(after.sum()), 0) for key, value in columns.items()}
        parts.append({key: value for key, value in part.items() if key in (*law.inputs, *_CURVE)})
        losses.append(curve.loss[after])
        ats.append(curve.at[after])
        ids.append(name)
    if not ids:
        raise BadInput(f"{runs.source} has no loss after the warm-up in any of its {len(names)} curves.")
    loss = runs.loss_label if runs.target else metric_of(law)
    convention = {**law.convention, "loss": loss, "warmup_ld": warmup_ld, **choices}
    run = np.repeat(np.arange(len(ids)), [len(loss) for loss in losses])
    inputs = events.stack(parts)
    return Points(inputs, np.concatenate(losses), run, tuple(ids), np.arange(len(ids)), np.concatenate(ats), convention)


_CURVE = ("S", "lr", "peak")


def read_logged(law: Law, logged: Mapping[str, np.ndarray], source: str) -> dict[str, np.ndarray]:
    """Symbol → what a law reads of what was logged along a run; `BadInput` where it was not logged at every loss."""
    out = {}
    for key in law.inputs:
        row = INPUTS[key]
        if not row.logged:
            continue
        values = np.asarray(logged.get(row.column, np.nan), np.float64)
        if not np.all(np.isfinite(values)):
            raise BadInput(f"{source} has no {row.column}, the law {law.name} needs at every loss: {row.meaning}.")
        out[key] = values
    return out


def curve_inputs(
    law: Law, lr: np.ndarray, at: np.ndarray, warmup_steps: int, warmup_ld: str, of_run: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """`events.inputs` of a run for a law; an LR sum of zero and a phase that never starts are refused."""
    start = of_run.get("phase_start")
    if start is not None and not (start == np.round(start) and start < len(lr)):
        raise BadInput(f"phase_start is {start:g}, expected a whole number of steps below the {len(lr)} of the LRs.")
    phase_start = None if start is None else int(start)
    part = events.inputs(lr, at, warmup_steps, warmup_ld, phase_start=phase_start, reads=law.inputs)
    if np.any(part["S"] <= 0):
        raise BadInput("the LR is zero up to a loss, curve laws need a positive LR sum: drop those points.")
    return part
