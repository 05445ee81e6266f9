"""Curves from a long table: one row a step, as loggers export them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from jaxlaws.errors import BadInput
from jaxlaws.inputs import input_of, logged_inputs
from jaxlaws.records.columns import WORDS, declared, is_column, target_of
from jaxlaws.records.table import MAX_STEPS, Curve
from jaxlaws.text import printable

#: Largest gap between logged LRs that differ, as a share of the steps; across it the LR is taken to be linear.
MAX_GAP = 0.05
#: Steps of one curve, and of all curves of a file, whose learning rates are kept in memory.
LONGEST, LONGEST_TOGETHER = 10 * MAX_STEPS, 3e8
#: Columns that grow along a run, whose last value is that of the run.
_GROWING = ("tokens", "flops_6nd", "seconds", "status", "diverged_step", "warmup_steps")
#: Columns that laws compute with, which have to be constant along a run; others that change are left out.
_CONSTANT = ("params_nonembedding", "params_total", "seq_len", "batch_tokens", "batch_sequences", "flops_budget")


def curves_of(
    table: pd.DataFrame, source: str, nan_loss: np.ndarray, schedules: Mapping[str, np.ndarray]
) -> tuple[pd.DataFrame, dict[str, Curve]]:
    """(table of runs, curves) of rows `run_id, step, lr, loss`, a row a logged step.

    `step` counts from 0, `lr` is the LR of that step, and the loss has seen the LRs up to and including it. Rows
    without a loss or an LR are gaps. Between logged steps the LR is linear. Of several rows of one step the last
    counts, as after a run was resumed. A curve that does not begin at its first steps needs the column `warmup_steps`
    = W: before its first row, LR = first logged LR · min((t+1)/W, 1). Columns of `COLUMNS` that are constant along a
    run become columns of the table of runs, and so does the last value of the tokens; its column `nan_loss` says
    whether the loss of a run ends as NaN.

    Args:
      table: the rows.
      source: for people.
      nan_loss: [rows] whether the loss is written as NaN: a run whose last loss is one has no curve.
      schedules: run id → LR of every step; the other runs need the column lr.

    Raises:
      BadInput: steps are unordered without a run id; losses or LRs are not positive numbers; LRs are unknown before
        the first row or across a gap.
    """
    table, names, code, nan_loss = _order(table, source, nan_loss)
    ends = np.r_[np.flatnonzero(np.diff(code)) + 1, len(code)]
    step = table["step"].to_numpy(float)
    together = float(np.clip(step[ends - 1], None, LONGEST).sum())
    if together > LONGEST_TOGETHER:
        raise BadInput(
            f"{source} has curves of {together:.3g} steps together, more than {LONGEST_TOGETHER:.0e}: keep the ones "
            "that are needed, or divide steps that count tokens."
        )
    fields = ("lr", "loss", "warmup_steps", "peak_lr", *(row.column for row in logged_inputs()))
    columns = {name: table[name].to_numpy(float) for name in fields if name in table}
    curves, rows = {}, {}
    for name, begin, end in zip(names, np.r_[0, ends[:-1]], ends, strict=True):
        part = {key: values[begin:end] for key, values in columns.items()}
        with_loss, ends_nan = _end(part["loss"], nan_loss[begin:end])
        rows[name] = {"steps": step[end - 1] + 1, "loss_nats": np.nan, "nan_loss": ends_nan}
        if "lr" in part and not np.isnan(part["lr"]).all():
            rows[name]["peak_lr"] = np.nanmax(part["lr"])
        if len(with_loss) and not ends_nan:
            curves[name] = _curve(name, step[begin:end], part, schedules.get(name))
            rows[name] |= _row(curves[name])
    return _with_constants(rows, table, code, source), curves


def last_rows(table: pd.DataFrame, source: str, nan_loss: np.ndarray) -> pd.DataFrame:
    """[runs] the last row with a loss of each run, for laws of final losses; the table needs no LR."""
    table, names, code, nan_loss = _order(table, source, nan_loss)
    ends = np.r_[np.flatnonzero(np.diff(code)) + 1, len(code)]
    step, loss = table["step"].to_numpy(float), table["loss"].to_numpy(float)
    rows = {}
    for name, begin, end in zip(names, np.r_[0, ends[:-1]], ends, strict=True):
        with_loss, ends_nan = _end(loss[begin:end], nan_loss[begin:end])
        last = loss[begin + with_loss[-1]] if len(with_loss) and not ends_nan else np.nan
        rows[name] = {"steps": step[end - 1], "loss_nats": last, "nan_loss": ends_nan}
    return _with_constants(rows, table, code, source)


def _end(loss: np.ndarray, nan_loss: np.ndarray) -> tuple[np.ndarray, bool]:
    """(the rows of one run with a loss, whether a NaN comes after the last of them)."""
    with_loss = np.flatnonzero(~np.isnan(loss))
    return with_loss, bool(nan_loss[with_loss[-1] + 1 if len(with_loss) else 0 :].any())


def _order(
    table: pd.DataFrame, source: str, nan_loss: np.ndarray
) -> tuple[pd.DataFrame, list[str], np.ndarray, np.ndarray]:
    """The rows by run and step, one each, with the runs' names and [rows] places."""
    step = table["step"].to_numpy(float)
    code, names = pd.factorize(table["run_id"] if "run_id" in table else np.full(len(table), "curve"))
    loss_steps = step[table["loss"].notna().to_numpy()] if "loss" in table else step
    if "run_id" not in table and np.any(np.diff(loss_steps) < 0) and len(np.unique(loss_steps)) < 0.9 * len(loss_steps):
        raise BadInput(
            f"{source} has duplicate or unordered steps and no run id, as several runs in one table have: name the "
            "column that tells them apart with --map run_id=NAME."
        )
    bad = ~np.isfinite(step) | (step != np.round(step)) | (step < 0)
    if bad.any():
        raise BadInput(
            f"curve '{printable(names[code[np.argmax(bad)]])}' has a step that is not a whole number from 0: drop "
            "those rows first."
        )
    order = np.lexsort((step, code))
    table, code, nan_loss = table.iloc[order].reset_index(drop=True), code[order], nan_loss[order]
    step = step[order]
    same = np.r_[(np.diff(step) == 0) & (np.diff(code) == 0), False]
    if same.any():
        group = np.r_[0, np.cumsum(~same)[:-1]]
        nan_loss = np.bincount(group, nan_loss).astype(bool)
        table = table.groupby(group, sort=False).last()
        code = code[~same]
        nan_loss &= table["loss"].isna().to_numpy() if "loss" in table else False
    return table, [str(name) for name in names], code, nan_loss


