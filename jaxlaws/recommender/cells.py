"""A table of runs as cells: the runs of one (N, D) pair over LR and batch, with what their grid could not see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxlaws.errors import BadInput

if TYPE_CHECKING:
    from jaxlaws.records.table import Runs

#: Gaps in ln D up to this are one budget: a whole number of batches rounds it.
_SAME_TOKENS = 0.03
#: Gaps in ln η or ln B up to this are one grid value: tables round their labels.
_SAME_LABEL = 0.03
AXES = ("peak_lr", "batch_tokens")


@dataclass(frozen=True)
class Cell:
    """The runs of one (N, D) pair.

    Attributes:
      params: N, non-embedding.
      tokens: D.
      x: [runs, 2] (ln peak LR, ln batch in tokens) of the runs that ended.
      y: [runs] ln of their final loss in nats.
      diverged: [m, 2] the same coordinates of the runs that diverged.
    """

    params: float
    tokens: float
    x: np.ndarray
    y: np.ndarray
    diverged: np.ndarray

    @property
    def best(self) -> int:
        """Index of the lowest loss."""
        return int(np.argmin(self.y))


def cells_of(runs: Runs) -> tuple[list[Cell], list[str]]:
    """The cells of a table and sentences about what was left out of them.

    A run with status `diverged`, or without a finite loss, is a bound and no measurement; runs that `failed`, and runs
    that end inside their warm-up and so never reached the peak LR on their label, are left out.

    Raises:
      BadInput: a column is missing, schedules are mixed, or no cell has enough runs.
    """
    table = runs.need("params_nonembedding", "tokens", "peak_lr", "batch_tokens")
    loss = table[runs.loss_column].to_numpy(float)
    status = table["status"].to_numpy(str) if "status" in table else np.full(len(table), "ok")
    diverged = (status == "diverged") | ((status != "failed") & ~(np.isfinite(loss) & (loss > 0)))
    usable = status != "failed"
    notes = []
    short = runs.short & usable
    if short.any():
        notes.append(f"{short.sum()} of {len(table)} runs end inside their warm-up, short of their peak LR: left out.")
    usable &= ~short
    if "schedule" in table and table["schedule"][usable].nunique() > 1:
        names = sorted(table["schedule"][usable].astype(str).unique())
        raise BadInput(
            f"{runs.source} mixes the schedules {', '.join(names[:4])}, and an optimal LR belongs to one of them: "
            "select it with --where 'schedule==…'."
        )
    columns = {name: table[name].to_numpy(float) for name in ("params_nonembedding", "tokens", *AXES)}
    for name, values in columns.items():
        if not np.all(values[usable] > 0):
            raise BadInput(f"{runs.source} has a {name} that is not more than zero: drop or correct those rows.")
    groups = _groups(columns["params_nonembedding"], columns["tokens"], usable)
    x = np.log(np.stack([columns[name] for name in AXES], 1), where=usable[:, None], out=np.zeros((len(table), 2)))
    cells = []
    for index in groups:
        ended, lost = index[~diverged[index]], index[diverged[index]]
        n, d = float(columns["params_nonembedding"][index[0]]), float(columns["tokens"][index].mean())
        if len(ended) < 4:
            notes.append(f"cell N={n:.4g}, D={d:.4g} has {len(ended)} finished runs, fewer than 4: left out.")
            continue
        cells.append(Cell(n, d, x[ended], np.log(loss[ended]), x[lost]))
    if len(cells) < 2:
        raise BadInput(
            f"{runs.source} has {len(cells)} (N, D) cells with at least 4 finished runs, expected 2 or more: "
            "sweep LR × batch for more sizes or budgets (experiments/train.py -m +sweep=lr_batch)."
        )
    return cells, notes


def _groups(params: np.ndarray, tokens: np.ndarray, usable: np.ndarray) -> list[np.ndarray]:
    groups = []
    for n in np.unique(params[usable]):
        index = np.flatnonzero(usable & (params == n))
        index = index[np.argsort(tokens[index], kind="stable")]
        breaks = np.flatnonzero(np.diff(np.log(tokens[index])) > _SAME_TOKENS) + 1
        groups += [np.sort(part) for part in np.split(index, breaks)]
    return groups


def levels(values: np.ndarray) -> np.ndarray:
    """The distinct values of a grid axis in logs, ascending: labels that differ by rounding only are one."""
    values = np.unique(values)
    parts = np.split(values, np.flatnonzero(np.diff(values) > _SAME_LABEL) + 1)
    return np.array([part.mean() for part in parts])


def edges(cell: Cell, optimum: np.ndarray) -> dict[str, dict[str, Any]]:
    """Per axis, whether the best run or the fitted optimum lies on the grid's edge, and the values to add.

    Returns:
      {"peak_lr": {"edge": "low" | "high" | None, "add": [values]}, "batch_tokens": …}. A high edge beyond which runs
      diverged is no edge: the LR was bracketed.
    """
    answer: dict[str, dict[str, Any]] = {}
    for k, name in enumerate(AXES):
        grid = levels(cell.x[:, k])
        side = None
        if len(grid) == 1:
            step, side = np.log(2.0), "single"
        else:
            step = float(np.median(np.diff(grid)))
            best = cell.x[cell.best, k]
            if best <= grid[0] + _SAME_LABEL or optimum[k] < grid[0]:
                side = "low"
            elif best >= grid[-1] - _SAME_LABEL or optimum[k] > grid[-1]:
                side = "high"
            if side == "high" and k == 0 and len(cell.diverged) and cell.diverged[:, 0].max() > grid[-1]:
                side = None
        ends = {
            "low": (grid[0] - step, grid[0] - 2 * step),
            "high": (grid[-1] + step, grid[-1] + 2 * step),
            "single": (grid[0] - step, grid[-1] + step),
        }
        answer[name] = {"edge": side, "add": [float(np.exp(v)) for v in ends[side]] if side else []}
    return answer


def describe(cells: Sequence[Cell]) -> dict[str, list[float]]:
    """Smallest and largest N, D and D/N of the cells."""
    n, d = np.array([c.params for c in cells]), np.array([c.tokens for c in cells])
    return {
        name: [float(v.min()), float(v.max())]
        for name, v in (("params", n), ("tokens", d), ("tokens_per_param", d / n))
    }
