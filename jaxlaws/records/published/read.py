"""Reading a CSV file that has to have certain columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from jaxlaws.errors import BadInput
from jaxlaws.records.tabular import names_of, read_table
from jaxlaws.text import brief

#: Largest whole number that is read.
MAX_WHOLE = 1e15


def read_csv(
    path: Path, format: str, numbers: Sequence[str], whole: Sequence[str] = (), words: Sequence[str] = ()
) -> pd.DataFrame:
    """The CSV file at `path`, if it is one, has rows, and has these columns of the named published format.

    Args:
      path: the file.
      format: its name, for people.
      numbers: columns of floats; a cell may be empty.
      whole: columns of whole numbers ≥ 0, none empty.
      words: columns of text.
    """
    texts, used = set(words), {*numbers, *whole, *words}
    raw = read_table(path, words=texts.__contains__, losses=lambda name: False, used=used.__contains__)
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