def _with_constants(
    rows: dict[str, dict[str, Any]], table: pd.DataFrame, code: np.ndarray, source: str
) -> pd.DataFrame:
    """The table of runs with the constant columns of their rows."""
    runs = pd.DataFrame.from_dict(rows, orient="index").rename_axis("run_id")
    for name in table.columns:
        if not is_column(name) or name in runs:
            continue
        values = table[name].replace("", np.nan) if name in WORDS else table[name]
        groups = values.groupby(code)
        if not _grows(name) and (several := groups.nunique() > 1).any():
            if name in _CONSTANT:
                raise BadInput(
                    f"{source}: {name} changes along the run '{printable(runs.index[int(np.argmax(several))])}', "
                    "expected one value."
                )
            continue
        last = groups.last().to_numpy()
        runs[name] = pd.Series(last, runs.index).fillna("").to_numpy() if name in WORDS else last
    return runs


def _grows(name: str) -> bool:
    """Whether the last value of a column is that of the run, as for counts along the run and for measurements."""
    row = input_of(name)
    accumulates = row is not None and row.falls and row in declared()
    return accumulates or name in _GROWING or target_of(name) is not None


def _row(curve: Curve) -> dict[str, float]:
    return {
        "steps": len(curve.lr),
        "peak_lr": curve.lr.max(),
        "final_lr": curve.lr[-1],
        "warmup_steps": curve.warmup_steps,
        "loss_nats": curve.loss[-1],
    }


