"""The loss above that of the best LR and batch, in plain floats so that advice loads no array library."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

#: Deviations in logs beyond which no excess is computed.
FAR = 5.0
#: Deviation of a batch in logs up to which the runs of a fit say how the best LR moves with it.
FARTHEST_BATCH = math.log(4)
#: Largest exponent of e whose power is a safe float.
_MOST = 300.0


@dataclass(frozen=True)
class Excess:
    """The excess loss of a deviation from an optimum, u = ln(η/η*) in the peak LR and v = ln(B/B*) in the batch:

        ln L − ln L* = a·ℓ(u; k_lr) + b·ℓ(v; k_batch) + c·u·v,   ℓ(u; k) = (e^{ku} − 1 − ku)/k²

    a, b, c are second derivatives at the optimum; with k > 0 a deviation upwards costs more than one downwards.
    """

    a: float
    b: float
    c: float
    k_lr: float
    k_batch: float

    def at(self, u: float, v: float) -> float:
        """ln L − ln L* at (u, v)."""
        return self.a * linex(u, self.k_lr) + self.b * linex(v, self.k_batch) + self.c * u * v

    def best_lr(self, v: float) -> float:
        """The u with the lowest loss where the batch deviates by v."""
        return _minimise(lambda u: self.at(u, v))

    def of_lr(self, u: float) -> float:
        """ln L − ln L* where the peak LR deviates by u and the batch is the best for it."""
        return self.at(u, _minimise(lambda v: self.at(u, v)))

    def of_batch(self, v: float) -> float:
        """ln L − ln L* where the batch deviates by v and the peak LR is the best for it."""
        return self.at(self.best_lr(v), v)


def linex(u: float, k: float) -> float:
    """(e^{ku} − 1 − ku)/k², which is u²/2 at k = 0."""
    if abs(k) < 1e-4:
        return u * u / 2 + k * u**3 / 6
    return (math.expm1(min(k * u, _MOST)) - k * u) / k**2


def relative(excess: float) -> float:
    """The excess of ln L as a share of the loss."""
    return math.expm1(min(excess, _MOST))


def band(cost: Callable[[float], float], within: float) -> tuple[float, float]:
    """The largest deviations below and above 0 whose cost is at most `within`, up to ±5."""

    def edge(sign: float) -> float:
        good, bad = 0.0, FAR
        if cost(sign * bad) <= within:
            return sign * bad
        for _ in range(40):
            middle = (good + bad) / 2
            good, bad = (middle, bad) if cost(sign * middle) <= within else (good, middle)
        return sign * good

    return edge(-1.0), edge(1.0)


def _minimise(cost: Callable[[float], float]) -> float:
    """Golden-section search on [−5, 5] of a function with one minimum."""
    low, high, ratio = -FAR, FAR, (math.sqrt(5) - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = cost(left), cost(right)
    for _ in range(45):
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = cost(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = cost(right)
    return (low + high) / 2
