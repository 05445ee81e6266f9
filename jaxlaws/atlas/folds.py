"""What is left out of a table: random parts, and the largest runs. The same for every law of one table."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from jaxlaws.fitting.points import Points
from jaxlaws.records.cells import PARAMS
from jaxlaws.records.repeats import CLUSTER
from jaxlaws.records.table import Curve, Runs

#: Cells up to which each is left out alone, and into how many parts more of them are divided.
_SINGLY, _PARTS = 9, 5
#: Fewest runs of which the largest are left out.
_FEWEST = 5
#: Columns that say how large a run is where N and D do not.
_SIZES = ("finetune_examples",)


class Fold(NamedTuple):
    """Names of the runs of a fit, and of those that it predicts."""

    train: tuple[str, ...]
    test: tuple[str, ...]


def random_folds(points: Points) -> list[Fold]:
    """Each cell, or random fifths of many, predicted from the rest; runs of one cell are in one part.

    Fifths are of one size, since equal parts are one compiled program: up to four cells are never left out.
    """
    cells = points.cells
    size = 1 if cells <= _SINGLY else cells // _PARTS
    parts = cells if cells <= _SINGLY else _PARTS
    order = np.random.default_rng(0).permutation(cells)[: parts * size].reshape(parts, size)
    return [_fold(points, np.isin(points.cell, part)) for part in order]


def forward_fold(points: Points, runs: Runs) -> Fold | None:
    """The largest fifth of the runs, predicted from the rest; None where sizes do not differ or the runs are few.

    The size is N·D, or what of both and of `finetune_examples` the table has; of curves N times the steps. Runs as
    large as the smallest of them are among them, unless they then were more than half.
    """
    size = _log_size(points, runs)
    if len(size) < _FEWEST or np.ptp(size) == 0:
        return None
    edge = np.sort(size)[-max(len(size) // _PARTS, 1)]
    largest = size >= edge if np.mean(size >= edge) <= 0.5 else size > edge
    return _fold(points, largest) if largest.any() else None


def evenly(curve: Curve, most: int) -> Curve:
    """The curve after its warm-up with `most` of its losses, evenly over them, the last included."""
    after = np.flatnonzero(curve.at >= max(curve.warmup_steps - 1, 0))
    if len(after) > most:
        after = after[np.round(np.linspace(0, len(after) - 1, most)).astype(int)]
    logged = {name: values[after] for name, values in curve.logged.items()}
    return Curve(curve.lr, curve.at[after], curve.loss[after], curve.warmup_steps, logged)


def _fold(points: Points, left_out: np.ndarray) -> Fold:
    names = np.array(points.names, object)
    return Fold(tuple(names[~left_out]), tuple(names[left_out]))


def _log_size(points: Points, runs: Runs) -> np.ndarray:
    """[runs of the points] ln of the size, of a training run of several rows that of the largest."""
    table = runs.table
    params = next((name for name in PARAMS if name in table), None)
    size = pd.Series(0.0, table.index)
    if along := points.at.max() >= 0:
        size += np.log([len(runs.curves[name].lr) for name in table.index])
    for name in (params,) if along else (params, "tokens", *_SIZES):
        if name in table and np.all(table[name] >= 0):
            size += np.log(np.maximum(table[name].to_numpy(float), 1.0))
    return size.groupby(table.index if along else names_of(runs)).max().loc[list(points.names)].to_numpy()


def names_of(runs: Runs) -> np.ndarray:
    """[rows] the name by which a law of final losses knows the training run of a row."""
    return runs.table.get(CLUSTER, pd.Series(runs.table.index)).to_numpy(str)
