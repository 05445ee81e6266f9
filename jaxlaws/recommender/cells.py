"""A table of runs as cells: the runs of one (N, D) pair over LR and batch, with what their grid cannot show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxlaws.errors import BadInput
from jaxlaws.records.cells import PARAMS, SAME_LABEL, cell_of
from jaxlaws.records.units import short

if TYPE_CHECKING:
    import pandas as pd

    from jaxlaws.records.table import Runs

AXES = ("peak_lr", "batch_tokens")
#: Runs that a cell needs: a parabola in ln η has three constants.
_LEAST = 3
#: ln of a loss over the best of its cell above which a run has diverged: no LR or batch near the best costs ×1.5.
FAR = float(np.log(1.5))


@dataclass(frozen=True)
class Cell:
    """The runs of one (N, D) pair.

    Attributes:
      params: N, non-embedding.
      tokens: D.
      x: [runs, 2] (ln peak LR, ln batch in tokens) of the runs that ended.
      y: [runs] ln of their final loss in nats.
      diverged: [m, 2] the same coordinates of the runs that diverged.
      odd: how many runs lie far above the cell though a run with no higher LR does not: no divergence explains them.
    """

    params: float
    tokens: float
    x: np.ndarray
    y: np.ndarray
    diverged: np.ndarray
    odd: int = 0

    @property
    def best(self) -> int:
        """Index of the lowest loss."""
        return int(np.argmin(self.y))


def cells_of(runs: Runs) -> tuple[list[Cell], list[str]]:
    """The cells of a table that a law can be fitted to, and sentences about what was left out of them.

    Raises:
      BadInput: a column is missing, or no cell has enough runs.
    """
    runs.need("params_nonembedding", "tokens", *AXES)
    every, notes = grids(runs)
    cells = [cell for cell in every if len(cell.y) >= _LEAST]
    few = [f"N {short(cell.params)}, D {short(cell.tokens)}" for cell in every if len(cell.y) < _LEAST]
    if few:
        notes.append(
            f"{len(few)} of {len(every)} cells have fewer than {_LEAST} finished runs that did not diverge: left out "
            f"({'; '.join(few[:3])}{'; …' if len(few) > 3 else ''})."
        )
    if len(cells) < 2:
        raise BadInput(
            f"{runs.source} has {len(cells)} (N, D) with at least {_LEAST} finished runs, expected 2 or more: sweep "
            "the LR for another size or budget (`jaxlaws inspect` shows the best run that was measured)."
        )
    return cells, notes


def grids(runs: Runs) -> tuple[list[Cell], list[str]]:
    """Every cell of a table, also those of which one run or none ended, and sentences about what is not in them.

    A run with status `diverged`, without a finite loss, or with a loss `FAR` above its cell's best at a higher LR, is a
    bound and no measurement; runs that `failed`, and runs that end inside their warm-up and so never reached the peak
    LR on their label, are left out. Of a column that the table lacks the logs are 0 and N or D is 1.
    """
    table = runs.table
    loss = table[runs.loss_column].to_numpy(float)
    status = table["status"].to_numpy(str) if "status" in table else np.full(len(table), "ok")
    diverged = (status == "diverged") | ((status != "failed") & ~(np.isfinite(loss) & (loss > 0)))
    usable = status != "failed"
    notes = []
    in_warmup = runs.inside_warmup & usable
    if in_warmup.any():
        notes.append(
            f"{in_warmup.sum()} of {len(table)} runs end inside their warm-up, short of their peak LR: left out."
        )
    usable &= ~in_warmup
    size = next((name for name in PARAMS if name in table), "")
    columns = {name: _column(table, name) for name in (size, "tokens", *AXES)}
    for name, values in columns.items():
        if not np.all(values[usable] > 0):
            raise BadInput(f"{runs.source} has a {name} that is not more than zero: drop or correct those rows.")
    rows = np.flatnonzero(usable)
    cell = cell_of(table.iloc[rows])
    order = np.argsort(cell, kind="stable")
    groups = np.split(rows[order], np.flatnonzero(np.diff(cell[order])) + 1) if len(rows) else []
    x = np.log(np.stack([columns[name] for name in AXES], 1), where=usable[:, None], out=np.zeros((len(table), 2)))
    cells, count = [], 0
    for index in groups:
        finite, bounds = index[~diverged[index]], index[diverged[index]]
        far_runs, odd = _far(x[finite, 0], np.log(loss[finite])) if len(finite) else (np.zeros(0, bool), 0)
        count += int(far_runs.sum())
        bounds, finite = np.r_[bounds, finite[far_runs]], finite[~far_runs]
        n, d = float(columns[size][index[0]]), float(columns["tokens"][index].mean())
        cells.append(Cell(n, d, x[finite], np.log(loss[finite]), x[bounds], odd))
    if count:
        notes.append(
            f"{count} runs have a finite loss ×{np.exp(FAR):.2g} or more above the best of their cell, at a higher LR: "
            "taken as diverged."
        )
    return cells, notes


def seq_len_of(runs: Runs) -> int:
    """Tokens in a sequence, where all runs that state it agree; 1 otherwise."""
    values = runs.table["seq_len"].dropna().unique() if "seq_len" in runs.table else np.zeros(0)
    return int(values[0]) if len(values) == 1 else 1


def _column(table: pd.DataFrame, name: str) -> np.ndarray:
    return table[name].to_numpy(float) if name in table else np.ones(len(table))


def _far(log_lr: np.ndarray, log_loss: np.ndarray) -> tuple[np.ndarray, int]:
    """[runs] whether a run diverged by its loss, and the number of other runs far above the best."""
    best = int(np.argmin(log_loss))
    high = log_loss - log_loss[best] > FAR
    diverged = high & (log_lr > log_lr[best])
    lowest = log_lr[~high].min()
    odd = int((high & ~diverged & (log_lr >= lowest)).sum())
    # A best run that is itself far below all the others is the odd one.
    return (np.zeros_like(diverged), 1) if high.sum() == len(high) - 1 >= 5 else (diverged, odd)


def levels(values: np.ndarray) -> np.ndarray:
    """The distinct values of a grid axis in logs, ascending: labels that differ by rounding only are one."""
    values = np.sort(values)
    values = values[np.append(True, values[1:] > values[:-1])]
    starts = np.append(0, np.flatnonzero(values[1:] - values[:-1] > SAME_LABEL) + 1)
    return np.add.reduceat(values, starts) / (np.append(starts[1:], len(values)) - starts)


def level_counts(cells: Sequence[Cell], axis: int) -> np.ndarray:
    """[cells] how many values of LR (axis 0) or of the batch (axis 1) the runs of a cell have."""
    return np.array([len(levels(cell.x[:, axis])) for cell in cells])


def usual_batch(cells: Sequence[Cell]) -> np.ndarray:
    """[cells] ln of the batch that cells are compared at: the same place in every cell's grid, where most are best."""
    grids = [levels(cell.x[:, 1]) for cell in cells]
    place = [int(np.argmin(np.abs(grid - cell.x[cell.best, 1]))) for grid, cell in zip(grids, cells, strict=True)]
    usual = int(np.median(place))
    return np.array([grid[min(usual, len(grid) - 1)] for grid in grids])


