"""Runs that a tracker keeps, as tables: `wandb:ENTITY/PROJECT` and `mlflow:EXPERIMENT`. Their packages are extras."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import NamedTuple

import pandas as pd

from jaxlaws.errors import BadInput
from jaxlaws.text import printable

#: Called with how many of how many runs have been read.
Progress = Callable[[int, int], None]
#: Schemes: the text before the colon of a source, and the name of its reader, of its extra and of its package.
SCHEMES = ("wandb", "mlflow")
#: The address of a page of W&B, as it is copied.
_PAGE = re.compile(r"https?://wandb\.ai/")


class TrackerTables(NamedTuple):
    """The runs of a tracker.

    Attributes:
      runs: a row a run: its id, name and status, what was configured, and, without a history, the last metrics.
      history: a row a run and logged step, with the metrics that were asked for; None where none was.
    """

    runs: pd.DataFrame
    history: pd.DataFrame | None


def scheme_of(source: object) -> str | None:
    """`wandb` or `mlflow` where a source begins with that and a colon or is a page of W&B, None otherwise."""
    if not isinstance(source, str):
        return None
    head, colon, _ = source.partition(":")
    return "wandb" if _PAGE.match(source) else head if colon and head in SCHEMES else None


def fetch(
    source: str, metrics: Callable[[str], bool] | None = None, progress: Progress = lambda done, total: None
) -> TrackerTables:
    """The runs of `wandb:ENTITY/PROJECT[/sweep/ID]` or `mlflow:[EXPERIMENT]`.

    Args:
      source: whose `scheme_of` is not None.
      metrics: which metrics are read along the runs, by name; without it only the last values, which is far less.
      progress: called after each run whose history has been read.

    Raises:
      BadInput: the package is missing, nobody is logged in, or there is nothing under that name.
      Failed: the server does not answer.
    """
    scheme = scheme_of(source)
    assert scheme is not None
    reader = import_module(f"jaxlaws.records.trackers.{scheme}_runs")
    path = source if _PAGE.match(source) else source.partition(":")[2]
    tables = reader.fetch(path, metrics, progress)
    if tables.runs.empty:
        raise BadInput(f"{printable(source)} has no runs, expected {reader.FORM}.")
    return tables


def package(name: str) -> ModuleType:
    """The package of a tracker; `BadInput` names the extra where it is not installed."""
    try:
        return import_module(name)
    except ImportError:
        raise BadInput(f"{name}:… is read with the package {name}: pip install 'jaxlaws[{name}]'.") from None


def row(run: str, name: str, state: str, config: Mapping[str, object], last: Mapping[str, object]) -> dict[str, object]:
    """A run as a row: what was configured, and the last values of its metrics under names of their own.

    The last value of a metric that is an LR is the last LR of the schedule, and not the peak.
    """
    metrics = {}
    for metric, value in last.items():
        leaf = metric.rpartition("/")[2].lower().replace("-", "_")
        ours = "final_lr" if leaf in ("lr", "learning_rate") else f"last.{metric}" if metric in config else metric
        metrics[ours] = nan_word(value)
    return {"run_id": run, "name": name, "state": state, **metrics, **config}


def nan_word(value: object) -> object:
    """The value, or the word NaN for a logged NaN, which differs from an empty cell."""
    return "NaN" if value != value else value
