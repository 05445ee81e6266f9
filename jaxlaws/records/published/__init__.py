"""Importers of tables that other groups published: one file a format, each a function from a path to `Runs`."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from jaxlaws.errors import BadInput, unknown
from jaxlaws.records.table import Runs

#: Format name → module:function of its importer, a function from a path to `Runs`.
FORMATS = {
    "step_law": "step_law:load",
    "multi_power_law": "multi_power_law:load",
    "isoflop": "isoflop:load",
    "isoflop_all": "isoflop:load_all",
    "lr_scheduling": "lr_scheduling:load",
    "lr_scheduling_final": "lr_scheduling:load_final",
}


def load(path: Path, format: str) -> Runs:
    """The runs of a published file or folder in the named format."""
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    if not path.exists():
        raise BadInput(f"{path} does not exist, expected a file or folder in the format {format}.")
    module, function = FORMATS[format].split(":")
    importer: Callable[[Path], Runs] = getattr(import_module(f"{__name__}.{module}"), function)
    return importer(path)
