"""Reading a CSV file that has to have certain columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from jaxlaws.errors import BadInput


def read_csv(path: Path, format: str, columns: Sequence[str]) -> pd.DataFrame:
    """The CSV file at `path`, if it is one, has rows, and has these columns of the named published format."""
    if path.is_dir():
        raise BadInput(f"{path} is a folder, the format {format} is one CSV file: name the file.")
    if not path.stat().st_size:
        raise BadInput(f"{path} is empty, expected a file in the format {format}.")
    try:
        raw = pd.read_csv(path)
    except ValueError as error:
        raise BadInput(f"{path} cannot be read as CSV ({error}): expected a file in the format {format}.") from None
    missing = [name for name in columns if name not in raw]
    if missing:
        raise BadInput(
            f"{path} has no column {', '.join(missing)}, which the format {format} has; it has "
            f"{', '.join(map(str, raw.columns))}: choose another --format, or name its columns with --map."
        )
    if raw.empty:
        raise BadInput(f"{path} has a header and no rows, expected one row a run or a step.")
    return raw
