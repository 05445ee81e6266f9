"""Fitting the excess loss: about known optima, or in one stage with the power law of the optimum."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from jaxlaws.recommender.cells import Cell
from jaxlaws.recommender.excess import Excess

#: Coordinates of the excess loss: ln a, ln b, atanh ρ, k_η, k_B; c = ρ √(ab).
_START = (np.log(0.02), np.log(0.015), 0.0, 1.0, 0.3)
#: Prior sd of the same, which matters only where there are too few runs.
_WIDTH = (2.0, 2.0, 0.7, 1.0, 1.0)
#: Prior sd of (intercept at the middle of the data, slopes) about stage two's, which decides only in tiny sweeps.
_LAW_WIDTH = (0.5, 0.3, 0.3)
#: Runs weigh exp(−d²/2·reach²) at distance d (in logs) from a known optimum: the excess at ×2 is wanted.
_REACH = 0.6
#: Lower bound of the excess of a diverged run.
_DIVERGED = 0.05
_FAR = 5.0


class OneStage(NamedTuple):
    """A law fitted to all runs at once.

    Attributes:
      coefficients: [2, 3] rows ln η*, ln B* over (1, ln N, ln D).
      excess: the loss around the optimum.
      draws: [draws, 2, 3] resampled coefficients.
      converged: whether the last step was below 1e-6 of its scale.
    """

    coefficients: np.ndarray
    excess: Excess
    draws: np.ndarray
    converged: bool


def fit_excess(cells: Sequence[Cell], optimum: np.ndarray) -> Excess:
    """The excess loss about known optima [cells, 2], by the runs within a few factors of two of them."""
    problem = _Problem(cells, lambda theta: optimum, np.zeros(0))
    distance = problem.x - optimum[problem.cell]
    problem.weigh(np.exp(-(distance**2).sum(1) / (2 * _REACH**2)))
    theta, _ = problem.solve(problem.start)
    return _unpack(theta)


def one_stage(
    cells: Sequence[Cell],
    z: np.ndarray,
    start: np.ndarray,
    softness: np.ndarray,
    times: np.ndarray | None = None,
) -> OneStage:
    """The power law of the optimum and the excess loss about it, with a free level in every cell.

        ln L = a_c + P(ln η − ln η*(N, D), ln B − ln B*(N, D)),   ln η*, ln B* linear in (1, ln N, ln D)

    after arXiv 2510.18900, whose level A/N^α + B/D^β + E is replaced by a free one: the optimum then owes nothing to
    the loss law. Runs are weighted as in `local_optima`; a diverged run pulls only where the model calls it good.

    Args:
      cells: at least as many as there are coefficients.
      z: [cells, 3] rows (1, ln N, ln D).
      start: [2, 3] coefficients to start from; those that are 0 stay 0.
      softness: [cells] excess at which a run counts half.
      times: [draws, cells] how often each resample holds each cell; a draw is one Gauss–Newton step from the optimum.
    """
    columns = [[0, *(np.flatnonzero(row[1:]) + 1)] for row in start]
    centre = np.r_[0.0, z[:, 1:].mean(0)]
    design = z - centre
    size = len(columns[0])

    def coefficients(theta: np.ndarray) -> np.ndarray:
        answer = np.zeros((*theta.shape[:-1], 2, 3))
        answer[..., 0, columns[0]] = theta[..., :size]
        answer[..., 1, columns[1]] = theta[..., size : size + len(columns[1])]
        return answer

    at_centre = start.copy()
    at_centre[:, 0] += start @ centre
    law = np.r_[at_centre[0, columns[0]], at_centre[1, columns[1]]]
    width = np.r_[tuple(np.array(_LAW_WIDTH)[part] for part in columns)]
    problem = _Problem(cells, lambda theta: design @ coefficients(theta).T, law, 1 / width)
    problem.weigh(1 / (1 + (problem.excess / softness[problem.cell]) ** 2))
    theta, converged = problem.solve(problem.start)
    stack = theta[None] if times is None else np.r_[theta[None], problem.refits(theta, times)]
    answer = coefficients(stack)
    answer[..., 0] -= np.einsum("bki,i->bk", answer, centre)
    return OneStage(answer[0], _unpack(theta), answer[1:], converged)


def _unpack(theta: np.ndarray) -> Excess:
    log_a, log_b, rho, k_lr, k_batch = theta[-5:]
    a, b = np.exp(log_a), np.exp(log_b)
    return Excess(float(a), float(b), float(np.tanh(rho) * np.sqrt(a * b)), float(k_lr), float(k_batch))


def _linex(u: np.ndarray, k: float) -> np.ndarray:
    if abs(k) < 1e-4:
        return u * u / 2 + k * u**3 / 6
    return (np.expm1(k * u) - k * u) / k**2


class _Problem:
    """Weighted robust least squares of ln loss on an excess loss, cell levels projected out."""

    def __init__(
        self,
        cells: Sequence[Cell],
        optimum: Callable[[np.ndarray], np.ndarray],
        law: np.ndarray,
        law_prior: np.ndarray | None = None,
    ) -> None:
        self.count = len(cells)
        self.optimum = optimum
        self.start = np.r_[law, _START]
        self.x = np.concatenate([np.concatenate([c.x, c.diverged]) for c in cells])
        best = np.concatenate([np.full(len(c.y) + len(c.diverged), c.y.min()) for c in cells])
        self.y = np.concatenate([np.r_[c.y, np.full(len(c.diverged), c.y.min() + _DIVERGED)] for c in cells])
        self.diverged = np.concatenate([np.r_[np.zeros(len(c.y), bool), np.ones(len(c.diverged), bool)] for c in cells])
        self.cell = np.repeat(np.arange(self.count), [len(c.y) + len(c.diverged) for c in cells])
        self.excess = self.y - best
        self.prior = np.r_[np.zeros(len(law)) if law_prior is None else law_prior, 1 / np.array(_WIDTH)]
        self.weigh(np.ones(len(self.y)))

    def weigh(self, soft: np.ndarray) -> None:
        """Weights of the rows before robust ones: how well the excess loss is expected to hold there."""
        self.soft = soft
        self.weight = soft * ~self.diverged
        self.variance = 1e-6

    def model(self, theta: np.ndarray) -> np.ndarray:
        shape = _unpack(theta)
        u, v = np.clip(self.x - self.optimum(theta)[self.cell], -_FAR, _FAR).T
        return shape.a * _linex(u, shape.k_lr) + shape.b * _linex(v, shape.k_batch) + shape.c * u * v

    def residual(self, theta: np.ndarray) -> np.ndarray:
        gap = self.y - self.model(theta)
        level = np.bincount(self.cell, self.weight * gap, self.count) / np.bincount(self.cell, self.weight, self.count)
        return gap - level[self.cell]

    def objective(self, theta: np.ndarray) -> float:
        prior = self.prior * (theta - self.start)
        return float((self.weight * self.residual(theta) ** 2).sum() + self.variance * (prior**2).sum())

    def jacobian(self, theta: np.ndarray) -> np.ndarray:
        step = 1e-5 * np.eye(len(theta))
        return np.stack([(self.residual(theta + h) - self.residual(theta - h)) / 2e-5 for h in step], 1)

    def reweight(self, theta: np.ndarray) -> None:
        residual = self.residual(theta)
        finite = ~self.diverged
        order = np.argsort(np.abs(residual[finite]))
        total = np.cumsum(self.soft[finite][order])
        spread = 1.4826 * np.abs(residual[finite][order])[np.searchsorted(total, total[-1] / 2)]
        spread = max(float(spread), 1e-5)
        self.variance = spread**2
        huber = np.minimum(1, 1.345 * spread / np.maximum(np.abs(residual), 1e-12))
        self.weight = self.soft * huber * (finite | (residual > 0))

    def normal(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gram matrices and gradients per cell: [cells, p, p], [cells, p]."""
        jacobian, residual = self.jacobian(theta), self.residual(theta)
        size = len(theta)
        gram, slope = np.zeros((self.count, size, size)), np.zeros((self.count, size))
        for c in range(self.count):
            rows = self.cell == c
            product = jacobian[rows].T * self.weight[rows]
            gram[c], slope[c] = product @ jacobian[rows], product @ residual[rows]
        return gram, slope

    def solve(self, theta: np.ndarray, sweeps: int = 60) -> tuple[np.ndarray, bool]:
        damping = 1e-3
        for _ in range(sweeps):
            self.reweight(theta)
            gram, slope = (part.sum(0) for part in self.normal(theta))
            gram = gram + self.variance * np.diag(self.prior**2)
            slope = slope + self.variance * self.prior**2 * (theta - self.start)
            before = self.objective(theta)
            for _ in range(10):
                step = -np.linalg.solve(gram + damping * np.diag(gram.diagonal() + 1e-12), slope)
                step = np.clip(step, -1.0, 1.0)
                if self.objective(theta + step) < before:
                    theta, damping = theta + step, max(damping / 5, 1e-9)
                    break
                damping *= 5
            else:
                return theta, True
            if np.abs(step).max() < 1e-6:
                return theta, True
        return theta, bool(np.abs(step).max() < 1e-3)

    def refits(self, theta: np.ndarray, times: np.ndarray) -> np.ndarray:
        """[draws, p] one Gauss–Newton step from the optimum under each resample's cell counts."""
        gram, slope = self.normal(theta)
        prior = self.variance * np.diag(self.prior**2)
        total = np.einsum("bc,cij->bij", times, gram) + prior
        pull = np.einsum("bc,ci->bi", times, slope) + np.diag(prior) * (theta - self.start)
        return theta - np.linalg.solve(total, pull[..., None])[..., 0]
