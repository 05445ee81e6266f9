"""Noise models: how the loss scatters about a law, and what that makes of the objective."""

from __future__ import annotations

import math
from dataclasses import dataclass

from jaxlaws.errors import unknown
from jaxlaws.laws.base import Law

#: Where the squared error of the plain objective turns into an absolute one, in ln L.
DELTA = 1e-3


@dataclass(frozen=True)
class Noise:
    """Residuals r = ln L − ln L̂ − b_run with objective Σ ρ_δ(r)/σ² + Σ b²/2s² + Σ (ln p − μ)²/2τ².

    Attributes:
      name: key in the table of noise models.
      summary: for people.
      delta: δ of the Huber function ρ; infinite for squared error.
      sigma: σ, the scale of independent scatter of one point.
      offset: s, the sd of the offset of a whole run; 0 for none.
      shrink: whether weakly identified constants are drawn to the law's prior.
      log: whether residuals are in ln L, or in L.
    """

    name: str
    summary: str
    delta: float = DELTA
    sigma: float = DELTA
    offset: float = 0.0
    shrink: bool = False
    log: bool = True


NOISES: dict[str, Noise] = {
    noise.name: noise
    for noise in (
        Noise("huber", "independent points, Huber on ln L with delta 1e-3: the objective of the papers"),
        Noise("squared", "independent points, squared error in ln L", delta=math.inf),
        Noise("squared_loss", "independent points, squared error in L", delta=math.inf, log=False),
        Noise("offset", "Huber on ln L, and every run has an offset of sd .003", offset=3e-3),
    )
}


def get(name: str | None, law: Law) -> Noise:
    """The noise model of this name, or the default of the law."""
    name = name or "huber"
    if name not in NOISES:
        raise unknown("noise model", name, NOISES)
    return NOISES[name]
