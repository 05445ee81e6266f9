"""Resamples of a fit: clusters of runs where there are enough of them, simulated losses where there are not."""

from __future__ import annotations

import numpy as np

from jaxlaws.fitting.points import Points

#: From how many clusters (runs of curves, or (N, D) cells) they are drawn instead of simulated.
CLUSTERS = 8


def clustered(points: Points, count: int, rng: np.random.Generator) -> np.ndarray:
    """Weights [count, runs]: how often the cell of each run was drawn, with replacement."""
    cells = int(points.cell.max()) + 1
    drawn = rng.multinomial(cells, np.full(cells, 1 / cells), size=count)
    return drawn[:, points.cell].astype(float)


def correlation(points: Points, residual: np.ndarray) -> float:
    """Correlation of neighbouring residuals within a run, after the mean of the run; 0 for single points."""
    centred = residual - run_means(points, residual)[points.run]
    same = points.run[1:] == points.run[:-1]
    variance = float(np.mean(centred**2))
    if same.sum() < 8 or variance == 0:
        return 0.0
    return float(np.clip(np.mean((centred[1:] * centred[:-1])[same]) / variance, 0.0, 0.98))


def run_means(points: Points, residual: np.ndarray) -> np.ndarray:
    """Mean residual of every run [runs]."""
    count = np.maximum(np.bincount(points.run, minlength=len(points.names)), 1)
    return np.bincount(points.run, residual, minlength=len(points.names)) / count


def simulated(
    points: Points,
    predicted: np.ndarray,
    sigma: float,
    phi: float,
    offset: float,
    count: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Targets [count, points]: predicted + offset of the run + first-order autoregressive noise along each curve.

    Args:
      points: the runs.
      predicted: [points] ln L̂ (or L̂).
      sigma: sd of the noise of a point.
      phi: its correlation from one point of a curve to the next.
      offset: sd of the offset of a run.
      count: how many.
      rng: the generator.
    """
    shock = rng.standard_normal((count, len(predicted)))
    noise = np.empty_like(shock)
    first = np.concatenate([[True], points.run[1:] != points.run[:-1]])
    for i, begins in enumerate(first):
        noise[:, i] = shock[:, i] if begins else phi * noise[:, i - 1] + np.sqrt(1 - phi**2) * shock[:, i]
    shift = offset * rng.standard_normal((count, len(points.names)))[:, points.run]
    return predicted + sigma * noise + shift
