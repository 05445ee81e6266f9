"""Resamples of losses: clusters of runs drawn with replacement or, where there are too few, simulated losses."""

from __future__ import annotations

import numpy as np

from jaxlaws.fitting.points import Points

#: Fewest clusters (runs of curves, or (N, D) cells) that are drawn with replacement; with fewer, losses are simulated.
CLUSTERS = 8
#: Resamples below which there is no interval.
FEW = 20
#: Relative spacing of the numbers that losses are computed in (float32), the finest that any loss is known to.
_FLOAT32 = 2.0**-23


def rounding(loss: np.ndarray) -> float:
    """The spacing of the losses as they were logged: 10^-k where all of them have k decimals, else that of float32."""
    finest = _FLOAT32 * float(np.mean(loss))
    for digits in range(8):
        multiples = loss * 10.0**digits
        if np.all(np.abs(multiples - np.round(multiples)) < 1e-6 * np.maximum(np.abs(multiples) * 1e-6, 1)):
            return max(10.0**-digits, finest)
    return finest


def interval(value: float, draws: np.ndarray, level: float) -> list[float]:
    """The percentiles of the resamples, widened to the value itself where all but a tail of them lie on one side of it.

    Bounds, priors and outliers that a fit resists and its resamples do not, shift resamples away from the fit: an
    interval that excluded its own value would deny it.
    """
    low, high = np.percentile(draws, (50 * (1 - level), 50 * (1 + level)))
    return [float(min(low, value)), float(max(high, value))]


def cell_weights(points: Points, count: int, rng: np.random.Generator) -> np.ndarray:
    """Weights [count, runs]: how often the cell of each run was drawn, with replacement."""
    counts = rng.multinomial(points.cells, np.full(points.cells, 1 / points.cells), size=count)
    return counts[:, points.cell].astype(float)


def correlation(points: Points, residual: np.ndarray) -> float:
    """Correlation of neighbouring residuals within a run, about the mean of the run; 0 for single points."""
    deviation = residual - run_means(points, residual)[points.run]
    same = points.run[1:] == points.run[:-1]
    variance = float(np.mean(deviation**2))
    if same.sum() < 8 or variance == 0:
        return 0.0
    return float(np.clip(np.mean((deviation[1:] * deviation[:-1])[same]) / variance, 0.0, 0.98))


def run_means(points: Points, residual: np.ndarray) -> np.ndarray:
    """Mean residual of every run [runs]."""
    count = np.maximum(np.bincount(points.run, minlength=len(points.names)), 1)
    return np.bincount(points.run, residual, minlength=len(points.names)) / count


def simulate(
    points: Points,
    prediction: np.ndarray,
    sigma: float,
    phi: float,
    offset: float,
    count: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Targets [count, points]: prediction + offset of the run + first-order autoregressive noise along each curve.

    Args:
      points: the runs.
      prediction: [points] ln L̂ (or L̂).
      sigma: sd of the noise of a point.
      phi: its correlation from one point of a curve to the next.
      offset: sd of the offset of a run.
      count: how many.
      rng: the generator.
    """
    shock = rng.standard_normal((count, len(prediction)))
    noise = np.empty_like(shock)
    first = np.concatenate([[True], points.run[1:] != points.run[:-1]])
    for i, begins in enumerate(first):
        noise[:, i] = shock[:, i] if begins else phi * noise[:, i - 1] + np.sqrt(1 - phi**2) * shock[:, i]
    shift = offset * rng.standard_normal((count, len(points.names)))[:, points.run]
    return prediction + sigma * noise + shift
