"""What a table of runs has to satisfy before anything is computed from it: values present, positive, in one unit."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd

from jaxlaws.errors import BadInput
from jaxlaws.inputs import input_of
from jaxlaws.records.alignment import aligned
from jaxlaws.records.columns import MAIN_LOSSES, STATUS, declared_in, is_result
from jaxlaws.records.doubts import refuse
from jaxlaws.records.repeats import checkpoints, repeats, rows_of_a_run
from jaxlaws.records.smooth import outliers
from jaxlaws.records.table import Runs
from jaxlaws.records.units_check import UNITS
from jaxlaws.text import printable

#: Columns that laws compute with: where one is stated, every run states it, as a positive number.
POSITIVE = (
    "params_nonembedding",
    "params_total",
    "tokens",
    "steps",
    "seq_len",
    "batch_tokens",
    "batch_sequences",
    "peak_lr",
    "flops_6nd",
    "flops_budget",
)


def check(runs: Runs) -> Runs:
    """The runs, if every value can be computed with and can be what it is taken for; `BadInput` otherwise.

    A run with status diverged or failed may lack its loss. What is impossible is refused; what is doubtful is asked by
    a question of `jaxlaws.records.questions`, which `runs.assume` may answer.
    """
    runs = rows_of_a_run(runs)
    runs = _rows(runs)
    for name in (*POSITIVE, *MAIN_LOSSES):
        if name in runs.table and not (name in MAIN_LOSSES and runs.target):
            runs = _positive(runs, name)
    for name in declared_in(runs.table):
        runs = _signed(runs, name)
    if runs.target and runs.in_nats:
        runs = _positive(runs, runs.loss_column)
    for name, curve in runs.curves.items():
        curve.check(name)
    for question in (*UNITS, checkpoints, repeats, outliers, aligned):
        runs = question(runs)
    return runs


def _rows(runs: Runs) -> Runs:
    table = runs.table
    if table.empty:
        raise BadInput(f"{runs.source} holds no runs, expected at least one.")
    if table.index.has_duplicates:
        twice = printable(table.index[table.index.duplicated()][0])
        runs = refuse(
            runs,
            f"it has the run '{twice}' twice, expected one row a run: for curves add the column step, of "
            "checkpoints take the last of each with --assume checkpoints=last.",
        ).at(~table.index.duplicated(keep="last"))
    if "status" in table:
        strange = sorted(set(table["status"]) - set(STATUS))
        if strange:
            runs = refuse(
                runs,
                f"it has the status '{printable(strange[0])}', expected {', '.join(STATUS)} or a tracker's word for "
                "them, such as finished or crashed.",
            )
            runs = _without(runs, runs.table["status"].isin(strange).to_numpy())
    return runs


def _positive(runs: Runs, name: str) -> Runs:
    """The runs whose `name` is a positive number; of a loss, those that did not end may lack it."""
    numbers = pd.to_numeric(runs.table[name], errors="coerce").astype(float)
    if is_result(name) and "status" in runs.table:
        numbers = numbers[(runs.table["status"] == "ok").to_numpy()]
    missing, bad = numbers[numbers.isna()], numbers[numbers.notna() & ~(np.isfinite(numbers) & (numbers > 0))]
    if len(missing):
        runs = refuse(
            runs,
            f"{name} is missing or not a number in {len(missing)} of {len(numbers)} runs (first: "
            f"'{printable(missing.index[0])}'): fill it in, set status to diverged or failed, or leave those runs out "
            f"with --where '{name}>0'.",
        )
    if len(bad):
        cause = _NEGATIVE.get("loss" if is_result(name) else name, "") if bad.iloc[0] <= 0 else ""
        what = f"{name} is {bad.iloc[0]:g} in run '{printable(bad.index[0])}', expected a positive number{cause}."
        runs = refuse(runs, what)
    bad_ids = [*missing.index, *bad.index]
    return _without(runs, runs.table.index.isin(bad_ids)) if bad_ids else runs


def _signed(runs: Runs, name: str) -> Runs:
    """The runs whose `name`, a column that laws declare, is a number that the input may have, or is not stated."""
    row = input_of(name)
    values = runs.table[name].to_numpy(float)
    assert row is not None
    bad = ~np.isnan(values) & ~row.allows(values)
    if not bad.any():
        return runs
    first = int(np.argmax(bad))
    what = f"{name} is {values[first]:g} in run '{printable(runs.table.index[first])}', expected {row.domain}."
    return _without(refuse(runs, what), bad)


def _without(runs: Runs, bad: np.ndarray) -> Runs:
    """The runs that can be computed with, where what is wrong with the others is collected."""
    if bad.all() and runs.refusals:
        raise BadInput(runs.refusals[-1][1])
    return runs.at(~bad)


#: What a value that is not positive may be.
_NEGATIVE = {
    "loss": ": a cross-entropy is never below 0 (is it a log-likelihood, or the logarithm of the loss?)",
    "peak_lr": ": is it the logarithm of the learning rate?",
}


def leave_out_incomplete(rows: dict[str, dict[str, Any]]) -> list[str]:
    """Take out the ended runs of a sweep that lack what most of them state, and say which."""
    sentences = []
    counts = Counter(name for row in rows.values() for name in POSITIVE if row.get(name) is not None)
    for name, row in list(rows.items()):
        missing = [column for column, count in counts.items() if 2 * count > len(rows) and row.get(column) is None]
        if row["status"] == "ok" and row.get("val_loss_nats") is None:
            missing.append("val_loss_nats")
        if missing and row["status"] != "failed":
            sentences.append(f"run {name} is left out as failed: its run.json lacks {', '.join(missing)}")
            del rows[name]
    return sentences
