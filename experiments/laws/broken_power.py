"""The broken power law on public tables of one variable: our objective over the lowest that scipy finds from 30 starts.

    python experiments/laws/broken_power.py ../shared/data        # five minutes on two busy cores

The tables are every (N, D) of the step-law runs with seven learning rates or more, in the order of the file; of the
sizes of Farseer and the models of both fine-tuning tasks the first, the middle and the last; of over_training the first
three groups.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import least_squares

from jaxlaws.fitting.fit import fit
from jaxlaws.fitting.noise import DELTA
from jaxlaws.records.published import load
from jaxlaws.records.table import Runs

STARTS, LEAST = 30, 7


def series(folder: Path) -> Iterator[tuple[str, pd.Series]]:
    """Name and losses by x of every table."""
    cells = load(folder / "step_law/dense_lr_bs_loss.csv", "step_law").table
    for _, cell in cells.groupby(["params_nonembedding", "tokens"], sort=False):
        n, d = (float(cell[name].iloc[0]) for name in ("params_nonembedding", "tokens"))
        lowest = cell.groupby("peak_lr")["loss_nats"].min()
        if len(lowest) >= LEAST:
            yield f"step_law N {n:.3g}, D {d:.3g}", lowest
    farseer = load(folder / "scalebench/farseer.csv", "farseer")
    sizes = next(str(column) for column in farseer.table if str(column).startswith("params"))
    yield from _three("farseer", farseer.table.groupby(sizes), "tokens", farseer.loss_column)
    for task in ("gigaword", "flan"):
        runs = load(folder / f"rectified/rectified_scaling_law_{task}.csv", "rectified").table
        groups = runs[runs["finetune_examples"] > 0].groupby("group", sort=False)
        yield from _three(task, groups, "finetune_examples", "loss_nats")
    models = load(folder / "over_training/models.csv", "over_training").table
    sizes = next(str(column) for column in models if str(column).startswith("params"))
    loss = next(str(column) for column in models if "loss" in str(column))
    for size, runs in list(models.groupby("group" if "group" in models else sizes))[:3]:
        yield f"over_training {size}", runs.groupby("tokens")[loss].min()


def _three(name: str, groups, x: str, loss: str) -> Iterator[tuple[str, pd.Series]]:
    """The first, the middle and the last group."""
    parts = list(groups)
    for key, part in (parts[i] for i in (0, len(parts) // 2, len(parts) - 1)):
        yield f"{name} {key}", part.set_index(x)[loss]


def lowest_of_scipy(x: np.ndarray, loss: np.ndarray) -> float:
    """The lowest Huber objective in ln a, ln of b at the mean of ln x, c0, c1, ln d1 and ln f1."""
    log_x = np.log(x)

    def residual(constants):
        log_a, log_b, c0, c1, log_d, log_f = constants
        with np.errstate(all="ignore"):
            f = np.exp(np.clip(log_f, -9, 9))
            bend = c1 * f * np.logaddexp(0, (log_x - log_d) / f)
            fitted = np.exp(log_a) + np.exp(log_b - c0 * (log_x - log_x.mean()) - bend)
            off = np.log(np.maximum(fitted, 1e-9)) - np.log(loss)
        return np.nan_to_num(np.clip(off, -1e3, 1e3), nan=1e3)

    rng, lowest = np.random.default_rng(0), np.inf
    for _ in range(STARTS):
        a = rng.uniform(0.05, 0.99) * loss.min()
        b = max((loss.max() + loss.min()) / 2 - a, 1e-3)
        slopes = rng.uniform(-0.3, 0.5), rng.uniform(-2, 2)
        bend = rng.uniform(log_x.min() - 0.5, log_x.max() + 0.5), rng.uniform(np.log(0.03), np.log(3))
        start = [np.log(a), np.log(b), *slopes, *bend]
        lowest = min(
            lowest, least_squares(residual, start, x_scale="jac", loss="huber", f_scale=DELTA, max_nfev=3000).cost
        )
    return lowest


def main(folder: Path) -> None:
    print("| table | points | ours over scipy's | status |")
    print("|---|---|---|---|")
    for name, losses in series(folder):
        x, loss = losses.index.to_numpy(float), losses.to_numpy(float)
        ours = fit("broken_power", Runs(pd.DataFrame({"x": x, "loss_nats": loss})), bootstrap=0)
        assert ours.objective is not None
        print(
            f"| {name} | {len(x)} | {ours.objective / lowest_of_scipy(x, loss):.4f} | {ours.status} |",
            flush=True,
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
