"""Stage one: the optimum of every cell, from local cubic surfaces that borrow their shape from all cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxlaws.recommender.cells import Cell, levels

#: Coefficients of the shape: second derivatives (11, 12, 22), then third (111, 112, 122, 222).
_SHAPE = 7
#: Model error of the cubic, as a share of the excess loss: a run enters with variance σ² + (share · excess)².
MISFIT = 0.5
#: Prior sd of a cell's shape about the shared one, and of the shared third derivatives about zero, in units of the
#: shared curvature.
SPREAD, _CUBIC = 0.5, 2.0
#: Runs that a cell's weights keep at least: the coefficients of a quadratic surface.
_KEEP = 6
#: Newton steps of the optima, and how many of them are whole ones: shorter ones end a walk between two shapes.
_SWEEPS, _WHOLE = 60, 25
#: Columns of `_design` that a cell with this many values of the batch can fill (3: three or more).
_COLUMNS = {1: [1, 1, 0, 1, 0, 0, 1, 0, 0, 0], 2: [1, 1, 1, 1, 1, 0, 1, 0, 0, 0], 3: [1] * 10}


class Local(NamedTuple):
    """The optima of the cells by their surfaces.

    Attributes:
      optimum: [cells, 2] (ln η, ln B) of the lowest loss.
      covariance: [cells, 2, 2] of `optimum` from the scatter of runs.
      hessian: [cells, 2, 2] of ln loss at the optimum.
      level: [cells] ln loss there.
      shape: [7] shared derivatives of ln loss at an optimum, in the order 11, 12, 22, 111, 112, 122, 222.
      sigma: sd of a run's ln loss about the surfaces.
      convex: whether the shared curvature is positive definite, without which no optimum is identified.
      last_move: how far the last step moved an optimum, in logs.
    """

    optimum: np.ndarray
    covariance: np.ndarray
    hessian: np.ndarray
    level: np.ndarray
    shape: np.ndarray
    sigma: float
    convex: bool
    last_move: float


def local_optima(
    cells: Sequence[Cell],
    misfit: float = MISFIT,
    spread: float = SPREAD,
    batches: int = 3,
    at: np.ndarray | None = None,
) -> Local:
    """The optimum of every cell.

        ln L_c(x) = a_c + g_c·u + ½ uᵀH_c u + ⅙ T_c(u, u, u),   u = x − x_c,   (H_c, T_c) ~ Normal(shared, spread²)

    with x = (ln η, ln B) and x_c moved by Newton steps until g_c = 0. Every cell has its own level and optimum; its
    shape is drawn toward the shape shared by all cells, which decides where a cell has few runs and yields where it has
    many. Runs are weighted by 1/(σ² + (excess/2)²), Huber on top: every run enters, and the ones far above the cell's
    best, which no local surface describes, hardly count.

    Args:
      cells: with at least 3 runs each.
      misfit: model error of the cubic as a share of the excess loss, ½ above.
      spread: prior sd of a cell's shape about the shared one, in units of the shared curvature.
      batches: values of the batch in a cell, 3 for three or more: what one or two cannot show is left out of u.
      at: [cells] ln B of the best LR where the best batch is not fitted; the curvature in ln B is then 1.
    """
    columns = np.array(_COLUMNS[batches], float)
    x, y, mask = _stack(cells)
    low = np.array([[levels(c.x[:, k])[0] for k in (0, 1)] for c in cells]) - np.log(2.0)
    high = np.array([[levels(c.x[:, k])[-1] for k in (0, 1)] for c in cells]) + np.log(2.0)
    excess = np.where(mask, y - np.min(np.where(mask, y, np.inf), 1, keepdims=True), np.inf)
    keep = _sixth_excess(cells)
    start = 1 / (1 + (excess / np.maximum(2e-3, keep)[:, None]) ** 2)
    optimum = np.einsum("cn,cnk->ck", start, x) / start.sum(1)[:, None]
    if at is not None:
        optimum[:, 1] = at
    sigma, huber, last_move = 1e-3, np.ones_like(y), 0.0
    scale = np.array([0.02, 0.02])
    for sweep in range(_SWEEPS):
        half = np.maximum(sigma / misfit, keep)[:, None]
        weight = np.where(mask, huber / (1 + (excess / half) ** 2), 0.0)
        design = _design(x - optimum[:, None]) * columns
        beta, shape, inverse = _solve(design, np.where(mask, y, 0.0), weight, sigma, scale, spread)
        residual = np.where(mask, y - np.einsum("cnk,ck->cn", design, beta), 0.0)
        kernel = np.where(mask, 1 / (1 + (excess / half) ** 2), 0.0)
        dof = max(1 - columns[:3].sum() * len(cells) / kernel.sum(), 0.1)
        sigma = max(1.4826 * _weighted_median(np.abs(residual), kernel) / np.sqrt(dof), 1e-5)
        huber = np.minimum(1, 1.345 * sigma / np.maximum(np.abs(residual), 1e-12))
        scale = np.maximum(np.abs(shape[[0, 2]]), 1e-4)
        slope, curvature, shared = beta[:, 1:3], beta[:, 3:6], shape[:3]
        if at is not None:
            slope = slope * [1.0, 0.0]
            curvature, shared = (part * [1.0, 0.0, 0.0] + [0.0, 0.0, 1.0] for part in (curvature, shared))
        hessian = _hessian(curvature, shared)
        step = -np.linalg.solve(hessian, slope[..., None])[..., 0]
        share = 1.0 if sweep < _WHOLE else _WHOLE / (sweep + 1)
        place = np.clip(optimum + share * np.clip(step, -0.5, 0.5), low, high)
        last_move = float(np.abs(place - optimum).max())
        optimum = place
        if last_move < 1e-4:
            break
    noise = inverse[:, 1:3, 1:3] * sigma**2
    if at is not None:
        noise = noise * [[1.0, 0.0], [0.0, 0.0]]
    bend = np.linalg.inv(hessian)
    convex = bool(_positive(shared[None])[0])
    return Local(optimum, bend @ noise @ bend, hessian, beta[:, 0], shape, float(sigma), convex, last_move)


def softness(cells: Sequence[Cell], sigma: float) -> np.ndarray:
    """[cells] the excess of ln loss at which a run counts half: 2σ, or more where that leaves fewer than six runs."""
    return np.maximum(sigma / MISFIT, _sixth_excess(cells))


def _sixth_excess(cells: Sequence[Cell]) -> np.ndarray:
    return np.array([np.sort(c.y - c.y.min())[min(_KEEP, len(c.y)) - 1] for c in cells])


def _stack(cells: Sequence[Cell]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    width = max(len(c.y) for c in cells)
    x, y, mask = np.zeros((len(cells), width, 2)), np.zeros((len(cells), width)), np.zeros((len(cells), width), bool)
    for i, cell in enumerate(cells):
        n = len(cell.y)
        x[i, :n], y[i, :n], mask[i, :n] = cell.x, cell.y, True
    return x, y, mask


def _design(u: np.ndarray) -> np.ndarray:
    a, b = u[..., 0], u[..., 1]
    return np.stack(
        [np.ones_like(a), a, b, a * a / 2, a * b, b * b / 2, a**3 / 6, a * a * b / 2, a * b * b / 2, b**3 / 6], -1
    )


def _solve(
    design: np.ndarray, y: np.ndarray, weight: np.ndarray, sigma: float, scale: np.ndarray, spread: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cell coefficients [cells, 10], shared shape [7] and the inverse normal matrices, exactly, by elimination."""
    a, b = np.sqrt(scale)
    units = np.array([a * a, a * b, b * b, a * a, a * b, a * b, b * b])
    prior = np.zeros(10)
    prior[3:] = (sigma / (spread * units)) ** 2
    gram = np.einsum("cni,cn,cnj->cij", design, weight, design) + np.diag(prior + 1e-9)
    moment = np.einsum("cni,cn,cn->ci", design, weight, y)
    inverse = np.linalg.inv(gram)
    p = prior[3:]
    shared = len(gram) * np.diag(p) - p[:, None] * inverse[:, 3:, 3:].sum(0) * p
    shared[3:, 3:] += np.diag((sigma / (_CUBIC * units[3:])) ** 2)
    shape = np.linalg.lstsq(shared, p * np.einsum("cij,cj->i", inverse[:, 3:], moment), rcond=None)[0]
    moment[:, 3:] += p * shape
    return np.einsum("cij,cj->ci", inverse, moment), shape, inverse


def _hessian(own: np.ndarray, shared: np.ndarray) -> np.ndarray:
    """[cells, 2, 2] of each cell where it is clearly positive definite, elsewhere the shared one, made so."""
    if not _positive(shared[None])[0]:
        shared = np.array([max(shared[0], 1e-3), 0.0, max(shared[2], 1e-3)])
    terms = np.where(_positive(own - 0.2 * shared)[:, None], own, shared)
    return np.stack([terms[:, [0, 1]], terms[:, [1, 2]]], 1)


def _positive(terms: np.ndarray) -> np.ndarray:
    return (terms[:, 0] > 0) & (terms[:, 0] * terms[:, 2] > terms[:, 1] ** 2)


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values, axis=None)
    total = np.cumsum(weights.ravel()[order])
    return float(values.ravel()[order][np.searchsorted(total, total[-1] / 2)])
