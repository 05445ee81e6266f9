"""How losses scatter about a law at its optimum: the residuals, their correlation along a curve, the noise of a run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jaxlaws.fitting import resample
from jaxlaws.fitting.points import Points
from jaxlaws.fitting.problem import Problem
from jaxlaws.fitting.solve import Solution, best_of

#: sd of ln L of a whole run that is assumed where it is not measured, and the 90% interval of what it may be. Two pairs
#: of public runs share model and schedule for 24,000 steps (25M and 100M): pooled .00086. Two degrees of freedom leave
#: the interval, and widen 90% bands by 2.92/1.645 (Student's t over the normal), which is in the value:
#: python experiments/laws/run_noise.py ../shared/data/multi_power_law
RUN_SD, RUN_SD_RANGE = 1.5e-3, (4.9e-4, 3.8e-3)
#: Bends of curves (second differences of three points) from which their noise is measured.
_BENDS = 8


@dataclass(frozen=True)
class Scatter:
    """Residuals about a fitted law and the noise that they show, as shares of the loss.

    Attributes:
      prediction: [points] losses of the law.
      residual: [points] ln L − ln L̂.
      within: [points] residuals about the mean of their run, of single points the residuals, inflated by √(n/(n − p))
        for the p constants that were fitted.
      correlation: of neighbouring residuals of a run.
      sigma: sd of `within`, at least that of the rounding.
      offset: sd of the offset of a run.
      spacing: of the losses as they were logged, in their unit.
      size: mean absolute loss.
      curve_noise: sd of a point about the line through its neighbours on the curve; None where there are none.
    """

    prediction: np.ndarray
    residual: np.ndarray
    within: np.ndarray
    correlation: float
    sigma: float
    offset: float
    spacing: float
    size: float
    curve_noise: float | None

    @property
    def rounding(self) -> float:
        """The spacing as a share of the loss."""
        return self.spacing / self.size

    def of_a_point(self) -> np.ndarray:
        """ln L − ln L̂ of a point, each spread over the digits that its loss was logged with."""
        return (self.within[:, None] + self.rounding * np.linspace(-0.5, 0.5, 9)).ravel()


def scatter(problem: Problem, theta: np.ndarray) -> Scatter:
    """The scatter of a problem's points about the law at coordinates `theta`."""
    points = problem.points
    prediction = problem.predict(theta)
    residual = points.residual(prediction)
    means = resample.run_means(points, residual)
    within = _within(points, residual)
    dof = max(len(within) - len(problem.law.names), 1)
    spacing = resample.rounding(points.loss)
    return Scatter(
        prediction=prediction,
        residual=residual,
        within=within * np.sqrt(len(within) / dof),
        correlation=resample.correlation(points, residual),
        sigma=max(float(np.sqrt(np.sum(within**2) / dof)), spacing / points.size / np.sqrt(12)),
        offset=_offset(problem, means),
        spacing=spacing,
        size=points.size,
        curve_noise=_curve_noise(points) if problem.law.kind == "curve" else None,
    )


def _within(points: Points, residual: np.ndarray) -> np.ndarray:
    """[points] residuals about the mean of their run; of single points the residuals."""
    return residual if points.single else residual - resample.run_means(points, residual)[points.run]


def _offset(problem: Problem, means: np.ndarray) -> float:
    """sd of the offset of a run: the largest of the noise model's, the measured one, and with few curves `RUN_SD`."""
    estimate = 0.0 if problem.points.single else float(np.sqrt(np.mean(means**2)))
    few = problem.law.kind == "curve" and problem.points.cells < resample.CLUSTERS
    return max(problem.noise.offset, estimate, RUN_SD if few else 0.0)


def _curve_noise(points: Points) -> float | None:
    """sd of a residual about the line through its neighbours on the curve; None where there are too few.

    y₊ − 2y + y₋ of independent noise of variance σ² has variance 6σ².
    """
    y = points.residual(np.full_like(points.loss, points.size))
    bend = (y[2:] - 2 * y[1:-1] + y[:-2])[points.run[2:] == points.run[:-2]]
    return float(1.4826 * np.median(np.abs(bend)) / np.sqrt(6)) if len(bend) >= _BENDS else None


def noise_scale(problem: Problem, solution: Solution) -> float:
    """sd of ln L of a point within its run under a plain fit, inflated for the correlation of neighbours.

    The sd is 1.4826 times the median absolute residual, about the mean of the run where runs have several points, and
    the inflation √((1+φ)/(1−φ)). Of a single run it is at least `RUN_SD`: its constants take up what is particular to
    it, which its residuals then do not show.
    """
    points = problem.points
    residual = points.residual(problem.predict(best_of(solution).theta))
    within = _within(points, residual)
    phi = resample.correlation(points, within)
    scale = float(1.4826 * np.median(np.abs(within)) * np.sqrt((1 + phi) / (1 - phi)))
    return max(scale, RUN_SD) if len(points.names) == 1 else scale


def dispersion(problem: Problem, spread: Scatter) -> float:
    """Factor that makes the inverse Hessian a covariance, for Huber errors that are correlated along a curve."""
    noise, size = problem.noise, np.abs(spread.residual)
    if noise.adaptive:
        return 1.0
    if not noise.log:
        size = np.abs(problem.points.loss - spread.prediction)
    pull = np.minimum(size, noise.delta) / noise.sigma
    curve = np.mean(np.where(size <= noise.delta, 1.0, 0.3)) if np.isfinite(noise.delta) else 1.0
    dof = max(len(size) - len(problem.law.names), 1)
    phi = spread.correlation
    inflation = (1 + phi) / (1 - phi)
    if problem.law.kind == "point" and not problem.points.single:
        inflation = _design_effect(problem.points, np.sign(spread.residual) * pull)
    return float(np.sum(pull**2) / dof / curve * inflation)


def _design_effect(points: Points, pull: np.ndarray) -> float:
    """By how much the variance of a mean is larger since points of one run err alike: Σ_run (Σ pull)² / Σ pull²."""
    sums = np.bincount(points.run, pull)
    return max(float(np.sum(sums**2) / np.sum(pull**2)), 1.0)
