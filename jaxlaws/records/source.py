"""Opening a SOURCE: a sweep directory, a CSV or Parquet table of runs, a CSV of curves, or a published table."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from jaxlaws.errors import BadInput, unknown
from jaxlaws.records import published
from jaxlaws.records.check import check
from jaxlaws.records.doubts import ask
from jaxlaws.records.long import LONG_COLUMNS, curves_of
from jaxlaws.records.questions import parse_assume
from jaxlaws.records.table import COLUMNS, WORDS, Runs, status_of
from jaxlaws.records.tabular import names_of, read_table
from jaxlaws.records.units import parse_number
from jaxlaws.records.where import where as select_where
from jaxlaws.text import printable

#: A name of a column that holds something else than a loss in nats a token.
_NO_NATS = re.compile(r"(?:^|[^a-z])(ppl|perplexity|bpb|bpc|bits?|acc|accuracy)(?:$|[^a-z])", re.IGNORECASE)


def open_runs(
    source: str | Path,
    format: str | None = None,
    where: str | Sequence[str] = (),
    map: Mapping[str, str] | None = None,
    assume: Sequence[str] = (),
    collect: bool = False,
) -> Runs:
    """The runs of a source, selected, checked and questioned.

    A table has one row a run and columns from `COLUMNS` (`loss` is short for `loss_nats`); a CSV of curves has one row
    a step with `step,lr,loss` and, for more than one curve, `run_id` (`curves_of`). Other columns are ignored.

    Args:
      source: sweep directory, .csv or .parquet file, or the file or folder of a published format.
      format: name of a published format, from `published.FORMATS`.
      where: which runs, such as `params_nonembedding<=4.3e8 and status==ok`; of several conditions all hold.
      map: our column name → the name in the file, such as {"loss": "val/ce"}.
      assume: `NAME` or `NAME=VALUE` of the questions of `questions.QUESTIONS` that the caller answers himself.
      collect: keep what a fit would refuse in `Runs.asked` and leave out the rows that cannot be computed with.

    Raises:
      BadInput: nothing there, columns missing or in the wrong unit, values missing, negative or not numbers.
    """
    path, answers = Path(source), parse_assume([assume] if isinstance(assume, str) else assume)
    try:
        present = path.exists()
    except (OSError, ValueError) as error:
        raise BadInput(f"{printable(path)[:200]} cannot be read ({getattr(error, 'strerror', error)}).") from None
    if not present:
        raise BadInput(f"{printable(path)} does not exist, expected a sweep directory, a CSV or Parquet file.")
    if format is not None:
        if map:
            raise BadInput(
                f"--map is for tables of your own, --format {format} names its columns itself: give one of them."
            )
        runs = published.load(path, format)
    elif path.is_dir():
        runs = _sweep(path)
    else:
        runs = _table(_numbers(_renamed(_read(path, map or {}), path, map or {}), path), path)
    runs = replace(runs, assume=answers, asked=() if collect else None)
    return check(_named_loss(select_where(runs, where) if where else runs, map or {}))


def _named_loss(runs: Runs, map: Mapping[str, str]) -> Runs:
    for ours in ("loss", "loss_nats", "val_loss_nats"):
        if _NO_NATS.search(map.get(ours, "")):
            runs = ask(
                runs,
                "loss-unit",
                f"the loss is read from the column '{printable(map[ours])}', whose name is not that of nats a token",
                "convert it first (ln of a perplexity; bits times ln 2, and per token)",
            )
    return runs


def _sweep(path: Path) -> Runs:
    if not (path / "sweep.yaml").exists() and not any(path.glob("*/config.yaml")):
        raise BadInput(
            f"{path} has no sweep.yaml and no run in it, expected a sweep directory: for a published folder add "
            f"--format {'|'.join(published.FORMATS)}."
        )
    from jaxlaws.records.run import collect

    return collect(path)


def _read(path: Path, map: Mapping[str, str]) -> pd.DataFrame:
    texts = {theirs for ours, theirs in map.items() if ours in (*WORDS, "run_id")}
    names = {*COLUMNS, *LONG_COLUMNS, "loss"}
    return read_table(
        path,
        words=lambda name: name in texts or name in (*WORDS, "run_id"),
        used=lambda name: name in names or name in map.values(),
    )


def _renamed(raw: pd.DataFrame, path: Path, map: Mapping[str, str]) -> pd.DataFrame:
    valid = {*COLUMNS, *LONG_COLUMNS, "loss"}
    for ours, theirs in map.items():
        if ours not in valid:
            raise unknown("column in --map", ours, valid)
        if theirs not in raw:
            raise BadInput(f"--map {ours}={theirs}: {path} has no column '{theirs}'; it has {names_of(raw.columns)}.")
    raw = raw.drop(columns=[name for name in map if name in raw and name not in map.values()])
    raw = raw.assign(**{ours: raw[theirs] for ours, theirs in map.items()})
    if "loss" in raw and "step" not in raw and "loss_nats" not in raw:
        raw = raw.rename(columns={"loss": "loss_nats"})
    return raw


def _numbers(raw: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The table with numbers as numbers (`7B` is one), words as words, and only the columns that we know."""
    known = [name for name in raw.columns if name in COLUMNS or name in LONG_COLUMNS]
    table = raw[known].copy()
    for name in known:
        if name == "run_id" or name in WORDS:
            table[name] = table[name].astype(str)
        elif not isinstance(table[name].dtype, np.dtype) or table[name].dtype.kind not in "iuf":
            table[name] = [_number(value, f"{path}: {name} in row {row}") for row, value in enumerate(table[name], 1)]
    return table


def _number(value: object, name: str) -> float:
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and value != value):
        return np.nan
    if isinstance(value, str) and value.strip().lower() in ("", "nan", "none"):
        return np.nan
    return float(value) if isinstance(value, float) else parse_number(value, name)  # type: ignore[arg-type]


def _table(table: pd.DataFrame, path: Path) -> Runs:
    if "step" in table:
        return curves_of(table, source=path.name)
    if not {"loss_nats", "val_loss_nats"} & set(table.columns):
        known = names_of(table.columns) or "none that is known"
        raise BadInput(
            f"{path} has no column val_loss_nats or loss_nats (it has {known}): name its own with --map loss=NAME, or "
            f"a published table with --format {'|'.join(published.FORMATS)}."
        )
    table = table.drop(columns=[name for name in table if name in ("lr", "loss")])
    if "status" in table:
        table["status"] = table["status"].map(status_of)
    if "run_id" not in table:
        table["run_id"] = [f"row_{row}" for row in range(1, len(table) + 1)]
    if {"batch_sequences", "seq_len"} <= set(table.columns) and "batch_tokens" not in table:
        table["batch_tokens"] = table["batch_sequences"] * table["seq_len"]
    return Runs(table.set_index("run_id"), source=path.name)
