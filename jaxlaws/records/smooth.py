"""Losses that are far from the smooth surface of all others over N and D."""

from __future__ import annotations

import numpy as np

from jaxlaws.records.cells import swept
from jaxlaws.records.columns import settings_in
from jaxlaws.records.doubts import ask, noted
from jaxlaws.records.table import Runs
from jaxlaws.text import printable, quoted

#: Residual of ln loss from which a run is asked about: absolute, and in robust standard deviations.
FAR, FAR_SD = 0.35, 8.0
#: Finished runs from which the surface is fitted at all, and from which it has second powers.
MIN_RUNS, MIN_CURVED = 8, 12
_SWEEPS, _ROWS = 40, 20_000


def outliers(runs: Runs) -> Runs:
    """Runs whose loss is far from what the others say: one in another unit, a misread cell, or a diverged one.

    ln L is fitted by a polynomial of second degree in ln N and ln D with least absolute errors, which a minority of
    wrong losses does not move. A table that sweeps the LR or the batch at one (N, D), or what other laws read, is left
    to the laws of those.
    """
    table = runs.table
    if not runs.in_nats or (runs.curves and "tokens" not in table):
        return runs
    table = runs.finished().table
    axes = [name for name in ("params_nonembedding", "params_total", "tokens") if name in table]
    axes = [name for name in axes if name != "params_total" or "params_nonembedding" not in axes]
    if any(table[name].nunique() > 1 for name in settings_in(table)):
        return runs
    logs = [np.log(table[name].to_numpy(float)) for name in axes]
    logs = [(x - x.mean()) / x.std() for x in logs if len(x) >= MIN_RUNS and x.std() > 0]
    if not logs or swept(runs):
        return runs
    y = np.log(table[runs.loss_column].to_numpy(float))
    columns = [np.ones(len(y)), *logs]
    if len(y) >= MIN_CURVED:
        columns += [logs[i] * logs[j] for i in range(len(logs)) for j in range(i + 1)]
    residual = _least_absolute(np.stack(columns, 1), y)
    sd = 1.4826 * float(np.median(np.abs(residual)))
    bad = np.abs(residual) > max(FAR, FAR_SD * sd)
    if not bad.any():
        return runs
    worst = int(np.argmax(np.abs(residual)))
    name, value = printable(table.index[worst]), float(table[runs.loss_column].iloc[worst])
    what = (
        f"{bad.sum()} of {len(y)} losses are far from the smooth surface of the others (run '{name}' has {value:.4g}, "
        f"{np.exp(residual[worst]):.3g} times what they say): they may be in another unit, misread, or of runs that "
        "diverged"
    )
    if runs.assume.get("outliers") == "out":
        return noted(runs.at(~runs.table.index.isin(table.index[bad])), "outliers", f"{what}; they are left out")
    return ask(
        runs,
        "outliers",
        what,
        "correct them, set their status to diverged, or leave them out with --assume outliers=out"
        + (f" or --where {quoted(f'run_id!={name}')}" if bad.sum() == 1 else ""),
    )


def _least_absolute(a: np.ndarray, y: np.ndarray) -> np.ndarray:
    """y − A x of the x with the smallest Σ|y − A x|, by iterated weights over at most `_ROWS` rows."""
    some = np.random.default_rng(0).permutation(len(y))[:_ROWS]
    part, target = a[some], y[some]
    weight, x = np.ones(len(some)), np.zeros(a.shape[1])
    for _ in range(_SWEEPS):
        weighted = part.T * weight
        x = np.linalg.lstsq(weighted @ part, weighted @ target, rcond=None)[0]
        weight = 1 / np.maximum(np.abs(target - part @ x), 1e-4)
    return y - a @ x
