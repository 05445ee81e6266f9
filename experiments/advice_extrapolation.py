"""Advice for sizes and budgets that a law was not fitted to: regret and coverage on the public Step Law cells.

    python experiments/advice_extrapolation.py [--data DIR]

Every law is fitted to the 17 cells without all cells of one N, without all cells of one D, or without a whole side of
the table, and scored on the cells that were left out (`jaxlaws.recommender.surface.Surface`). "Ends" are the cells of
the smallest and the largest N (or D): those that lie outside what was fitted. Standard errors are from the noise of
runs; coverage is of the surface's minimum by the 80% intervals, LR and batch.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxlaws.bench.recommend import near_best_recipe
from jaxlaws.recommender.cells import Cell, cells_of
from jaxlaws.recommender.estimate import estimate
from jaxlaws.recommender.hyperfit import HyperFit
from jaxlaws.recommender.presets import PRESETS
from jaxlaws.recommender.score import Scores, score, without
from jaxlaws.recommender.surface import Surface
from jaxlaws.records.source import open_runs
from jaxlaws.records.table import Runs

DATA = Path(os.environ.get("JAXLAWS_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
#: Runs → (N, D) → (ln η, ln B) and the half widths of their intervals, NaN where there are none.
Fitter = Callable[[Runs], Callable[[float, float], tuple[Sequence[float], Sequence[float]]]]


class Fold(NamedTuple):
    """Indices of cells that are left out together, one fit a group."""

    name: str
    groups: list[list[int]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA / "step_law" / "dense_lr_bs_loss.csv")
    runs = open_runs(parser.parse_args().data, format="step_law")
    cells, _ = cells_of(runs)
    surfaces = [Surface(cell) for cell in cells]
    folds = leave_out(cells)
    laws = fitters()
    cache: dict[tuple[str, tuple[int, ...]], tuple[np.ndarray, np.ndarray]] = {}
    for fold in folds:
        print(f"\n{fold.name}: {sum(map(len, fold.groups))} cells")
        print(f"  {'':<34}regret (s.e.)     max    LR in  batch in   half widths")
        for name, law in laws.items():
            show(name, scored(runs, cells, surfaces, fold, name, law, cache))


def leave_out(cells: list[Cell]) -> list[Fold]:
    """What is left out: cells one by one, sizes, budgets, the ends of both, and whole sides of the table."""
    n = np.array([cell.params for cell in cells])
    d = np.round(np.log([cell.tokens for cell in cells]), 2)
    by = {name: [at(x == level) for level in np.unique(x)] for name, x in (("N", n), ("D", d))}
    sizes, middle = np.unique(n), np.log(2e10)
    return [
        Fold("each cell", [[i] for i in range(len(cells))]),
        Fold("each N", by["N"]),
        Fold("each D", by["D"]),
        Fold("each N, ends", [by["N"][0], by["N"][-1]]),
        Fold("each N, inside", by["N"][1:-1]),
        Fold("each D, ends", [by["D"][0], by["D"][-1]]),
        Fold("each D, inside", by["D"][1:-1]),
        Fold("the two smallest N", [at(n <= sizes[1])]),
        Fold("the two largest N", [at(n >= sizes[-2])]),
        Fold("D below 20B", [at(d < middle - 0.1)]),
        Fold("D above 20B", [at(d > middle + 0.1)]),
    ]


def at(chosen: np.ndarray) -> list[int]:
    return [int(i) for i in np.flatnonzero(chosen)]


def fitters() -> dict[str, Fitter]:
    """What is compared: presets that saw every cell, the authors' recipe, and ours."""
    presets = {f"{name} (saw them)": fixed(law) for name, law in PRESETS.items() if isinstance(law, HyperFit)}
    return presets | {
        "near-best recipe": recipe,
        "two stages (default)": fitted(partial(estimate, bootstrap=300)),
        "one stage": fitted(partial(estimate, bootstrap=300, method="one_stage")),
    }


def fixed(law: HyperFit) -> Fitter:
    return lambda runs: lambda n, d: (law.optimum(n, d), [law.half_width(axis, n, d) for axis in ("lr", "batch")])


def fitted(fit: Callable[[Runs], HyperFit]) -> Fitter:
    return lambda runs: fixed(fit(runs))(runs)


def recipe(runs: Runs) -> Callable[[float, float], tuple[Sequence[float], Sequence[float]]]:
    table = near_best_recipe(runs, 0)
    return lambda n, d: (tuple(table @ [1, np.log(n), np.log(d)]), (np.nan, np.nan))


def scored(
    runs: Runs,
    cells: list[Cell],
    surfaces: list[Surface],
    fold: Fold,
    name: str,
    law: Fitter,
    cache: dict[tuple[str, tuple[int, ...]], tuple[np.ndarray, np.ndarray]],
) -> Scores:
    """The scores of one law on the cells of a fold, each fit made once."""
    order, advice, half = [], [], []
    for group in fold.groups:
        key = (name, tuple(group))
        if key not in cache:
            answer = law(without(runs, [cells[i] for i in group]))
            said = [answer(cells[i].params, cells[i].tokens) for i in group]
            cache[key] = np.array([a for a, _ in said]), np.array([h for _, h in said])
        order += group
        advice.append(cache[key][0])
        half.append(cache[key][1])
    return score([cells[i] for i in order], [surfaces[i] for i in order], np.concatenate(advice), np.concatenate(half))


def show(name: str, s: Scores) -> None:
    error = np.sqrt(np.sum(s.error**2)) / len(s.regret)
    line = f"  {name:<34}{s.regret.mean():6.3%} ({error:.3%}) {s.regret.max():6.3%}"
    if np.isfinite(s.half).all():
        lr, batch = s.covered().sum(0)
        wide = np.exp(s.half.mean(0))
        line += f"  {lr:>3}/{len(s.cells)}   {batch:>3}/{len(s.cells)}    ×{wide[0]:.2f} ×{wide[1]:.2f}"
    print(line + ("" if s.inside.all() else f"   {np.sum(~s.inside)} outside the surface's runs"))


if __name__ == "__main__":
    main()
