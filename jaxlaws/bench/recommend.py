"""Advice and refits of a law of LR and batch, on simulated grids of the published shape."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd

from jaxlaws.bench import Row, median_seconds
from jaxlaws.recommender.estimate import estimate
from jaxlaws.records.table import Runs

#: (ln η, ln B) over (1, ln N, ln D) of the simulated runs.
TRUTH = np.array([[0.58, -0.71, 0.30], [-0.54, 0.0, 0.57]])
_RESAMPLES = 1000


def rows(repeats: int = 5) -> list[Row]:
    """Seconds of the import, of the command that advises, of a refit with its bootstrap, and its one-stage variant."""
    command = [sys.executable, "-m", "jaxlaws", "recommend", "--params", "7e9", "--tokens", "1.4T", "--json"]
    query, process = median_seconds(lambda: subprocess.run(command, capture_output=True, check=True), repeats)
    numpy_alone, _ = median_seconds(lambda: subprocess.run([sys.executable, "-c", "import numpy"], check=True), repeats)
    package, _ = median_seconds(lambda: subprocess.run([sys.executable, "-c", "import jaxlaws"], check=True), repeats)
    python, _ = median_seconds(lambda: subprocess.run([sys.executable, "-c", ""], check=True), repeats)
    runs = step_law_runs()
    estimate(runs, bootstrap=10)
    refit, fit = median_seconds(lambda: estimate(runs, bootstrap=_RESAMPLES), repeats)
    single, _ = median_seconds(lambda: estimate(runs, method="one_stage", bootstrap=_RESAMPLES), repeats)
    base, _ = median_seconds(lambda: near_best_recipe(runs, _RESAMPLES), repeats)
    recipe = "runs within 0.25% of a cell's best, least squares, runs resampled one by one"
    note = f"{len(runs.table)} runs in {len(fit.cells)} cells, {_RESAMPLES} resamples"
    return [
        Row("python -c 'import jaxlaws'", package, python, "python -c ''", "no JAX is loaded"),
        Row(
            "jaxlaws recommend, the whole command",
            query,
            numpy_alone,
            "python -c 'import numpy'",
            f"{len(process.stdout)} bytes of JSON",
        ),
        Row("refit, two stages, bootstrap by cell", refit, base, recipe, note),
        Row("refit, one stage, bootstrap by cell, every cell left out once", single, note=note),
    ]


def step_law_runs(
    noise: float = 1.5e-3,
    scatter: float = 0.1,
    seed: int = 0,
    params: tuple[float, ...] = (2.1e8, 2.7e8, 4.3e8, 1.07e9),
    tokens: tuple[float, ...] = (4e9, 1.2e10, 3e10, 1e11),
    half_lrs: int = 5,
    half_batches: int = 4,
    truth: np.ndarray = TRUTH,
) -> Runs:
    """LR × batch grids about known optima; runs far above the best LR diverge.

    Args:
      noise: sd of a run's ln loss.
      scatter: sd of a cell's optimum about the law, in logs.
      seed: of both.
      params, tokens: every pair is a cell.
      half_lrs, half_batches: the grids reach this many steps of √2 and 2^0.75 to either side of a rounded guess.
      truth: [2, 3] coefficients of (ln η*, ln B*) over (1, ln N, ln D).
    """
    rng = np.random.default_rng(seed)
    records = []
    for n in params:
        for d in tokens:
            optimum = truth @ [1.0, np.log(n), np.log(d)]
            steps = np.array([np.log(2) / 2, 0.75 * np.log(2)])
            guess = np.round(optimum / steps) * steps
            optimum = optimum + scatter * rng.standard_normal(2)
            for i in range(-half_lrs, half_lrs + 1):
                for j in range(-half_batches, half_batches + 1):
                    x = guess + steps * [i, j]
                    u, v = x - optimum
                    penalty = 0.016 * (np.expm1(1.4 * u) - 1.4 * u) / 1.96 + 0.007 * v**2 - 0.005 * u * v
                    base = 1.7 + 420 / n**0.34 + 1600 / d**0.33
                    loss = base * np.exp(penalty + noise * rng.standard_normal())
                    diverges = u > 1.7
                    records.append((n, d, *np.exp(x), np.nan if diverges else loss, "diverged" if diverges else "ok"))
    names = ["params_nonembedding", "tokens", "peak_lr", "batch_tokens", "loss_nats", "status"]
    return Runs(pd.DataFrame(records, columns=names), source="simulated LR × batch grids")


def near_best_recipe(runs: Runs, resamples: int, within: float = 0.0025, seed: int = 0) -> np.ndarray:
    """[2, 3] mean coefficients of ln η on (ln N, ln D) and ln B on ln D over runs near their cell's best.

    The recipe of Li et al. 2025, arXiv 2503.04715: least squares on the runs whose loss is less than `within` above the
    best of their cell, averaged over bootstraps of those runs.
    """
    table = runs.finished().table
    loss = runs.loss_column
    best = table.groupby(["params_nonembedding", "tokens"])[loss].transform("min")
    near = table[table[loss] < (1 + within) * best]
    design = np.log(near[["params_nonembedding", "tokens"]].to_numpy(float))
    design = np.concatenate([np.ones((len(near), 1)), design], 1)
    log_lr, log_batch = np.log(near["peak_lr"].to_numpy(float)), np.log(near["batch_tokens"].to_numpy(float))
    rng = np.random.default_rng(seed)
    draws = np.zeros((max(resamples, 1), 2, 3))
    for i in range(len(draws)):
        rows = rng.integers(0, len(near), len(near)) if resamples else np.arange(len(near))
        draws[i, 0] = np.linalg.lstsq(design[rows], log_lr[rows], rcond=None)[0]
        draws[i, 1, [0, 2]] = np.linalg.lstsq(design[rows][:, [0, 2]], log_batch[rows], rcond=None)[0]
    return draws.mean(0)
