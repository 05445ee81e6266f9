"""The runs behind Farseer (Predictable Scale II, arXiv 2506.10972; from ScaleBench)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from jaxlaws.records.published.read import renamed
from jaxlaws.records.table import Runs

#: What its loss is, which is not in nats a token.
METRIC = "bits_per_character"


def load(path: Path) -> Runs:
    """The 404 runs of `farseer.csv`: 25 sizes by 11 to 19 token budgets; N counts no embeddings."""
    columns = {"params_nonembedding": "N", "tokens": "D", f"metric.{METRIC}": "loss"}
    return replace(renamed(path, "farseer", columns), target=METRIC)
