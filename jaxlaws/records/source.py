"""Opening a SOURCE: a sweep directory, a CSV or Parquet table of runs, a CSV of curves, or a published table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from jaxlaws.errors import BadInput, unknown
from jaxlaws.records import published
from jaxlaws.records.check import check
from jaxlaws.records.long import LONG_COLUMNS, curves_of
from jaxlaws.records.table import COLUMNS, Runs
from jaxlaws.records.table import where as select_where
from jaxlaws.records.units import parse_number

#: Columns whose values are words.
WORDS = ("status", "model", "schedule", "optimizer", "corpus")
#: What trackers call the end of a run → our status.
_STATUS = {"finished": "ok", "completed": "ok", "crashed": "failed", "killed": "failed"}


def open_runs(
    source: str | Path,
    format: str | None = None,
    where: str | None = None,
    map: Mapping[str, str] | None = None,
) -> Runs:
    """The runs of a source, selected and checked.

    A table has one row a run and columns from `COLUMNS` (`loss` is short for `loss_nats`); a CSV of curves has one row
    a step with `step,lr,loss` and, for more than one curve, `run_id` (`curves_of`). Other columns are ignored.

    Args:
      source: sweep directory, .csv or .parquet file, or the file or folder of a published format.
      format: name of a published format, from `published.FORMATS`.
      where: which runs, such as `params_nonembedding<=4.3e8 and status==ok`.
      map: our column name → the name in the file, such as {"loss": "val/ce"}.

    Raises:
      BadInput: nothing there, columns missing or in the wrong unit, values missing, negative or not numbers.
    """
    path = Path(source)
    if not path.exists():
        raise BadInput(f"{path} does not exist, expected a sweep directory, a CSV or Parquet file.")
    if format is not None:
        if map:
            raise BadInput(
                f"--map is for tables of your own, --format {format} names its columns itself: give one of them."
            )
        runs = published.load(path, format)
    elif path.is_dir():
        runs = _sweep(path)
    else:
        runs = _table(_numbers(_renamed(_read(path), path, map or {}), path), path)
    return check(select_where(runs, where) if where else runs)


def _sweep(path: Path) -> Runs:
    if not (path / "sweep.yaml").exists() and not any(path.glob("*/config.yaml")):
        raise BadInput(
            f"{path} has no sweep.yaml and no run in it, expected a sweep directory: for a published folder add "
            f"--format {'|'.join(published.FORMATS)}."
        )
    from jaxlaws.records.run import collect

    return collect(path)


def _read(path: Path) -> pd.DataFrame:
    if not path.stat().st_size:
        raise BadInput(f"{path} is empty, expected a table with a header and one row a run or a step.")
    try:
        raw = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except ImportError:
        raise BadInput("Parquet needs pyarrow: pip install 'jaxlaws[parquet]', or give the table as CSV.") from None
    except (ValueError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise BadInput(f"{path} cannot be read as a table ({reason}): expected CSV or Parquet with a header.") from None
    if raw.empty:
        raise BadInput(f"{path} has a header and no rows, expected one row a run or a step.")
    return raw


def _renamed(raw: pd.DataFrame, path: Path, map: Mapping[str, str]) -> pd.DataFrame:
    valid = {*COLUMNS, *LONG_COLUMNS, "loss"}
    for ours, theirs in map.items():
        if ours not in valid:
            raise unknown("column in --map", ours, valid)
        if theirs not in raw:
            raise BadInput(
                f"--map {ours}={theirs}: {path} has no column '{theirs}'; it has {', '.join(raw.columns.astype(str))}."
            )
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
        elif not pd.api.types.is_numeric_dtype(table[name]):
            table[name] = [_number(value, f"{path}: {name} in row {row}") for row, value in enumerate(table[name], 1)]
    return table


def _number(value: object, name: str) -> float:
    if value is None or value != value or str(value).strip().lower() in ("", "nan", "none"):
        return np.nan
    return parse_number(str(value), name)


def _table(table: pd.DataFrame, path: Path) -> Runs:
    if "step" in table:
        return curves_of(table, source=path.name)
    if not {"loss_nats", "val_loss_nats"} & set(table.columns):
        known = ", ".join(table.columns) or "none that is known"
        raise BadInput(
            f"{path} has no column val_loss_nats or loss_nats (it has {known}): name its own with --map loss=NAME, or "
            f"a published table with --format {'|'.join(published.FORMATS)}."
        )
    if "status" in table:
        table["status"] = [_STATUS.get(value, value) for value in table["status"]]
    if "run_id" not in table:
        table["run_id"] = [f"row_{row}" for row in range(1, len(table) + 1)]
    if table["run_id"].duplicated().any():
        twice = table.loc[table["run_id"].duplicated(), "run_id"].iloc[0]
        raise BadInput(f"{path} has the run '{twice}' twice, expected one row a run: for curves add the column step.")
    if {"batch_sequences", "seq_len"} <= set(table.columns) and "batch_tokens" not in table:
        table["batch_tokens"] = table["batch_sequences"] * table["seq_len"]
    return Runs(table.set_index("run_id"), source=path.name)
