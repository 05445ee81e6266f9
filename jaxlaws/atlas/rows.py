"""The rows of an atlas: one law on one table, as they stand in its CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxlaws.errors import BadInput
from jaxlaws.records.files import write_atomic

#: Column → what it is; empty cells are unknown or do not apply.
COLUMNS = {
    "law": "name of the law, or of published constants of one of LR and batch",
    "table": "name of the table",
    "kind": "`point` (a law of final losses), `curve` (of losses along runs) or `lr_batch`",
    "source": "path of the table, its runs and its target",
    "status": "of the fit to all runs; `refused` where there is none, `failed` where the program did",
    "note": "why the status is none to be trusted, which parts failed, whether the row was cut",
    "runs": "runs that were read, rows of one training run as one; of laws of LR and batch all in the table",
    "losses": "losses that were read",
    "constants": "constants of the law",
    "level": "nominal level of the intervals",
    "left_out": "curves, final losses or cells (of laws of LR and batch) that were left out and predicted",
    "error": "their mean of |L − L̂|/L; of curves the mean over their losses first",
    "mae": "their mean of |L − L̂|",
    "constant_error": "as `error`, of the mean loss of what was fitted",
    "inside": "share of their losses (best LRs and batches) in their intervals",
    "width": "mean width of those intervals over the loss (of laws of LR and batch in ln)",
    "gap_pairs": "pairs of schedules with a run that was left out",
    "gap_error": "mean error of their predicted differences of losses at the last common step",
    "gap_size": "mean size of the measured differences",
    "regret": "mean over cells of the loss of the advice over the lowest of the cell's surface, less 1",
    "regret_most": "the largest of them",
    **{f"forward_{name}": f"as `{name}`, of the largest runs predicted from the rest" for name in (
        *("left_out", "error", "mae", "constant_error", "inside", "width", "regret", "regret_most"),
    )},
    "cpu_first": "seconds of CPU of the first fit, programs compiled or read from a cache; noisy",
    "cpu_again": "seconds of CPU of the last fit, when a program of its shape mostly was compiled before; noisy",
    "cpu_row": "seconds of CPU of the whole row",
    "starts": "random starts of every fit",
    "bootstrap": "resamples of every fit",
    "digest": "first digits of the sha256 of the table",
    "versions": "of jaxlaws, jax, numpy and python",
    "commit": "of this repository, `+` where files of the code differed from it",
    "command": "that computed the row",
    "date": "when",
}  # fmt: skip
_TEXTS = ("law", "table", "kind", "source", "status", "note", "digest", "versions", "commit", "command", "date")

Row = Mapping[str, Any]


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of a CSV; none where there is no file; `BadInput` where it is none of an atlas."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if list(reader.fieldnames or ()) != list(COLUMNS):
            raise BadInput(f"{path} has other columns than an atlas of this version: start it anew with --fresh.")
        return [{name: _value(name, text) for name, text in line.items()} for line in reader]


def write(path: Path, rows: Iterable[Row]) -> None:
    """The CSV of rows, in one step."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([[_text(row.get(name)) for name in COLUMNS] for row in rows])
    write_atomic(path, text.getvalue())


def merged(old: Iterable[Row], new: Iterable[Row], order: Sequence[str]) -> list[Row]:
    """The rows with the new ones in place of those of the same law and table, by the order of tables, then by law."""
    both = {(row["table"], row["law"]): row for row in (*old, *new)}
    place = {name: number for number, name in enumerate(order)}
    return [both[key] for key in sorted(both, key=lambda key: (place.get(key[0], len(place)), *key))]


def _value(name: str, text: str) -> Any:
    if name in _TEXTS:
        return text
    return float(text) if text else math.nan


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else ""
    return "" if value is None else str(value)
