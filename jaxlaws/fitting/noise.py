"""Noise models: how the loss scatters about a law, and the objective that follows from it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from jaxlaws.errors import BadInput, unknown
from jaxlaws.laws.law import Law

_TEMPER = 4.0
#: Residual of ln L at which the squared error of the plain objective turns into an absolute one.
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
      adaptive: whether σ and s are multiples of the scale of the residuals of a plain Huber fit (`at_scale`).
    """

    name: str
    summary: str
    delta: float = DELTA
    sigma: float = DELTA
    offset: float = 0.0
    shrink: bool = False
    log: bool = True
    adaptive: bool = False

    def draws_to_prior(self, law: Law) -> bool:
        """Whether some constants of a law are drawn to a prior."""
        return self.shrink and any(parameter.prior for parameter in law.parameters)

    def at_scale(self, scale: float) -> Noise:
        """The noise model with σ = 4·scale and s = scale if it is adaptive, otherwise unchanged.

        `scale` is the sd of a point within its run, inflated by √((1+φ)/(1−φ)) for the correlation φ of neighbours, so
        that a curve counts as the number of independent points it is worth. The two factors and the prior's sd of .25
        were chosen on simulated curves, by leaving out one of the three training curves of two sizes, and on runs of
        another group (experiments/laws/noise_study.py), before any test curve was scored.
        """
        scale = max(scale, 1e-7)
        return replace(self, sigma=_TEMPER * scale, offset=scale) if self.adaptive else self


NOISES: dict[str, Noise] = {
    noise.name: noise
    for noise in (
        Noise("huber", "independent points, Huber on ln L with delta 1e-3: the objective of the papers"),
        Noise("squared", "independent points, squared error in ln L", delta=math.inf),
        Noise("squared_loss", "independent points, squared error in L", delta=math.inf, log=False),
        Noise(
            "correlated",
            "Huber on ln L at the scale of correlated residuals, offsets of runs, a prior on weak constants",
            offset=DELTA,
            shrink=True,
            adaptive=True,
        ),
    )
}


def huber(residual: np.ndarray, delta: float = DELTA) -> np.ndarray:
    """ρ_δ(r), element by element: r²/2 up to δ, δ(|r| − δ/2) beyond."""
    size = np.abs(residual)
    return np.where(size <= delta, 0.5 * size**2, delta * (size - 0.5 * delta))


def get(name: str | None, law: Law) -> Noise:
    """The noise model of this name, or the default of the law."""
    name = name or law.noise
    if name not in NOISES:
        raise unknown("noise model", name, NOISES)
    if law.signed and NOISES[name].log:
        raise BadInput(f"the noise model {name} is of ln L and the metric of {law.name} may be negative: squared_loss.")
    return NOISES[name]
