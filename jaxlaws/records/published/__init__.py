"""Importers of tables that other groups published: a file a format, whose `load` gives the runs of a path.

Where the table is of curves as a tracker exports them, it gives a frame with our names, which is read as any other is.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from jaxlaws.errors import BadInput, unknown

if TYPE_CHECKING:
    import pandas as pd

    from jaxlaws.records.table import Runs

#: Names of the formats, which are those of the files beside this one.
FORMATS = tuple(sorted(module.name for module in iter_modules(__path__) if module.name != "read"))


def load(path: Path, format: str) -> Runs:
    """The runs of a published file or folder in the named format, not yet checked."""
    from jaxlaws.records.frame import runs_of
    from jaxlaws.records.table import Runs

    runs = table_of(path, format)
    return runs if isinstance(runs, Runs) else runs_of(runs, path.name)


def table_of(path: Path, format: str) -> Runs | pd.DataFrame:
    """What the importer of the named format gives."""
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    if not path.exists():
        raise BadInput(f"{path} does not exist, expected a file or folder in the format {format}.")
    runs: Runs | pd.DataFrame = import_module(f"{__name__}.{format}").load(path)
    return runs
