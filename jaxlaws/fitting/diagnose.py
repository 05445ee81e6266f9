"""What a fit cannot say: directions that the data leave open, constants at their bounds, other basins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jaxlaws.laws.law import Law

#: sd of a direction, in ln of its constants, above which it is weak, and above which it is unidentified.
WEAK, UNIDENTIFIED = 1.0, 5.0


class Curvature(NamedTuple):
    """Condition number of the Hessian in whitened coordinates, sd [parameters]; open and weak directions in words."""

    condition: float
    sd: np.ndarray
    unidentified: list[str]
    weak: list[str]


def curvature(names: Sequence[str], hessian: np.ndarray, dispersion: float) -> Curvature:
    """Read the Gauss–Newton Hessian of the objective at the optimum.

    Args:
      names: of the coordinates.
      hessian: [parameters, parameters] in line coordinates.
      dispersion: factor by which the inverse Hessian becomes a covariance.
    """
    value, vector = np.linalg.eigh(known(hessian))
    largest = max(float(value[-1]), 1e-300)
    value = np.maximum(value, 1e-16 * largest)
    spread = np.sqrt(dispersion / value)
    sd = np.sqrt(np.sum((vector * spread) ** 2, 1))
    open_ = [i for i in range(len(value)) if spread[i] > UNIDENTIFIED]
    weak = [i for i in range(len(value)) if WEAK < spread[i] <= UNIDENTIFIED]
    return Curvature(
        largest / float(value[0]),
        sd,
        [f"{_in_words(names, vector[:, i])}: these data do not identify it" for i in open_],
        [f"{_in_words(names, vector[:, i])} is known within a factor of {np.exp(spread[i]):.1f} only" for i in weak],
    )


def known(hessian: np.ndarray) -> np.ndarray:
    """A Hessian with 0 for each entry that is not finite: the data say nothing of what has no derivative."""
    return np.where(np.isfinite(hessian), hessian, 0.0)


def _in_words(names: Sequence[str], direction: np.ndarray) -> str:
    order = [i for i in np.argsort(-np.abs(direction)) if abs(direction[i]) > 0.25]
    signs = ["up" if direction[i] * direction[order[0]] > 0 else "down" for i in order]
    if len(order) == 1:
        return names[order[0]]
    moves = ", ".join(f"{names[i]} {sign}" for i, sign in zip(order, signs, strict=True))
    return f"the direction ({moves})"


def at_bounds(law: Law, theta: np.ndarray, low: np.ndarray, high: np.ndarray) -> list[str]:
    """Names of the constants that ended at a bound."""
    edge = 1e-6 * (high - low)
    return [name for i, name in enumerate(law.names) if theta[i] <= low[i] + edge[i] or theta[i] >= high[i] - edge[i]]


def prior_in_words(law: Law, of_the_prior: Mapping[str, tuple[float, float]], scale: Mapping[str, float]) -> list[str]:
    """A sentence on the prior: its centre, its share of each constant, and its distance from the published constants.

    Args:
      law: with its prior and presets.
      of_the_prior: constant → (sd from the centre, share of the prior's variance that the data leave).
      scale: of the data.
    """
    priors = {p.name: p.prior for p in law.parameters if p.name in of_the_prior and p.prior}
    if not priors:
        return []
    parts = [
        f"{name} to {_in_units(law, name, mean, scale):.3g} (sd {sd:g} of ln, "
        f"the data leave {of_the_prior[name][1]:.0%} of its variance)"
        for name, (mean, sd) in priors.items()
    ]
    presets = []
    for variant, preset in law.presets.items():
        theta = dict(zip(law.names, np.asarray(law.unconstrain(preset.values, scale)), strict=True))
        away = {name: abs(theta[name] - mean) / sd for name, (mean, sd) in priors.items()}
        farthest = max(away, key=away.__getitem__)
        presets.append(f"{law.name}:{variant} lies {away[farthest]:.1f} sd away in {farthest}")
    preset_note = f"; published constants: {', '.join(presets)}" if presets else ""
    return [f"a prior draws {', '.join(parts)}, and the intervals hold given it{preset_note}."]


def _in_units(law: Law, name: str, mean: float, scale: Mapping[str, float]) -> float:
    """The centre of a prior as a constant, where the constants in its unit are at their own centres."""
    centre = {p.name: float(np.exp(p.prior[0])) if p.prior else 1.0 for p in law.parameters}
    return float(np.exp(mean) * law.parameters[law.names.index(name)].unit(centre, scale))


def next_basin(objectives: Sequence[float] | np.ndarray) -> float | None:
    """How much higher than the best the next distinct optimum is, as a share.

    None where every start agrees, or where the best one is 0 to rounding, so that a share has no meaning.
    """
    values = np.sort(np.asarray(objectives))
    higher = values[values > values[0] * (1 + 1e-4)]
    return float(higher[0] / values[0] - 1) if len(higher) and values[0] > 1e-6 else None
