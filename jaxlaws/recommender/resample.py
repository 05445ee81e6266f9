"""How the coefficients of a power law vary: resampled cells, an effect of each size, the prior."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxlaws.recommender.power import Axis

#: A draw whose cells span a column by less than this does not identify it.
_SPREAD = 0.1
#: Sizes that the prior of the variance between sizes counts for, and its share of the variance of a cell there.
_SIZES, _SHARE = 1.0, 0.5


def by_cell(
    z: np.ndarray, target: np.ndarray, fit: Axis, form: tuple[int, ...], count: int, rng: np.random.Generator
) -> tuple[np.ndarray, int]:
    """[count, 3] coefficients with cells drawn with replacement and the mean of the prior drawn from it.

    A draw whose cells do not span the form's columns is drawn again; the second value counts them.
    """
    times = np.zeros((0, len(z)))
    deficient = 0
    deviation = z[:, form] - np.r_[0.0, z[:, form[1:]].mean(0)]
    while len(times) < count:
        counts = rng.multinomial(len(z), np.full(len(z), 1 / len(z)), size=count)
        good = np.linalg.eigvalsh(np.einsum("bc,ci,cj->bij", counts, deviation, deviation))[:, 0] > _SPREAD**2
        deficient += int((~good).sum())
        times = np.concatenate([times, counts[good]])
    weights = times[:count] * fit.weight
    design = z[:, fit.columns]
    centre = np.r_[0.0, design[:, 1:].mean(0)]
    normals = np.einsum("bc,ci,cj->bij", weights, design - centre, design - centre) + fit.precision
    moment = np.einsum("bc,ci,c->bi", weights, design - centre, target) + _means(fit, count, rng) @ fit.precision
    value = np.linalg.solve(normals, moment[..., None])[..., 0]
    value[:, 0] -= value @ centre
    return _full(fit, value), deficient


def parametric(
    z: np.ndarray, target: np.ndarray, fit: Axis, form: tuple[int, ...], count: int, rng: np.random.Generator
) -> tuple[np.ndarray, int]:
    """[count, 3] Student-t draws from the covariance of the regression; none is deficient."""
    covariance = normal(fit)[np.ix_(fit.columns, fit.columns)]
    noise = rng.standard_normal((count, len(fit.columns)))
    wide = np.sqrt(fit.dof / rng.chisquare(fit.dof, count))
    root = np.linalg.cholesky(covariance + 1e-15 * np.eye(len(fit.columns)))
    return _full(fit, fit.value + wide[:, None] * (noise @ root.T)), 0


def normal(fit: Axis) -> np.ndarray:
    """[3, 3] covariance of the regression, scaled by the scatter of the cells."""
    answer = np.zeros((3, 3))
    answer[np.ix_(fit.columns, fit.columns)] = fit.covariance * max(1.0, fit.scatter**2 * fit.weight.mean())
    return answer


def by_size(z: np.ndarray, fit: Axis, resolution: float, count: int, rng: np.random.Generator) -> np.ndarray:
    """[count, 3] what effects shared by all cells of one N, and the grids' resolution, move the coefficients by."""
    sizes, group = np.unique(np.round(z[:, 1], 6), return_inverse=True)
    effect = fit.between * rng.standard_normal((count, len(sizes)))[:, group]
    effect += resolution * rng.standard_normal((count, len(z)))
    return _full(fit, effect @ (z[:, fit.columns] * fit.weight[:, None]) @ fit.covariance)


def _means(fit: Axis, count: int, rng: np.random.Generator) -> np.ndarray:
    """[count, columns] draws of the prior's mean: a resampled posterior mean is then as wide as the posterior."""
    means = np.zeros((count, len(fit.mean)))
    if fit.precision.any():
        root = np.linalg.cholesky(np.linalg.inv(fit.precision[1:, 1:]))
        means[:, 1:] = fit.mean[1:] + rng.standard_normal((count, len(root))) @ root.T
    return means


def _full(fit: Axis, value: np.ndarray) -> np.ndarray:
    """[count, 3] with 0 in the columns that the fit does not have."""
    answer = np.zeros((len(value), 3))
    answer[:, fit.columns] = value
    return answer


def scatter_of(z: np.ndarray, residual: np.ndarray, columns: tuple[int, ...], dof: float) -> tuple[float, float, float]:
    """(sd between sizes, sd of a new cell of a new size, its degrees of freedom) from the residuals of a regression.

    Cells of one size are one model shape: their residuals agree more than cells drawn one by one can show. The variance
    between sizes is a moment estimate, and counts with the sizes to spare against `_SIZES` at which it is `_SHARE` of
    the whole variance: few sizes cannot show that it is small. The degrees of freedom are Satterthwaite's.

    Args:
      z: [cells, 3] rows (1, ln N, ln D).
      residual: [cells].
      columns: of the regression.
      dof: its degrees of freedom.
    """
    _, group = np.unique(np.round(z[:, 1], 6), return_inverse=True)
    counts = np.bincount(group)
    variance = float((residual**2).sum()) / dof
    spare, inside = len(counts) - 1 - (1 in columns), len(residual) - len(counts) - (2 in columns)
    within, estimate = (1 - min(_SHARE, 1)) * variance, 0.0
    if spare > 0 and inside > 0:
        means = np.bincount(group, residual) / counts
        within = float(((residual - means[group]) ** 2).sum()) / inside
        typical = (len(residual) - (counts**2).sum() / len(residual)) / (len(counts) - 1)
        estimate = float((counts * means**2).sum() / spare - within) / typical
    spare, inside = max(spare, 0), max(inside, 1)
    between = max(0.0, spare * estimate + _SIZES * _SHARE * variance) / (spare + _SIZES)
    total = max(variance, within + between)
    dof = total**2 / max(between**2 / (spare + _SIZES) + (total - between) ** 2 / max(dof - spare, 1.0), 1e-300)
    return float(np.sqrt(between)), float(np.sqrt(total)), min(max(dof, 1.0), 1e6)
