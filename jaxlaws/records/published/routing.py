"""Routed and dense models with their losses on six sets (Clark et al. 2022, arXiv 2202.01169)."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from jaxlaws.errors import BadInput
from jaxlaws.records.columns import TARGET
from jaxlaws.records.published.read import read_csv
from jaxlaws.records.table import Runs

#: What the authors fit their law to: half of the layers routed, one expert a token, one seed.
_FITTED = {"routing_frequency": 0.5, "k": 1, "seed": 42}
_SETS = ("c4", "curation_corpus", "lambada", "pile", "wikitext103")
_DENSE = "Dense"


def load(path: Path) -> Runs:
    """The last step of the runs of `curves.csv.gz` that the authors fit, those of each router as one `group`.

    The groups are Hash, RL-R and S-Base, and every group has the dense models (one expert) as well, so that
    `--where group==S-Base` selects what the constants of S-Base were fitted to. Runs with other shares of routed
    layers, more experts a token or other seeds are left out. N counts the dense model without embeddings;
    `val_loss_nats` is the validation set, `val_loss.c4` and the like are the others.
    """
    losses = [f"loss_{name}" for name in _SETS]
    counts = ("num_experts", "dense_parameter_count", "routing_frequency", "loss_validation", *losses)
    raw = read_csv(path, "routing", counts, ("hyper_id", "step", "k", "seed"), ("router_type",))
    raw = raw.sort_values("step").groupby("hyper_id").tail(1).sort_values("hyper_id")
    for column, value in _FITTED.items():
        raw = raw[raw[column] == value]
    routers = sorted(set(raw["router_type"]) - {_DENSE})
    if not routers:
        raise BadInput(f"{path} has no routed model with {', '.join(f'{k} {v}' for k, v in _FITTED.items())}.")
    parts = [
        pd.DataFrame(
            {
                "group": router,
                "model": part["router_type"],
                "params_nonembedding": part["dense_parameter_count"],
                "experts": part["num_experts"],
                "steps": part["step"],
                "seed": part["seed"],
                "val_loss_nats": part["loss_validation"],
                **{TARGET + name: part[f"loss_{name}"] for name in _SETS},
            }
        ).set_index(pd.Index([f"{router}_{number}" for number in part["hyper_id"]], name="run_id"))
        for router in routers
        for part in [raw[raw["router_type"].isin((router, _DENSE))]]
    ]
    return Runs(pd.concat(parts), source=path.name)
