"""Reading a published table that has to have certain columns, and the importers whose columns need new names only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from jaxlaws.errors import BadInput
from jaxlaws.records.columns import WORDS
from jaxlaws.records.table import Runs
from jaxlaws.records.tabular import names_of, read_table
from jaxlaws.text import brief

#: Largest whole number that is read.
MAX_WHOLE = 1e15


def read_csv(
    path: Path, format: str, numbers: Sequence[str], whole: Sequence[str] = (), words: Sequence[str] = ()
) -> pd.DataFrame:
    """The table at `path`, if it is one, has rows, and has these columns of the named published format.

    Args:
      path: the file: CSV, JSON lines or Parquet, packed or not.
      format: its name, for people.
      numbers: columns of floats; a cell may be empty.
      whole: columns of whole numbers ≥ 0, none empty.
      words: columns of text.
    """
    texts, columns = set(words), {*numbers, *whole, *words}
    raw = read_table(path, words=texts.__contains__, losses=lambda name: False, is_read=columns.__contains__)
    missing = [name for name in (*whole, *numbers, *words) if name not in raw]
    if missing:
        raise BadInput(
            f"{path} has no column {', '.join(missing)}, which the format {format} has; it has "
            f"{names_of(raw.columns)}: choose another --format, or name its columns with --map."
        )
    for name in (*numbers, *whole):
        values = pd.to_numeric(raw[name], errors="coerce").astype(float)
        bad = values.isna() & raw[name].notna()
        if name in whole:
            bad |= ~np.isfinite(values) | (values != np.round(values)) | (values < 0) | (values > MAX_WHOLE)
        if bad.any():
            row = int(np.argmax(bad))
            kind = "whole number" if name in whole else "number"
            raise BadInput(f"{path}: {name} is '{brief(raw[name].iloc[row])}' in row {row + 1}, expected a {kind}.")
        raw[name] = values.astype(int) if name in whole else values
    return raw


def renamed(
    path: Path,
    format: str,
    columns: Mapping[str, str],
    run_id: str = "",
    times: Mapping[str, float] | None = None,
    **values: float | str,
) -> Runs:
    """The runs of a file with a row a run, of whose columns some get our names and the others are left out.

    Args:
      path: the file.
      format: its name, for people.
      columns: our column → theirs: of `jaxlaws.records.columns.COLUMNS`, of an input of a law, `val_loss.NAME`, or
        `metric.NAME` for what is no loss in nats a token.
      run_id: their column of the names of the runs; numbered rows without it.
      times: our column → what its values are multiplied by, such as 1e9 of a count in billions.
      **values: of our columns that every run has, such as `optimizer="adamw"`.
    """
    texts = [theirs for ours, theirs in columns.items() if ours in WORDS]
    numbers = [theirs for theirs in columns.values() if theirs not in texts]
    raw = read_csv(path, format, numbers, words=[*texts, *([run_id] if run_id else [])])
    names = raw[run_id].astype(str) if run_id else pd.Series([f"row_{i}" for i in range(1, len(raw) + 1)])
    table = pd.DataFrame({ours: raw[theirs] for ours, theirs in columns.items()}).assign(**values)
    for ours, factor in (times or {}).items():
        table[ours] = factor * table[ours]
    return Runs(table.set_axis(pd.Index(names.to_numpy(str), name="run_id")), source=path.name)
