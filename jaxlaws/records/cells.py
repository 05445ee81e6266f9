"""Which runs of a table share one (N, D)."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from jaxlaws.records.columns import settings_in
from jaxlaws.records.table import Runs

PARAMS = ("params_nonembedding", "params_total")
#: Largest gap in ln D within one budget, which batches round, and in ln LR or ln B within one value.
SAME_TOKENS, SAME_LABEL = 0.03, 0.03


#: Settings that are tuned for one (N, D), and their words.
TUNED = {"peak_lr": "learning rate", "batch_tokens": "batch"}


def cell_of(table: pd.DataFrame, axes: Collection[str] = ()) -> np.ndarray:
    """[runs] the number of the cell (N, D) of each run; the table may state N or D alone.

    Runs that differ in a column that laws declare belong to different cells.

    Args:
      table: of runs.
      axes: columns of `TUNED` whose other values make another cell.
    """
    params = next((table[name].to_numpy(float) for name in PARAMS if name in table), np.zeros(len(table)))
    tokens = np.log(table["tokens"].to_numpy(float)) if "tokens" in table else np.zeros(len(table))
    cell = _numbered(params, tokens, SAME_TOKENS)
    for name in axes:
        if name in table:
            cell = _numbered(cell, np.log(table[name].to_numpy(float)), SAME_LABEL)
    if more := settings_in(table):
        cell = table[more].assign(cell=cell).groupby(["cell", *more], dropna=False).ngroup().to_numpy(int)
    return cell


def _numbered(cell: np.ndarray, logs: np.ndarray, gap: float) -> np.ndarray:
    """[runs] the number of the cell and, within it, of the group of logs that lie no further apart than the gap."""
    order = np.lexsort((logs, cell))
    new = (np.diff(cell[order]) != 0) | (np.diff(logs[order]) > gap)
    number = np.empty(len(cell), int)
    number[order] = np.r_[0, np.cumsum(new)][: len(cell)]
    return number


def swept(runs: Runs, axes: Collection[str] = ()) -> bool:
    """Whether runs of one `cell_of` differ by more than rounding in LR or batch, those of `axes` excepted."""
    cell = cell_of(runs.table, axes)
    for name in TUNED:
        if name not in axes and name in runs.table and len(cell):
            groups = pd.Series(np.log(runs.table[name].to_numpy(float))).groupby(cell)
            if (groups.max() - groups.min()).max() > SAME_LABEL:
                return True
    return False
