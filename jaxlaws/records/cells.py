"""Which runs of a table share one (N, D)."""

from __future__ import annotations

import numpy as np
import pandas as pd

from jaxlaws.records.table import Runs

PARAMS = ("params_nonembedding", "params_total")
#: Gaps in ln D up to this are one budget, which a whole number of batches rounds; gaps in ln LR or ln B one label.
SAME_TOKENS, SAME_LABEL = 0.03, 0.03


def cell_of(table: pd.DataFrame) -> np.ndarray:
    """[runs] the number of the (N, D) of each run; of the part of it that the table states."""
    params = next((table[name].to_numpy(float) for name in PARAMS if name in table), np.zeros(len(table)))
    tokens = np.log(table["tokens"].to_numpy(float)) if "tokens" in table else np.zeros(len(table))
    order = np.lexsort((tokens, params))
    new = (np.diff(params[order]) != 0) | (np.diff(tokens[order]) > SAME_TOKENS)
    cell = np.empty(len(table), int)
    cell[order] = np.r_[0, np.cumsum(new)][: len(table)]
    return cell


def swept(runs: Runs) -> bool:
    """Whether runs of one (N, D) differ in LR or batch by more than rounding."""
    cell = cell_of(runs.table)
    for name in ("peak_lr", "batch_tokens"):
        if name in runs.table and len(cell):
            groups = pd.Series(np.log(runs.table[name].to_numpy(float))).groupby(cell)
            if (groups.max() - groups.min()).max() > SAME_LABEL:
                return True
    return False
