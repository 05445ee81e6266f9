"""Structure in residuals: the share of them that follows the inputs, and its standard errors from chance."""

from __future__ import annotations

import numpy as np

from jaxlaws.fitting.points import Points


def surface(residual: np.ndarray, logs: np.ndarray) -> tuple[float, float]:
    """Share of the residual variance that a cubic in the logs of the inputs explains, in standard errors of chance."""
    z = (logs - logs.mean(0)) / np.maximum(logs.std(0), 1e-12)
    powers = [np.ones(len(z))]
    for i in range(z.shape[1]):
        powers += [z[:, i] ** k for k in (1, 2, 3)] + [z[:, i] * z[:, j] for j in range(i)]
    x = np.column_stack(powers)
    return _share_explained_by(x, _resistant(residual))


def neighbours(residual: np.ndarray, logs: np.ndarray) -> tuple[float, float]:
    """Correlation of the residuals of runs that follow one another in D and, at equal D, in N; in standard errors."""
    y = _resistant(residual)[np.lexsort(logs.T)] if logs.size else np.zeros(1)
    variance = float(np.mean(y**2))
    share = float(np.mean(y[1:] * y[:-1])) / variance if variance > 0 else 0.0
    return share, share * np.sqrt(len(y))


def shared_line(points: Points, residual: np.ndarray, phi: float) -> tuple[float, float]:
    """Share of the residual variance within runs that runs have in common at equal steps, in standard errors."""
    steps, place = np.unique(points.at, return_inverse=True)
    grid = np.full((len(points.names), len(steps)), np.nan)
    grid[points.run, place] = residual
    common = np.isfinite(grid).sum(0) >= 2
    grid = grid[:, common]
    grid = grid[np.isfinite(grid).any(1)]
    if grid.shape[1] < 8:
        return 0.0, 0.0
    grid -= np.nanmean(grid, axis=1, keepdims=True)
    products = []
    for i in range(len(grid)):
        for j in range(i):
            both = np.isfinite(grid[i]) & np.isfinite(grid[j])
            if both.sum() >= 8:
                products.append((float(np.mean((grid[i] * grid[j])[both])), int(both.sum())))
    total = float(np.nanmean(grid**2))
    if not products or total <= 0:
        return 0.0, 0.0
    weight = np.array([count for _, count in products], float)
    share = float(np.average([value for value, _ in products], weights=weight)) / total
    independent = weight.sum() * (1 - phi**2) / (1 + phi**2)
    return share, share * np.sqrt(max(independent, 0.0))


def _share_explained_by(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Share of the variance of y that x explains beyond chance, and by how many standard errors of chance."""
    rows, rank = len(y), int(np.linalg.matrix_rank(x))
    dof, terms = rows - rank, rank - 1
    total = float(np.sum(y**2))
    if dof < 4 or terms < 1 or total <= 0:
        return 0.0, 0.0
    rest = float(np.sum((y - x @ np.linalg.lstsq(x, y, rcond=None)[0]) ** 2))
    f = (total - rest) / terms / max(rest / dof, 1e-300)
    # Wilson–Hilferty: F^(1/3) is close to normal.
    a, b = 2 / (9 * terms), 2 / (9 * dof)
    cube = np.cbrt(f)
    return 1 - rest / dof / (total / (rows - 1)), float(((1 - b) * cube - (1 - a)) / np.sqrt(b * cube**2 + a))


def _resistant(residual: np.ndarray) -> np.ndarray:
    """Residuals about their mean, cut at four sd: a few outliers, which a Huber fit resists, would hide structure."""
    middle = np.median(residual)
    sd = 1.4826 * np.median(np.abs(residual - middle))
    limited = np.clip(residual, middle - 4 * sd, middle + 4 * sd)
    return limited - limited.mean()
