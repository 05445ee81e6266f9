"""The convex last-iterate bound of a schedule, and the base learning rate that minimises it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jaxlaws.errors import BadInput


class Bound(NamedTuple):
    """Terms of the bound at base LR 1, Ω(γ) = distance/γ + γ·(gradients + last).

    Attributes:
      distance: D²/(2 Σ η_t).
      gradients: Σ η_t² G_t² / (2 Σ η_t).
      last: ½ Σ_{k<T} [η_k / Σ_{t>k} η_t]·[Σ_{t≥k} η_t² G_t² / Σ_{t≥k} η_t], the price of returning the last iterate.
    """

    distance: float
    gradients: float
    last: float

    @property
    def best_lr(self) -> float:
        """γ* = √(distance/(gradients + last)), which multiplies the schedule."""
        return float(np.sqrt(self.distance / (self.gradients + self.last)))

    @property
    def value(self) -> float:
        """Ω* = 2 √(distance·(gradients + last)), the bound at the best base LR."""
        return float(2 * np.sqrt(self.distance * (self.gradients + self.last)))

    def at(self, base_lr: float) -> float:
        """Ω at another base LR."""
        return self.distance / base_lr + base_lr * (self.gradients + self.last)


def bound(lr: np.ndarray, gradient_norm: np.ndarray | float = 1.0, distance: float = 1.0) -> Bound:
    """The bound on the last iterate's suboptimality for a convex Lipschitz loss, in O(T).

    Args:
      lr: [steps] relative LR η_t of every step; trailing zeros are dropped, since the bound is infinite with them.
      gradient_norm: G_t, [steps] or one number.
      distance: D, from the start to a minimiser.

    Raises:
      BadInput: the schedule is empty, negative, not finite, or all zero.

    Reference: Schaipp et al. 2025, arXiv 2501.18965.
    """
    eta = np.asarray(lr, np.float64)
    if eta.ndim != 1 or not len(eta) or not np.all(np.isfinite(eta)) or eta.min() < 0 or eta.max() <= 0:
        raise BadInput("a schedule for the bound is expected to be finite, not negative and not all zero.")
    norm = np.broadcast_to(np.asarray(gradient_norm, np.float64), eta.shape)
    last = int(np.flatnonzero(eta)[-1]) + 1
    eta, norm = eta[:last], norm[:last]
    after = np.cumsum(eta[::-1])[::-1]
    energy = np.cumsum((eta**2 * norm**2)[::-1])[::-1]
    tail = eta[:-1] / after[1:] * (energy[:-1] / after[:-1])
    return Bound(float(distance**2 / (2 * after[0])), float(energy[0] / (2 * after[0])), float(tail.sum() / 2))


def transfer(source: np.ndarray, target: np.ndarray) -> float:
    """γ*(target)/γ*(source): what a tuned peak LR of one schedule is multiplied by for another of the same peak 1."""
    return bound(target).best_lr / bound(source).best_lr
