"""Runs that repeat their data (Muennighoff et al. 2023, arXiv 2305.16264)."""

from __future__ import annotations

from pathlib import Path

from jaxlaws.records.published.read import read_csv, renamed
from jaxlaws.records.table import Runs

_OURS = ("params_total", "tokens", "unique_tokens", "loss_nats")


def load(path: Path) -> Runs:
    """The runs of `data_constrained/runs.csv`, the 182 that the authors fitted, or `scalebench/data_constrained.csv`.

    They are told apart by their columns. N counts every parameter, as in the law's base, Chinchilla's.
    """
    fitted = "U" in read_csv(path, "data_constrained", ("loss",))
    theirs = ("N", "D", "U", "loss") if fitted else ("params", "tokens", "unique_tokens", "loss")
    return renamed(path, "data_constrained", dict(zip(_OURS, theirs, strict=True)), "name" if fitted else "")
