"""What a table of runs has to satisfy before anything is computed from it: values present, positive, in one unit."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd

from jaxlaws.errors import BadInput
from jaxlaws.records.alignment import aligned
from jaxlaws.records.repeats import checkpoints, last_of_each, repeats
from jaxlaws.records.smooth import outliers
from jaxlaws.records.table import STATUS, Runs
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
_LOSSES = ("val_loss_nats", "loss_nats")


def check(runs: Runs) -> Runs:
    """The runs, if every value can be computed with and can be what it is taken for; `BadInput` otherwise.

    A run with status diverged or failed may lack its loss. What is impossible is refused; what is doubtful is asked by
    a question of `jaxlaws.records.questions`, which `runs.assume` may answer.
    """
    runs = last_of_each(runs)
    _rows(runs)
    for name in POSITIVE:
        if name in runs.table:
            _positive(runs, name, runs.table[name])
    ended = runs.table["status"] == "ok" if "status" in runs.table else pd.Series(True, runs.table.index)
    for name in _LOSSES:
        if name in runs.table:
            _positive(runs, name, runs.table.loc[ended, name])
    for name, curve in runs.curves.items():
        curve.check(name)
    for question in (*UNITS, checkpoints, repeats, outliers, aligned):
        runs = question(runs)
    return runs


def _rows(runs: Runs) -> None:
    table = runs.table
    if table.empty:
        raise BadInput(f"{runs.source} holds no runs, expected at least one.")
    if table.index.has_duplicates:
        twice = printable(table.index[table.index.duplicated()][0])
        raise BadInput(
            f"{runs.source} has the run '{twice}' twice, expected one row a run: for curves add the column step, of "
            "checkpoints take the last of each with --assume checkpoints=last."
        )
    if "status" in table:
        strange = sorted(set(table["status"]) - set(STATUS))
        if strange:
            raise BadInput(
                f"{runs.source} has the status '{printable(strange[0])}', expected {', '.join(STATUS)} or a tracker's "
                "word for them, such as finished or crashed."
            )


def _positive(runs: Runs, name: str, values: pd.Series) -> None:
    numbers = pd.to_numeric(values, errors="coerce").astype(float)
    missing = numbers.isna()
    if missing.any():
        raise BadInput(
            f"{runs.source}: {name} is missing or not a number in {int(missing.sum())} of {len(values)} runs (first: "
            f"'{printable(values.index[int(missing.argmax())])}'): fill it in, set status to diverged or failed, or "
            f"leave those runs out with --where '{name}>0'."
        )
    bad = ~np.isfinite(numbers) | (numbers <= 0)
    if bad.any():
        place = int(bad.argmax())
        cause = _NEGATIVE.get("loss" if name in _LOSSES else name, "") if numbers.iloc[place] <= 0 else ""
        raise BadInput(
            f"{runs.source}: {name} is {numbers.iloc[place]:g} in run '{printable(values.index[place])}', expected a "
            f"positive number{cause}."
        )


#: What a value that is not positive may be.
_NEGATIVE = {
    "loss": ": a cross-entropy is never below 0 (is it a log-likelihood, or the logarithm of the loss?)",
    "peak_lr": ": is it the logarithm of the learning rate?",
}


def leave_out_incomplete(rows: dict[str, dict[str, Any]]) -> list[str]:
    """Take out the ended runs of a sweep that lack what most of them state, and say which."""
    said = []
    stated = Counter(name for row in rows.values() for name in POSITIVE if row.get(name) is not None)
    for name, row in list(rows.items()):
        missing = [column for column, count in stated.items() if 2 * count > len(rows) and row.get(column) is None]
        if row["status"] == "ok" and row.get("val_loss_nats") is None:
            missing.append("val_loss_nats")
        if missing and row["status"] != "failed":
            said.append(f"run {name} is left out as failed: its run.json lacks {', '.join(missing)}")
            del rows[name]
    return said
