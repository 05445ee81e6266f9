"""Reading a CSV file that has to have certain columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from jaxlaws.errors import BadInput


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
    if path.is_dir():
        raise BadInput(f"{path} is a folder, the format {format} is one CSV file: name the file.")
    if not path.stat().st_size:
        raise BadInput(f"{path} is empty, expected a file in the format {format}.")
    try:
        raw = pd.read_csv(path)
    except ValueError as error:
        reason = str(error).strip().splitlines()[0]
        raise BadInput(f"{path} cannot be read as CSV ({reason}): expected a file in the format {format}.") from None
    missing = [name for name in (*whole, *numbers, *words) if name not in raw]
    if missing:
        raise BadInput(
            f"{path} has no column {', '.join(missing)}, which the format {format} has; it has "
            f"{', '.join(map(str, raw.columns))}: choose another --format, or name its columns with --map."
        )
    if raw.empty:
        raise BadInput(f"{path} has a header and no rows, expected one row a run or a step.")
    for name in (*numbers, *whole):
        values = pd.to_numeric(raw[name], errors="coerce").astype(float)
        bad = values.isna() & raw[name].notna()
        if name in whole:
            bad |= ~np.isfinite(values) | (values != np.round(values)) | (values < 0)
        if bad.any():
            row = int(np.argmax(bad))
            kind = "whole number" if name in whole else "number"
            raise BadInput(f"{path}: {name} is '{raw[name].iloc[row]}' in row {row + 1}, expected a {kind}.")
        raw[name] = values.astype(int) if name in whole else values
    return raw
