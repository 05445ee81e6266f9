"""Curves from a long table: one row a step, as loggers export them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from jaxlaws.errors import BadInput
from jaxlaws.records.table import COLUMNS, MAX_STEPS, Curve, Runs

LONG_COLUMNS = ("run_id", "step", "lr", "loss")
#: Largest gap between logged LRs that differ, as a share of the steps; across it the LR is taken to be linear.
MAX_GAP = 0.05
#: Steps of one curve, and of all curves of a file, whose learning rates are kept in memory.
LONGEST, LONGEST_TOGETHER = 10 * MAX_STEPS, 3e8


def curves_of(table: pd.DataFrame, source: str) -> Runs:
    """Runs with curves from rows `run_id, step, lr, loss`, one row a logged step, in order.

    `step` counts from 0, `lr` is the LR of that step, and the loss has seen the LRs up to and including it. Between
    logged steps the LR is linear. A curve that does not begin at its first steps needs the column `warmup_steps` =
    W: before its first row, LR = first logged LR · min((t+1)/W, 1). Columns of `COLUMNS` that are constant along a run
    become columns of the table of runs.

    Raises:
      BadInput: a column is missing; steps are repeated or unordered; losses or LRs are not positive numbers; LRs are
        unknown before the first row or across a gap.
    """
    missing = [name for name in ("step", "lr", "loss") if name not in table]
    if missing:
        raise BadInput(
            f"{source} has steps and no column {', '.join(missing)}; it has {', '.join(table.columns)}: name the "
            "missing ones with --map lr=NAME or --map loss=NAME."
        )
    if "run_id" not in table:
        table = table.assign(run_id="curve")
    together = float(table.groupby("run_id")["step"].max().clip(upper=LONGEST).sum())
    if together > LONGEST_TOGETHER:
        raise BadInput(
            f"{source} has curves of {together:.3g} steps together, more than {LONGEST_TOGETHER:.0e}: keep the ones "
            "that are needed, or divide steps that count tokens."
        )
    curves = {str(name): _curve(rows, str(name)) for name, rows in table.groupby("run_id", sort=False)}
    rows = {name: _row(curve) for name, curve in curves.items()}
    runs = pd.DataFrame.from_dict(rows, orient="index").rename_axis("run_id")
    for name in table.columns:
        if name in COLUMNS and name not in runs:
            values = table.groupby("run_id", sort=False)[name].agg(["first", "nunique"])
            if (values["nunique"] > 1).any():
                raise BadInput(
                    f"{source}: {name} changes along the run '{values['nunique'].idxmax()}', expected one value."
                )
            runs[name] = values["first"]
    return Runs(runs, curves, source=source)


def _row(curve: Curve) -> dict[str, float]:
    return {
        "steps": len(curve.lr),
        "peak_lr": curve.lr.max(),
        "final_lr": curve.lr[-1],
        "warmup_steps": curve.warmup_steps,
        "loss_nats": curve.loss[-1],
    }


def _curve(rows: pd.DataFrame, name: str) -> Curve:
    step, lr, loss = (rows[column].to_numpy(float) for column in ("step", "lr", "loss"))
    if not np.all(np.isfinite(step)) or np.any(step != np.round(step)) or np.any(step < 0):
        raise BadInput(f"curve '{name}' has a step that is not a whole number from 0: drop those rows first.")
    if step.max() >= LONGEST:
        raise BadInput(
            f"curve '{name}' has the step {step.max():.3g}, more than {LONGEST:.0e}: steps may be counted in tokens, "
            "divide them by what one optimiser step takes."
        )
    if np.isnan(loss).any():
        raise BadInput(
            f"curve '{name}' has no loss at step {step[np.isnan(loss)][0]:.0f}, expected a positive number: leave out "
            "rows without a loss, the LR between the others is taken to be linear."
        )
    at = step.astype(int)
    Curve(np.ones(int(at.max()) + 1), at, loss, 0).check(name)
    if not np.all(np.isfinite(lr)) or np.any(lr < 0):
        raise BadInput(f"curve '{name}' has a learning rate that is negative or not a number.")
    gap, changes = np.diff(at), np.abs(np.diff(lr)) > 1e-3 * lr.max()
    if np.any(gap[changes] > max(MAX_GAP * (at[-1] + 1), 1)):
        where = int(at[:-1][changes][np.argmax(gap[changes])])
        raise BadInput(
            f"curve '{name}' logs no LR for {int(gap[changes].max())} steps after step {where}, while it changes: "
            f"expected a row at least every {MAX_GAP:.0%} of the steps there."
        )
    array = np.interp(np.arange(at[-1] + 1), at, lr)
    warmup = _warmup_steps(rows, array, at, name)
    before = np.arange(at[0])
    array[: at[0]] = lr[0] * np.minimum((before + 1) / max(min(warmup, at[0] + 1), 1), 1)
    return Curve(array, at, loss, warmup).check(name)


def _warmup_steps(rows: pd.DataFrame, lr: np.ndarray, at: np.ndarray, name: str) -> int:
    """W as stated, else the steps until the LR first stops rising."""
    if "warmup_steps" in rows:
        warmup = float(rows["warmup_steps"].iloc[0])
        if not 0 <= warmup <= LONGEST or warmup != round(warmup):
            raise BadInput(f"curve '{name}' has warmup_steps {warmup:g}, expected a whole number from 0.")
        return int(warmup)
    if at[0] > max(np.diff(at[:2]).max(initial=1), 1):
        raise BadInput(
            f"curve '{name}' begins at step {at[0]} and the LRs before it are unknown: add the column warmup_steps."
        )
    rising = np.diff(lr) > 0
    rising[: at[0]] = rising[at[0]] if len(rising) > at[0] else False
    stop = int(np.argmin(rising)) if not rising.all() else len(rising)
    return stop + 1 if stop else 0
