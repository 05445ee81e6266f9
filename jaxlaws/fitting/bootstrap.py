"""Refits to resamples: the constants of other draws of the same data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from jaxlaws.fitting import resample
from jaxlaws.fitting.problem import Problem
from jaxlaws.fitting.scatter import Scatter
from jaxlaws.fitting.solve import Solution

#: Largest share of its objective that another step may gain in a valid refit.
_GAIN = 1e-3
#: Share of invalid refits above which there is a warning.
_MOST_FAILURES = 0.05


class Bootstrap(NamedTuple):
    """Refits to resamples.

    Attributes:
      resampling: how the resamples were made.
      constants: [resamples, parameters] of the refits that count.
      counts: `resamples`, and of those that do not count how many were `rank_deficient` and `not_converged`.
    """

    resampling: str
    constants: np.ndarray
    counts: Mapping[str, int]

    def warnings(self) -> list[str]:
        """A sentence where many refits are invalid."""
        failures = self.counts.get("rank_deficient", 0) + self.counts.get("not_converged", 0)
        if failures <= _MOST_FAILURES * self.counts.get("resamples", 0):
            return []
        return [f"{failures} of {self.counts['resamples']} resamples could not be fitted: intervals are too narrow."]


def refit(problem: Problem, theta: np.ndarray, spread: Scatter, count: int, seed: int) -> Bootstrap:
    """Refit `count` resamples, from the optimum on.

    Cells are drawn where there are two for every constant at least: a draw of n cells holds about .63 n distinct ones,
    and with fewer of them than constants it is useless. Elsewhere losses are simulated about the law. Where a prior
    is used its centre is drawn anew for every resample, so that the constants spread as the posterior.

    Args:
      problem: with the points of the fit.
      theta: [parameters] coordinates of its optimum.
      spread: of its points there.
      count: how many; none with 0.
      seed: of the resamples.
    """
    parameters = len(problem.law.names)
    if count == 0:
        return Bootstrap("none", np.empty((0, parameters)), {})
    points, rng = problem.points, np.random.default_rng(seed)
    prior = _prior_centres(problem, count, rng)
    unit = "cells" if points.single else "runs"
    enough = max(resample.CLUSTERS, 2 * parameters if points.single else 0)
    if points.cells >= enough:
        solution, full_rank = _of_clusters(problem, theta, spread, prior, rng)
        resampling = f"bootstrap of {points.cells} {unit}"
    else:
        solution, full_rank = _parametric(problem, theta, spread, prior, rng), np.ones(count, bool)
        resampling = f"parametric: fewer than {enough} {unit} to draw from"
    good = full_rank & (solution.gain <= _GAIN)
    counts = {
        "resamples": count,
        "rank_deficient": int((~full_rank).sum()),
        "not_converged": int((full_rank & ~good).sum()),
    }
    return Bootstrap(resampling, problem.constants(solution.theta[good]), counts)


def _prior_centres(problem: Problem, count: int, rng: np.random.Generator) -> np.ndarray:
    """[count, parameters] centres, drawn from the prior."""
    centre, sd = problem.prior
    return centre + np.where(np.isfinite(sd), sd, 0.0) * rng.standard_normal((count, len(centre)))


def _of_clusters(
    problem: Problem, theta: np.ndarray, spread: Scatter, prior: np.ndarray, rng: np.random.Generator
) -> tuple[Solution, np.ndarray]:
    """Refits to draws of cells or runs, and [draws] whether each has as many distinct cells as there are constants."""
    weight = resample.cell_weights(problem.points, len(prior), rng)
    target = _within_digits(problem, spread, len(prior), rng)
    solution = problem.from_best(theta, "bootstrap", weight=weight[:, problem.points.run], target=target, prior=prior)
    enough = (weight > 0).sum(1) >= len(problem.law.names) if problem.points.single else np.ones(len(prior), bool)
    return solution, enough


def _parametric(
    problem: Problem, theta: np.ndarray, spread: Scatter, prior: np.ndarray, rng: np.random.Generator
) -> Solution:
    """Refits to losses that are simulated about the law.

    Those of a single run scatter as the objective weighs a point, and not as little as its residuals: its constants
    take up what is particular to it.
    """
    log, offset = problem.noise.log, problem.noise.offset
    middle, unit = (np.log(spread.prediction), 1.0) if log else (spread.prediction, spread.size)
    alone = len(problem.points.names) == 1
    phi, sigma = (0.0, problem.noise.sigma) if alone else (spread.correlation, spread.sigma * unit)
    target = resample.simulate(problem.points, middle, sigma, phi, offset * unit, len(prior), rng)
    return problem.from_best(theta, "bootstrap", target=target, prior=prior)


def _within_digits(problem: Problem, spread: Scatter, count: int, rng: np.random.Generator) -> np.ndarray:
    """[count, points] targets anywhere within the digits of the losses, so that no interval is finer than those."""
    loss = problem.points.loss + spread.spacing * (rng.random((count, len(problem.points.loss))) - 0.5)
    return np.log(loss) if problem.noise.log else loss
