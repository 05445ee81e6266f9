"""How far the data identify each constant: whether it is at a bound, changes any loss, or only repeats the prior."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jaxlaws.fitting import diagnose, resample
from jaxlaws.fitting.bootstrap import Bootstrap
from jaxlaws.fitting.diagnose import Curvature
from jaxlaws.fitting.problem import Problem
from jaxlaws.fitting.scatter import Scatter, dispersion
from jaxlaws.fitting.solve import Solution

#: Step of a finite difference in a coordinate.
_STEP = 1e-3
#: Factors on the δ of the noise model under which the constants are fitted again.
_DELTAS = (1 / 3, 3.0)


class Identification(NamedTuple):
    """How far the data identify the constants.

    Attributes:
      bounds: constants that ended at a bound.
      untouched: constants that change no loss of the data.
      prior: constant with a prior → (how many sd its coordinate lies from the centre, share of the prior's variance
        that the data leave; 1 says that they add nothing).
      names: of the other constants, along which `curvature` is.
      curvature: of the objective.
      loose: constant → the factor within which nine of ten resamples hold it, where that is large.
    """

    bounds: Sequence[str]
    untouched: Sequence[str]
    prior: Mapping[str, tuple[float, float]]
    names: Sequence[str]
    curvature: Curvature
    loose: Mapping[str, float]


def identification(problem: Problem, best: Solution, spread: Scatter, refits: Bootstrap) -> Identification:
    """How far the data of a problem identify the constants at its optimum."""
    law = problem.law
    bounds = diagnose.at_bounds(law, best.theta, *problem.bounds)
    untouched = _untouched(problem, best.theta, spread)
    free = [i for i, name in enumerate(law.names) if name not in (*bounds, *untouched)]
    names = [law.names[i] for i in free]
    return Identification(
        bounds=[name for name in bounds if name not in problem.fixed],
        untouched=[name for name in untouched if name not in problem.fixed],
        prior=_prior_shares(problem, best),
        names=names,
        curvature=diagnose.curvature(names, best.hessian[np.ix_(free, free)], dispersion(problem, spread)),
        loose=_loose(problem, refits.constants, names),
    )


def _loose(problem: Problem, constants: np.ndarray, names: Sequence[str]) -> dict[str, float]:
    """Those of `names` that the resamples [resamples, parameters] spread over: a valley has no curvature to tell.

    Spread is that of the unitless constant, half the width of its 90% interval in ln, in the sd of a normal one.
    """
    if len(constants) < resample.FEW:
        return {}
    low, high = np.percentile(problem.coordinates(constants), (5, 95), axis=0)
    half = dict(zip(problem.law.names, 0.5 * (high - low), strict=True))
    logs = {parameter.name for parameter in problem.law.parameters if parameter.link == "log"}
    return {name: float(np.exp(half[name])) for name in names if name in logs and half[name] > 1.645 * diagnose.WEAK}


def _untouched(problem: Problem, theta: np.ndarray, spread: Scatter) -> list[str]:
    """Constants of which a factor of e moves the losses less than their noise shows."""
    noise = max(spread.sigma, spread.rounding)
    names = []
    for i, name in enumerate(problem.law.names):
        prediction = problem.predict(theta + _STEP * np.eye(len(theta))[i])
        slope = (spread.residual - problem.points.residual(prediction)) / _STEP
        if noise > diagnose.UNIDENTIFIED * np.sqrt(np.sum(slope**2)):
            names.append(name)
    return names


def _prior_shares(problem: Problem, best: Solution) -> dict[str, tuple[float, float]]:
    """Constant with a prior → (sd from its centre, posterior variance of its coordinate over that of the prior)."""
    centre, sd = problem.prior
    if not problem.noise.shrink or not np.isfinite(sd).any():
        return {}
    variance = np.diag(np.linalg.pinv(diagnose.known(best.hessian), hermitian=True))
    return {
        name: (float((best.theta[i] - centre[i]) / sd[i]), float(np.clip(variance[i] / sd[i] ** 2, 0, 1)))
        for i, name in enumerate(problem.law.names)
        if np.isfinite(sd[i]) and name not in problem.fixed
    }


def under_other_deltas(problem: Problem, theta: np.ndarray) -> dict[str, dict[str, float]]:
    """δ → constants that are fitted under it: a third and three times the δ of the noise model."""
    if not np.isfinite(problem.noise.delta):
        return {}
    constants = {}
    for factor in _DELTAS:
        delta = problem.noise.delta * factor
        solution = problem.from_best(theta, "delta", delta=delta)
        values = problem.constants(solution.theta)[0].tolist()
        constants[f"{delta:.2g}"] = dict(zip(problem.law.names, values, strict=True))
    return constants
