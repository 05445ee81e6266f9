"""Errors on runs that a fit does not see: each run by a fit of the others, the largest runs by one of the smaller."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxlaws.fitting import score
from jaxlaws.fitting.axes import axes
from jaxlaws.fitting.design_checks import logs_of
from jaxlaws.fitting.points import Points
from jaxlaws.fitting.problem import Problem
from jaxlaws.inputs import INPUTS

#: Largest number of runs of which each is left out in turn.
_MOST_RUNS = 256
#: Runs from which on the largest fifth is predicted from the others.
_FEWEST_RUNS = 8


def held_out(problem: Problem, theta: np.ndarray, everything: Points, train: Sequence[str] | None) -> dict[str, Any]:
    """Every kind of error on held-out data, as in `Fit.held_out`.

    Args:
      problem: with the points of the fit.
      theta: [parameters] coordinates of the optimum.
      everything: the points of the fit and those that it leaves out.
      train: ids of the runs of the fit; all without it.
    """
    prediction = problem.predict(theta, everything)
    errors = _of_splits(problem, theta)
    if train is not None:
        errors |= _test(problem, everything, prediction, train)
    if problem.law.kind == "curve":
        errors["gaps"] = score.gaps(everything, prediction, train)
        errors["decay_gaps"] = score.decay_ratio(everything, prediction, train)
    return errors


def _test(problem: Problem, everything: Points, prediction: np.ndarray, train: Sequence[str]) -> dict[str, Any]:
    """Errors of the runs that `train` leaves out; of curves the mean over them."""
    if problem.law.kind == "curve":
        return {"test": score.average(score.by_curve(everything, prediction, train), "test")}
    rest = ~np.isin(everything.run, [everything.names.index(name) for name in train])
    if not rest.any():
        return {}
    return {"test": score.errors(everything.loss[rest], prediction[rest], float(problem.points.loss.mean()))}


def _of_splits(problem: Problem, theta: np.ndarray) -> dict[str, Any]:
    """Errors of each run predicted by a fit to the others, and of the largest runs by a fit to the smaller ones."""
    runs, smaller = len(problem.points.names), _smaller(problem)
    others = list(~np.eye(runs, dtype=bool)) if 2 < runs <= _MOST_RUNS else []
    splits = others if smaller is None else [*others, smaller]
    if not splits:
        return {}
    thetas = problem.from_best(theta, "leave out", weight=np.array(splits, float)[:, problem.points.run]).theta
    errors: dict[str, Any] = {"leave_one_run_out": _of_each_run(problem, thetas)} if others else {}
    if smaller is not None:
        errors["extrapolation"] = _of_the_largest(problem, thetas[-1], smaller)
    return errors


def _of_each_run(problem: Problem, thetas: np.ndarray) -> dict[str, float]:
    """Errors of run i at coordinates i, beside those of the mean loss of the others."""
    points, runs = problem.points, len(problem.points.names)
    prediction = np.concatenate([problem.predict(thetas[i])[points.run == i] for i in range(runs)])
    count = np.bincount(points.run, minlength=runs)
    constant = (points.loss.sum() - np.bincount(points.run, points.loss, runs)) / (len(points.loss) - count)
    return score.errors(points.loss, prediction, constant[points.run])


def _of_the_largest(problem: Problem, theta: np.ndarray, smaller: np.ndarray) -> dict[str, float]:
    """Errors of the runs that are not among `smaller` [runs], beside those of the mean loss of the smaller ones."""
    points = problem.points
    larger = ~smaller[points.run]
    constant = float(points.loss[~larger].mean())
    errors = score.errors(points.loss[larger], problem.predict(theta)[larger], constant)
    return {**errors, "runs": int((~smaller).sum())}


def _smaller(problem: Problem) -> np.ndarray | None:
    """[runs] whether a run is among the smaller four fifths; None where there are too few runs to say.

    The size is the compute, N·D; of curves of one size, the steps.
    """
    size = _log_size(problem)
    edge = np.quantile(size, 0.8)
    smaller = size < edge if edge == size.max() else size <= edge
    return smaller if len(size) >= _FEWEST_RUNS and smaller.sum() > len(size) / 2 else None


def _log_size(problem: Problem) -> np.ndarray:
    """[runs] ln of the size, up to a constant; of a law without the compute, of what the loss falls with."""
    points, law = problem.points, problem.law
    last = np.r_[np.flatnonzero(np.diff(points.run)), len(points.run) - 1]
    inputs = {name: value[last] for name, value in points.inputs.items()}
    totals = axes(law, inputs)
    falling = [totals["flops"]] if "flops" in totals else [inputs[name] for name in law.inputs if INPUTS[name].falls]
    size = np.sum([np.zeros(len(last)), *map(logs_of, falling)], axis=0)
    if law.kind == "curve":
        size += np.log([points.at[points.run == i].max() + 1 for i in range(len(last))])
    return np.asarray(size)
