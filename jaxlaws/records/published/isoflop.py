"""Points of Chinchilla's isoFLOP figure, as two groups read them off (Hoffmann et al. 2022, arXiv 2203.15556)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from jaxlaws.errors import BadInput
from jaxlaws.records.published.read import read_csv
from jaxlaws.records.table import Runs

#: How many of the highest losses the replication of Besiroglu et al. (2024, arXiv 2404.10102) leaves out.
OUTLIERS = 5

_EPOCH = ("Model Size", "Training FLOP", "loss")
_SCALEFIT = ("params", "tokens", "budget", "loss")


def load(path: Path) -> Runs:
    """The points that the published replications fit: of Epoch's file those below its fifth highest loss (240 of 245).

    The other file is whole. `load_all` keeps every point of either.
    """
    runs = load_all(path)
    if "flops_budget" in runs.table:
        return runs
    loss = runs.table["loss_nats"]
    return runs.select(runs.table.index[loss < loss.nlargest(OUTLIERS).iloc[-1]])


def load_all(path: Path) -> Runs:
    """Every point of `chinchilla_figure4_epoch.csv` or `ml_scalefit.csv`, told apart by their columns.

    N is the total parameter count, as in the figure. Epoch's file states N and the compute C, so D = C/(6N); the other
    states N, D and the nominal budget of the profile (`flops_budget`), which 6ND misses by up to 10%.
    """
    raw = read_csv(path, "isoflop", ("loss",))
    epoch = "Training FLOP" in raw
    columns = _EPOCH if epoch else _SCALEFIT
    if any(name not in raw for name in columns):
        raise BadInput(
            f"{path} is no isoFLOP table: expected the columns {', '.join(_EPOCH)}, or {', '.join(_SCALEFIT)}; it has "
            f"{', '.join(map(str, raw.columns))}: read other tables with --map."
        )
    raw = read_csv(path, "isoflop", columns)
    params = raw["Model Size" if epoch else "params"].to_numpy(float)
    table = pd.DataFrame(
        {
            "params_total": params,
            "tokens": raw["Training FLOP"].to_numpy(float) / (6 * params) if epoch else raw["tokens"].to_numpy(float),
            "loss_nats": raw["loss"].to_numpy(float),
        },
        index=pd.Index([f"point_{i}" for i in np.arange(len(raw))], name="run_id"),
    )
    if not epoch:
        table["flops_budget"] = raw["budget"].to_numpy(float)
    return Runs(table, source=path.name)
