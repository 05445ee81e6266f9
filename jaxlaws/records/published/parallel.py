"""Models of one, two and four parallel streams (ParScale, Chen et al. 2025, arXiv 2505.10475; from ScaleBench)."""

from __future__ import annotations

from pathlib import Path

from jaxlaws.records.published.read import renamed
from jaxlaws.records.table import Runs


def load(path: Path) -> Runs:
    """The 36 runs of `parallel.csv`: 18 on the Stack and 18 on the Pile, of which `--where group==stack` selects one.

    The file does not say what its parameters count. They are taken as those without embeddings: the model that its
    authors name 1.8B has 1.57e9.
    """
    columns = {"params_nonembedding": "num_params", "parallel_streams": "parallel_size"}
    return renamed(path, "parallel", {**columns, "group": "group", "loss_nats": "loss"})
