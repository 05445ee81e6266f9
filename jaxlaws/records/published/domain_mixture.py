"""Mixtures of five domains at four model sizes, with a loss a domain (ScaleBench; Ye et al. 2024, arXiv 2403.16952)."""

from __future__ import annotations

from pathlib import Path

from jaxlaws.records.columns import TARGET
from jaxlaws.records.published.read import renamed
from jaxlaws.records.table import Runs

_DOMAINS = range(1, 6)


def load(path: Path) -> Runs:
    """The 80 runs of `domain_mixture.csv`, whose `group` is the model size: `--where group==70M` selects 20 of them.

    The domains have numbers in place of names: `share.domain_1`, and `val_loss.domain_1`, of which `--target domain_1`
    chooses one.
    """
    shares = {f"share.domain_{i}": f"proportion_domain_{i}" for i in _DOMAINS}
    losses = {f"{TARGET}domain_{i}": f"loss_domain_{i}" for i in _DOMAINS}
    return renamed(path, "domain_mixture", {"group": "group", **shares, **losses})