def edges(cell: Cell, seq_len: int = 1) -> dict[str, dict[str, Any]]:
    """For each axis, whether the best run lies on the edge of the grid, and the values to add.

    Args:
      cell: the runs.
      seq_len: tokens in a sequence: a batch is a whole number of them, at most D.

    Returns:
      {"peak_lr": {"edge": "low" | "high" | "single" | None, "add": [values]}, "batch_tokens": …}. An edge beyond which
      runs diverged, or beyond which there is no value, is no edge.
    """
    answer: dict[str, dict[str, Any]] = {}
    for k, name in enumerate(AXES):
        grid = levels(cell.x[:, k])
        step = float(np.median(np.diff(grid))) if len(grid) > 1 else float(np.log(2.0))
        side = _side(grid, cell.x[cell.best, k])
        ends = {
            "low": (grid[0] - step, grid[0] - 2 * step),
            "high": (grid[-1] + step, grid[-1] + 2 * step),
            "single": (grid[0] - step, grid[-1] + step),
        }
        at_divergence = k == 0 and len(cell.diverged) and cell.diverged[:, 0].max() > grid[-1]
        add = (
            []
            if side is None or (side == "high" and at_divergence)
            else _possible(name, ends[side], grid, cell, seq_len)
        )
        answer[name] = {"edge": side if add else None, "add": add}
    return answer


def _side(grid: np.ndarray, best: float) -> str | None:
    """The edge of a grid that the best run lies on."""
    if len(grid) == 1:
        return "single"
    return "low" if best < grid[0] + SAME_LABEL else "high" if best > grid[-1] - SAME_LABEL else None


def _possible(name: str, ends: Sequence[float], grid: np.ndarray, cell: Cell, seq_len: int) -> list[float]:
    """The values e^ends that a run can have and the grid lacks."""
    values = np.exp(ends)
    if name == "batch_tokens":
        values = seq_len * np.maximum(np.round(values / seq_len), 1.0)
        values = values[values <= cell.tokens]
    else:
        values = np.array([float(f"{value:.10g}") for value in values[values < 1.0]])
    new = [value for value in values if np.abs(np.log(value) - grid).min() > SAME_LABEL]
    return [float(value) for value in dict.fromkeys(new)]


def describe(cells: Sequence[Cell]) -> dict[str, list[float]]:
    """Smallest and largest N, D, D/N, peak LR and batch of the cells."""
    n, d = np.array([c.params for c in cells]), np.array([c.tokens for c in cells])
    lr, batch = np.exp(np.concatenate([c.x for c in cells])).T
    values = {"params": n, "tokens": d, "tokens_per_param": d / n, "peak_lr": lr, "batch_tokens": batch}
    return {name: [float(v.min()), float(v.max())] for name, v in values.items()}
