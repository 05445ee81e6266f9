"""Importers of tables that other groups published: one file a format, each a function from a path to `Runs`."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from jaxlaws.errors import BadInput, unknown
from jaxlaws.records.table import Runs

#: Format name → module that holds `load(path) -> Runs`.
FORMATS = {
    name: f"jaxlaws.records.published.{name}" for name in ("step_law", "multi_power_law", "isoflop", "lr_scheduling")
}


def load(path: Path, format: str) -> Runs:
    """The runs of a published file or folder in the named format."""
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    if not path.exists():
        raise BadInput(f"{path} does not exist, expected a file or folder in the format {format}.")
    importer: Callable[[Path], Runs] = import_module(FORMATS[format]).load
    return importer(path)
