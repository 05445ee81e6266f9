"""Routed models without their routers and learning curves: ScaleBench's copy of Clark's runs (arXiv 2202.01169)."""

from __future__ import annotations

from pathlib import Path

from jaxlaws.records.published.read import renamed
from jaxlaws.records.table import Runs


def load(path: Path) -> Runs:
    """The 193 runs, of all routers together: what routes is not in the file, which the format `routing` tells apart."""
    columns = {
        "params_nonembedding": "dense_parameter_count",
        "experts": "num_experts",
        "loss_nats": "loss_validation",
        "group": "group",
    }
    return renamed(path, "moe", columns)
