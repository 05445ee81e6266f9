"""Traps of a law of LR and batch: tables that look like a sweep and are none, each with the verdict that it deserves.

A trap is a row of `TRAPS`: what happens to a clean sweep, and the statuses that are honest about it.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from jaxlaws.bench.recommend import TRUTH
from jaxlaws.recommender.estimate import estimate
from jaxlaws.records.table import Runs

NAMES = ["params_nonembedding", "tokens", "peak_lr", "batch_tokens", "loss_nats"]
REFUSED = {"weak", "misfit", "unidentified", "not_converged"}
GRAVE = REFUSED - {"weak"}
FAIR = {"converged", "weak"}
SIZES, BUDGETS = (1e8, 2e8, 4e8, 8e8), (2e9, 8e9, 3.2e10)


def sweep(
    params=SIZES,
    tokens=BUDGETS,
    lrs=(-2, -1, 0, 1, 2),
    batches=(-2, -1, 0, 1, 2),
    noise=1.5e-3,
    scatter=0.1,
    seed=0,
    ray=None,
) -> pd.DataFrame:
    """LR × batch grids in factors of two about rounded guesses of the optima of `TRUTH`, as people make them."""
    rng = np.random.default_rng(seed)
    rows = []
    for n in params:
        for d in tokens if ray is None else (ray * n,):
            optimum = TRUTH @ [1.0, np.log(n), np.log(d)]
            guess = np.round(optimum / np.log(2)) * np.log(2)
            optimum = optimum + scatter * rng.standard_normal(2)
            base = 1.7 + 420 / n**0.34 + 1600 / d**0.33
            for i in lrs:
                for j in batches:
                    u, v = guess + np.log(2) * np.array([i, j]) - optimum
                    penalty = 0.016 * (np.expm1(1.4 * u) - 1.4 * u) / 1.96 + 0.007 * v**2 - 0.005 * u * v
                    loss = base * np.exp(penalty + noise * rng.standard_normal())
                    rows.append((n, d, *np.exp(guess + np.log(2) * np.array([i, j])), loss))
    return pd.DataFrame(rows, columns=NAMES)


def losses(change: Callable[[pd.DataFrame, np.random.Generator], object], **grid) -> pd.DataFrame:
    """A sweep whose losses are replaced."""
    table = sweep(**grid)
    return table.assign(loss_nats=change(table, np.random.default_rng(1)))


def shuffled(column: str) -> pd.DataFrame:
    table = sweep()
    return table.assign(**{column: np.random.default_rng(0).permutation(table[column].to_numpy())})


def times_ten(table: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    return table["loss_nats"].to_numpy() * np.where(rng.random(len(table)) < 1 / 3, 10.0, 1.0)


ONE_BATCH = {"batches": (0,), "lrs": (-2, -1, 0, 1)}
#: trap → (table, honest statuses).
TRAPS: dict[str, tuple[Callable[[], pd.DataFrame], set[str]]] = {
    "clean": (sweep, {"converged"}),
    "all losses equal": (lambda: losses(lambda t, rng: 3.0), GRAVE),
    "the loss of a cell is one number": (lambda: losses(lambda t, rng: 2 + t["tokens"] / 1e12), GRAVE),
    "pure noise": (lambda: losses(lambda t, rng: 3 + 0.1 * rng.standard_normal(len(t))), GRAVE),
    "small noise": (lambda: losses(lambda t, rng: 3 + 1e-6 * rng.standard_normal(len(t))), GRAVE),
    "noise at one batch": (lambda: losses(lambda t, rng: 3 + 0.1 * rng.standard_normal(len(t)), **ONE_BATCH), REFUSED),
    "losses shuffled": (lambda: shuffled("loss_nats"), GRAVE),
    "LRs shuffled": (lambda: shuffled("peak_lr"), GRAVE),
    "upside down": (lambda: losses(lambda t, rng: 6 - t["loss_nats"]), GRAVE),
    "falls with the LR": (lambda: losses(lambda t, rng: 3 - 0.1 * np.log(t["peak_lr"])), GRAVE),
    "rises with the LR": (lambda: losses(lambda t, rng: 5 + 0.1 * np.log(t["peak_lr"])), GRAVE),
    "of the batch only": (lambda: losses(lambda t, rng: 3 + 0.01 * np.log(t["batch_tokens"] / 3e5) ** 2), GRAVE),
    "of the LR only": (
        lambda: losses(lambda t, rng: 3 + 0.02 * np.log(t["peak_lr"] / 1e-3) ** 2 + 1e-3 * rng.standard_normal(len(t))),
        {"weak"},
    ),
    "one LR": (lambda: sweep(lrs=(0,)), GRAVE),
    "two LRs": (lambda: sweep(lrs=(-1, 1)), GRAVE),
    "one LR, one batch": (lambda: sweep(lrs=(0, 0, 0, 0), batches=(0,)), GRAVE),
    "one batch": (lambda: sweep(**ONE_BATCH), {"weak"}),
    "two batches": (lambda: sweep(batches=(0, 1)), {"weak"}),
    "three LRs at one batch": (lambda: sweep(params=SIZES[:3], tokens=(8e9,), lrs=(-1, 0, 1), batches=(0,)), REFUSED),
    "one ray": (lambda: sweep(ray=20), {"weak"}),
    "two cells": (lambda: sweep(params=SIZES[:2], tokens=(8e9,)), REFUSED),
    "LRs all too high": (lambda: sweep(lrs=(2, 3, 4, 5)), REFUSED),
    "LRs all too low": (lambda: sweep(lrs=(-5, -4, -3, -2)), REFUSED),
    "batches all too large": (lambda: sweep(batches=(2, 3, 4, 5)), {"weak"}),
    "losses × 10 here and there": (lambda: losses(times_ten), GRAVE),
    "LR × 1000": (lambda: sweep().assign(peak_lr=lambda t: 1e3 * t["peak_lr"]), GRAVE),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_traps_are_seen(trap):
    make, honest = TRAPS[trap]
    fit = estimate(Runs(make()), bootstrap=100)
    assert fit.status in honest, (fit.status, fit.warnings)
    if fit.status in FAIR:
        for name, (low, high) in fit.intervals.items():
            assert low < high, name
            assert low <= fit.params[name] <= high, name
    else:
        assert fit.warnings[0].endswith(".")
    if fit.status != "converged":
        assert all(item["remedy"] for item in fit.findings)
