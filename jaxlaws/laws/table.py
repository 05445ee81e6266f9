"""Every law by name. Adding a law is one file, one entry here and one row in the table of tests."""

from __future__ import annotations

from jaxlaws.errors import unknown
from jaxlaws.laws import annealing, baselines, bound, chinchilla, critical_batch, farseer, kaplan, multi_power
from jaxlaws.laws.base import Law

LAWS: dict[str, Law] = {
    law.name: law
    for law in (
        multi_power.LAW,
        annealing.LAW,
        annealing.SIZED,
        baselines.OPL,
        baselines.LLDL,
        bound.LAW,
        chinchilla.LAW,
        kaplan.LAW,
        critical_batch.LAW,
        farseer.LAW,
    )
}


def get(name: str) -> Law:
    """The law of this name; `BadInput` with the valid names otherwise."""
    if name not in LAWS:
        raise unknown("law", name, LAWS)
    return LAWS[name]
