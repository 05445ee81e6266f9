"""How far the form of a law is from the truth outside its data, from forward folds inside them.

Outside the data, d = ln of the factor by which they are left (`jaxlaws.fitting.axes.beyond`), the loss is
L·exp(s·d·g) with g ~ Normal(0, 1): resamples say how sure the constants are, s how sure the law itself is. A fit to the
smallest runs, or the first parts of curves, predicts the rest of them: its errors e are Gaussian,

    Cov(e_i, e_j) = σ²·1(i = j) + offset²·1(same run) + (J Σ Jᵀ)_ij + s²·d_i·d_j·k_ij,   k_ij = exp(−|x_i − x_j|²/2),

the noise of points and runs, the error of the constants of the fold, and that of the form, which neighbours share: x
are the logs of what the law reads. Points of different curves do not share it; folds are nested and count as one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jaxlaws.fitting import diagnose
from jaxlaws.fitting.axes import axes, beyond, ranges_of
from jaxlaws.fitting.design_checks import logs_of
from jaxlaws.fitting.points import Points
from jaxlaws.fitting.problem import Problem
from jaxlaws.fitting.scatter import Scatter, dispersion
from jaxlaws.inputs import INPUTS
from jaxlaws.laws.law import Law

#: Shares of the points in the folds; those of a fold are the smallest.
_SHARES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
#: Fewest points of a fold for every constant, and points of a fold that are predicted at most.
_EACH, _MOST = 1.5, 96
#: Prior of s in units of the sd of a point about the law: its median, and the sd of its ln. Both from the forward folds
#: of half of the public tables: python experiments/forecasts.py ../shared/data
PRIOR = (0.7, 0.7)
#: Values of s in that unit, and the levels of the quantiles that are stored.
_GRID = np.geomspace(1e-3, 1e2, 231)
_LEVELS = np.linspace(0.025, 0.975, 20)
#: Step of a finite difference in a coordinate.
_STEP = 1e-4


class FormError(NamedTuple):
    """What forward folds say of s.

    Attributes:
      sd: quantiles of s at equally spaced levels: sd of ln L for each factor of e outside the data.
      folds: how many; with none the quantiles are those of the prior.
    """

    sd: list[float]
    folds: int


class _Fold(NamedTuple):
    """A fold: which points it is fitted to [points], and the distance of all points from those."""

    keep: np.ndarray
    distance: np.ndarray


def form_error(problem: Problem, theta: np.ndarray, spread: Scatter) -> FormError | None:
    """The quantiles of s for a fit; None for a law that has no size along which the data could be left.

    Args:
      problem: with the points of the fit.
      theta: [parameters] coordinates of its optimum.
      spread: of its points there.
    """
    size = sizes(problem.law, problem.points)
    if size is None:
        return None
    folds = _folds(problem, size)
    score = -0.5 * (np.log(_GRID / PRIOR[0]) / PRIOR[1]) ** 2
    if folds:
        solution = problem.from_best(theta, "forward", weight=np.array([fold.keep for fold in folds], float))
        ends = zip(folds, solution.theta, solution.hessian, strict=True)
        likelihoods = [_log_likelihood(problem, fold, at, hessian, size, spread) for fold, at, hessian in ends]
        score = score + np.mean(likelihoods, axis=0)
    weight = np.exp(score - score.max())
    total = np.cumsum(weight) / weight.sum()
    sd = spread.sigma * np.interp(_LEVELS, total, _GRID)
    return FormError([float(f"{value:.6g}") for value in sd], len(folds))


def sizes(law: Law, points: Points) -> np.ndarray | None:
    """[points] ln of the size up to a constant: of compute, or of all that the loss falls with; None without such."""
    totals = axes(law, points.inputs)
    if law.kind == "point" and "flops" in totals:
        falling = [totals["flops"]]
    else:
        falling = [points.inputs[name] for name in law.inputs if INPUTS[name].falls]
        falling += [points.inputs["S"]] if law.kind == "curve" else []
    return np.sum([logs_of(values) for values in falling], axis=0) if falling else None


def _folds(problem: Problem, size: np.ndarray) -> list[_Fold]:
    """The folds that leave points outside their own data and have enough to be fitted."""
    law, points = problem.law, problem.points
    values = axes(law, points.inputs, points.at)
    least = _EACH * len(law.names)
    folds: list[_Fold] = []
    for edge in np.unique(np.quantile(size, _SHARES)):
        keep = size <= edge
        ranges = ranges_of({name: value[keep] for name, value in values.items()})
        distance = np.where(keep, 0.0, beyond(values, ranges))
        distinct = len(np.unique(points.cell[points.run[keep]])) if points.single else int(keep.sum())
        if distinct >= least and distance.any():
            folds.append(_Fold(keep, distance))
    return folds if len(folds) > 1 else []


def _log_likelihood(
    problem: Problem, fold: _Fold, theta: np.ndarray, hessian: np.ndarray, size: np.ndarray, spread: Scatter
) -> np.ndarray:
    """[grid] ln of the likelihood of the errors of a fold at `_GRID`; 0 where the fold has no finite losses there."""
    points = problem.points
    test = _thinned(points, fold, size)
    run, distance = points.run[test], fold.distance[test]
    error = points.residual(problem.predict(theta))[test]
    constants = _error_of_constants(problem, test, theta, error, hessian, spread)
    if not np.all(np.isfinite(constants)):
        return np.zeros(len(_GRID))
    same = run[:, None] == run
    noise = constants @ constants.T + spread.offset**2 * same + spread.sigma**2 * np.eye(len(test))
    x = np.stack([logs_of(value[test]) for value in _place(problem.law, points)], axis=1)
    form = distance[:, None] * distance * np.exp(-0.5 * np.sum((x[:, None] - x) ** 2, axis=-1))
    value, vector = np.linalg.eigh(noise)
    whiten = (vector / np.sqrt(np.maximum(value, spread.sigma**2))).T
    value, vector = np.linalg.eigh(whiten @ (form if points.single else form * same) @ whiten.T)
    variance = 1 + (spread.sigma * _GRID[:, None]) ** 2 * np.maximum(value, 0.0)
    return -0.5 * np.sum(np.log(variance) + (vector.T @ (whiten @ error)) ** 2 / variance, axis=1)


def _error_of_constants(
    problem: Problem, test: np.ndarray, theta: np.ndarray, error: np.ndarray, hessian: np.ndarray, spread: Scatter
) -> np.ndarray:
    """[test, parameters] a root of J Σ Jᵀ, with the constants that are at a bound held there."""
    bound = diagnose.at_bounds(problem.law, theta, *problem.bounds)
    free = np.flatnonzero(~np.isin(problem.law.names, bound))
    steps = theta + _STEP * np.eye(len(theta))[free]
    jacobian = [(problem.points.residual(problem.predict(at))[test] - error) / _STEP for at in steps]
    value, vector = np.linalg.eigh(diagnose.known(hessian[np.ix_(free, free)]))
    value = np.maximum(value, 1e-16 * max(float(value[-1]), 1e-300))
    return np.stack(jacobian, axis=1) @ (vector * np.sqrt(dispersion(problem, spread) / value))


def _thinned(points: Points, fold: _Fold, size: np.ndarray) -> np.ndarray:
    """Indices of the points that a fold predicts: all, or `_MOST` in even steps along the curves, or the sizes."""
    test = np.flatnonzero(fold.distance > 0)
    test = test[np.lexsort((size[test],) if points.single else (size[test], points.run[test]))]
    return test[np.unique(np.linspace(0, len(test) - 1, _MOST).round().astype(int))]


def _place(law: Law, points: Points) -> list[np.ndarray]:
    """What tells two points of a law apart, [points] each."""
    names = [name for name in law.inputs if INPUTS[name].of_run and not INPUTS[name].many]
    return [points.inputs[name] for name in (*names, *(("S",) if law.kind == "curve" else ()))]
