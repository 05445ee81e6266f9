"""Scoring a recommender by regret: every cell in turn is left out, advised for, and measured on its own surface."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jaxlaws.recommender.cells import Cell, cells_of
from jaxlaws.recommender.hyperfit import HyperFit
from jaxlaws.recommender.surface import Surface

if TYPE_CHECKING:
    from jaxlaws.records.table import Runs

#: (N, D) → (ln η, ln B).
Recommender = Callable[[float, float], tuple[float, float]]


class Scores(NamedTuple):
    """Advice for cells and what it cost.

    Attributes:
      cells: the cells.
      surfaces: of the cells.
      advice: [cells, 2] (ln η, ln B).
      half: [cells, 2] half widths of the intervals in logs; NaN where the recommender states none.
      regret: [cells] relative loss over the surface's minimum.
      error: [cells] standard error of `regret`.
      inside: [cells] whether the advice lies in the box of the surface's runs.
    """

    cells: list[Cell]
    surfaces: list[Surface]
    advice: np.ndarray
    half: np.ndarray
    regret: np.ndarray
    error: np.ndarray
    inside: np.ndarray

    def covered(self) -> np.ndarray:
        """[cells, 2] whether the interval of each axis holds the surface's minimum."""
        minimum = np.array([surface.minimum for surface in self.surfaces])
        return np.abs(minimum - self.advice) <= self.half

    def basin_covered(self) -> np.ndarray:
        """[cells] whether the box of both intervals meets the basin that the noise cannot tell from the minimum.

        The basin is where the surface is within one standard error of its difference from the minimum.
        """
        answer = []
        for surface, x, half in zip(self.surfaces, self.advice, self.half, strict=True):
            grid = surface.basin(0.005)
            grid = np.concatenate([grid, surface.minimum[None]])
            flat = grid[surface.regret(grid) <= surface.standard_error(grid)]
            answer.append(bool(np.any(np.all(np.abs(flat - x) <= half, axis=1))))
        return np.array(answer)


def score(cells: list[Cell], surfaces: list[Surface], advice: np.ndarray, half: np.ndarray | None = None) -> Scores:
    """The regret of advice [cells, 2] for cells."""
    rows = [x[None] for x in advice]
    return Scores(
        cells,
        surfaces,
        advice,
        np.full(advice.shape, np.nan) if half is None else half,
        np.array([s.regret(x)[0] for s, x in zip(surfaces, rows, strict=True)]),
        np.array([s.standard_error(x)[0] for s, x in zip(surfaces, rows, strict=True)]),
        np.array([s.inside(x)[0] for s, x in zip(surfaces, rows, strict=True)]),
    )


def score_law(runs: Runs, law: Recommender, **surface: float) -> Scores:
    """The regret of a fixed law on every cell."""
    cells, _ = cells_of(runs)
    advice = np.array([law(cell.params, cell.tokens) for cell in cells])
    return score(cells, [Surface(cell, **surface) for cell in cells], advice)


def held_out(
    runs: Runs,
    fit: Callable[[Runs], HyperFit],
    train: Callable[[Cell], bool] | None = None,
    **surface: float,
) -> Scores:
    """The regret on cells that `fit` does not see: all but those of `train`, or without it each cell in turn.

    Args:
      runs: a table over LR × batch in (N, D) cells.
      fit: runs → law.
      train: whether a cell is fitted to; the others are scored with one fit.
      **surface: of `Surface`.
    """
    cells, _ = cells_of(runs)
    groups = [[i] for i in range(len(cells))] if train is None else [[i for i, c in enumerate(cells) if not train(c)]]
    answers: dict[int, tuple[tuple[float, float], tuple[float, float]]] = {}
    for group in groups:
        law = fit(without(runs, [cells[i] for i in group]))
        for i in group:
            n, d = cells[i].params, cells[i].tokens
            answers[i] = law.optimum(n, d), (law.half_width("lr", n, d), law.half_width("batch", n, d))
    subset = [cells[i] for i in answers]
    return score(
        subset,
        [Surface(cell, **surface) for cell in subset],
        np.array([advice for advice, _ in answers.values()]),
        np.array([half for _, half in answers.values()]),
    )


def without(runs: Runs, cells: list[Cell]) -> Runs:
    """The runs that belong to none of these cells."""
    n, d = (runs.table[name].to_numpy(float) for name in ("params_nonembedding", "tokens"))
    keep = np.ones(len(n), bool)
    for cell in cells:
        keep &= ~((n == cell.params) & (np.abs(np.log(d / cell.tokens)) < 0.1))
    return runs.select(runs.table.index[keep])
