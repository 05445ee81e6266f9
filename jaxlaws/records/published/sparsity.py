"""Models with active and dense parameters (ScaleBench's `sparsity` table)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from jaxlaws.records.published.read import renamed
from jaxlaws.records.table import Runs


def load(path: Path) -> Runs:
    """The 70 runs of `sparsity.csv`, of which `--where "group=='D1=2.31_D2=4.61'"` selects one of three families.

    What was trained is not documented, and neither are the units: parameters and tokens are taken as 1e9. P is all
    parameters over the active ones; N_active and N_dense look like a routed model grown out of a dense one, which D1
    tokens trained before D2 more. Here the mean of the active parameters is N_active, N is P·N_active, and D is D2.
    """
    columns = {"group": "group", "params_total": "P", "params_mean": "N_active", "tokens": "D2", "loss_nats": "loss"}
    runs = renamed(path, "sparsity", columns, times={"params_mean": 1e9, "tokens": 1e9})
    note = f"{path.name} does not say what it measured: its parameters and tokens are taken as billions, D as D2."
    table = runs.table.assign(params_total=runs.table["params_total"] * runs.table["params_mean"])
    return replace(runs, table=table, notes=(note,))
