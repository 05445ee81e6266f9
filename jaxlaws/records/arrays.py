"""Runs from whatever holds them: a source that is opened, or arrays in memory by symbols or names of columns."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from jaxlaws.errors import BadInput
from jaxlaws.inputs import INPUTS, PARAMS
from jaxlaws.records.source import open_runs
from jaxlaws.records.table import METRIC, Curve, Runs
from jaxlaws.text import brief

#: What holds runs: themselves, a frame, a file, a sweep, a tracker, or arrays.
Data: TypeAlias = Runs | pd.DataFrame | str | os.PathLike[str] | Mapping[str, Any]

#: Names of the final loss of a run.
_LOSSES = ("loss", "L")


def as_runs(data: Data, curves: bool = False, metric: str = "nats") -> Runs:
    """The runs that `data` holds.

    Args:
      data: runs; arrays for `runs_of_arrays`; or what `open_runs` opens without further words.
      curves: whether the losses along the runs are asked of a tracker.
      metric: of `runs_of_arrays`.

    Raises:
      BadInput: they cannot be read or understood.
    """
    if isinstance(data, Runs):
        return data
    if not isinstance(data, Mapping | pd.DataFrame | str | os.PathLike):
        raise BadInput(
            f"the data are {brief(type(data).__name__)}, expected runs, a frame, a file, a sweep, a tracker, or arrays "
            "such as {'N': n, 'D': d, 'loss': loss}."
        )
    return runs_of_arrays(data, metric) if isinstance(data, Mapping) else open_runs(data, curves=curves)


def runs_of_arrays(arrays: Mapping[str, Any], metric: str = "nats") -> Runs:
    """Runs of arrays such as `{"N": n, "D": d, "loss": loss}`, or of curves by the ids of their runs.

    Args:
      arrays: key → [runs], or a number that every run has. A key is a symbol of `jaxlaws.inputs.INPUTS`, a column of
        `jaxlaws.records.table.COLUMNS`, `loss`, or for an input of several columns its symbol with name → [runs]. N is
        `params_nonembedding`. Or run id → `Curve`.
      metric: what `loss` is: `nats` a token, or the name of another metric.

    Raises:
      BadInput: a key is unknown, an array is not of numbers, or lengths differ.
    """
    curves = {name: value for name, value in arrays.items() if isinstance(value, Curve)}
    if curves:
        return _of_curves(arrays, curves)
    columns: dict[str, np.ndarray] = {}
    for name, value in _columns(arrays, metric):
        if name in columns:
            raise BadInput(
                f"two of the keys {', '.join(map(str, arrays))} are the column {name}, expected one of them."
            )
        columns[name] = _numbers(name, value)
    lengths = {len(value) for value in columns.values() if value.ndim}
    if not lengths:
        raise BadInput("there is no array of runs, expected such as {'N': n, 'D': d, 'loss': loss}.")
    if len(lengths) > 1:
        sizes = ", ".join(f"{name} {len(value)}" for name, value in columns.items() if value.ndim)
        raise BadInput(f"the arrays have the lengths {sizes}, expected one length of all runs.")
    index = pd.Index([f"run_{i}" for i in range(1, lengths.pop() + 1)], name="run_id")
    return Runs(pd.DataFrame(columns, index=index), source="the table of arrays")


def _of_curves(arrays: Mapping[str, Any], curves: Mapping[str, Curve]) -> Runs:
    if len(curves) < len(arrays):
        other = next(name for name in arrays if name not in curves)
        raise BadInput(f"'{other}' is no Curve and others are, expected run id → Curve, or name → array.")
    rows = {
        name: {"steps": len(curve.lr), "loss_nats": float(curve.loss[-1])}
        for name, curve in curves.items()
        if curve.check(name)
    }
    frame = pd.DataFrame.from_dict(rows, orient="index").rename_axis("run_id")
    return Runs(frame, dict(curves), source="the curves")


def _columns(arrays: Mapping[str, Any], metric: str) -> Iterator[tuple[str, Any]]:
    """(column of a table of runs, values) of every key."""
    loss = "loss_nats" if metric == "nats" else METRIC + metric
    for name, value in arrays.items():
        row = INPUTS.get(name)
        column = row.column if row is not None and row.column else name
        if isinstance(value, Mapping):
            yield from ((f"{column}.{part}", values) for part, values in value.items())
        else:
            yield loss if name in _LOSSES else PARAMS[0] if column == "params" else column, value


def _numbers(name: str, value: Any) -> np.ndarray:
    """[runs] floats, or one number."""
    try:
        numbers = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        raise BadInput(f"{name} is no array of numbers, expected one number for every run.") from None
    if numbers.ndim > 1:
        raise BadInput(f"{name} has the shape {numbers.shape}, expected one number for every run.")
    return numbers