def _curve(name: str, step: np.ndarray, columns: Mapping[str, np.ndarray], schedule: np.ndarray | None) -> Curve:
    if step[-1] >= LONGEST:
        raise BadInput(
            f"curve '{name}' has the step {step[-1]:.3g}, more than {LONGEST:.0e}: steps may be counted in tokens, "
            "divide them by what one optimiser step takes."
        )
    with_loss = ~np.isnan(columns["loss"])
    at, loss = step[with_loss].astype(int), columns["loss"][with_loss]
    inputs = {row.column: columns[row.column][with_loss] for row in logged_inputs() if row.column in columns}
    if schedule is not None:
        at = at - 1 if at[-1] == len(schedule) else at
        warmup_steps = _stated_warmup(columns, name)
        rising = int(np.argmax(schedule)) + 1 if schedule[0] < schedule.max() else 0
        return Curve(schedule, at, loss, rising if warmup_steps is None else warmup_steps, inputs).check(name)
    if "lr" not in columns or np.isnan(columns["lr"]).all():
        raise BadInput(f"curve '{name}' has no learning rate: name its column with --map lr=NAME, or --schedules.")
    has_lr = ~np.isnan(columns["lr"])
    on, lr = step[has_lr].astype(int), columns["lr"][has_lr]
    if not np.all(np.isfinite(lr)) or np.any(lr < 0):
        raise BadInput(f"curve '{name}' has a learning rate that is negative or not a number.")
    _check_gaps(name, on, lr, int(at[-1]))
    array = np.interp(np.arange(at[-1] + 1), on, lr)
    warmup = _warmup_steps(columns, array, on, name)
    before = np.arange(min(on[0], len(array)))
    array[: on[0]] = lr[0] * np.minimum((before + 1) / max(min(warmup, on[0] + 1), 1), 1)
    return Curve(array, at, loss, warmup, inputs).check(name)


def _check_gaps(name: str, on: np.ndarray, lr: np.ndarray, last: int) -> None:
    gap, changes = np.diff(on), np.abs(np.diff(lr)) > 1e-3 * lr.max()
    most = max(MAX_GAP * (last + 1), 1)
    if np.any(gap[changes] > most):
        where = int(on[:-1][changes][np.argmax(gap[changes])])
        raise BadInput(
            f"curve '{name}' logs no LR for {int(gap[changes].max())} steps after step {where}, while it changes: "
            f"expected a row at least every {MAX_GAP:.0%} of the steps there."
        )
    if last - on[-1] > most and len(changes) and changes[-1]:
        raise BadInput(
            f"curve '{name}' logs no LR for its last {last - on[-1]} steps, while it changes: expected a row at least "
            f"every {MAX_GAP:.0%} of the steps there."
        )


def _warmup_steps(columns: Mapping[str, np.ndarray], lr: np.ndarray, on: np.ndarray, name: str) -> int:
    """The warm-up that the table states, else the steps until the LR first stops rising."""
    warmup = _stated_warmup(columns, name)
    if warmup is not None:
        return warmup
    if on[0] > max(np.diff(on[:2]).max(initial=1), 1):
        raise BadInput(
            f"curve '{name}' begins at step {on[0]} and the LRs before it are unknown: add the column warmup_steps, or "
            "say it with --set warmup_steps=…."
        )
    first = lr[on[0]]
    if on[0] and "peak_lr" in columns and 0 < first < (peak := np.nanmax(columns["peak_lr"])) and lr.max() > first:
        return round((on[0] + 1) * float(peak) / first)
    rising = np.diff(lr) > 0
    rising[: on[0]] = rising[on[0]] if len(rising) > on[0] else False
    stop = int(np.argmin(rising)) if not rising.all() else len(rising)
    return stop + 1 if stop else 0


def _stated_warmup(columns: Mapping[str, np.ndarray], name: str) -> int | None:
    values = columns.get("warmup_steps", np.empty(0))
    if np.isnan(values).all():
        return None
    warmup = float(values[~np.isnan(values)][0])
    if not 0 <= warmup <= LONGEST or warmup != round(warmup):
        raise BadInput(f"curve '{name}' has warmup_steps {warmup:g}, expected a whole number from 0.")
    return int(warmup)
