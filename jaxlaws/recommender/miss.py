"""What it costs to miss the optimum, in plain floats so that an answer loads no array library."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

#: Offsets in logs beyond which no cost is computed.
FAR = 5.0
#: Offset of a batch in logs up to which a fit's runs say how the best LR moves with it.
MEASURED = math.log(4)
#: Exponent whose power a float still holds.
_MOST = 300.0


class Miss(NamedTuple):
    """The loss around an optimum: ln L = ln L* + P(u, v), u = ln(η/η*), v = ln(B/B*).

        P = a·ℓ(u; k_lr) + b·ℓ(v; k_batch) + c·u·v,   ℓ(u; k) = (e^{ku} − 1 − ku)/k²

    a, b, c are second derivatives at the optimum; k > 0 makes missing upwards dearer than downwards.
    """

    a: float
    b: float
    c: float
    k_lr: float
    k_batch: float

    def excess(self, u: float, v: float) -> float:
        """ln L − ln L* at (u, v)."""
        return self.a * linex(u, self.k_lr) + self.b * linex(v, self.k_batch) + self.c * u * v

    def best_lr(self, v: float) -> float:
        """The u with the lowest loss when the batch is off by v."""
        return _minimise(lambda u: self.excess(u, v))

    def lr_cost(self, u: float) -> float:
        """Excess of a peak LR off by u, the batch following."""
        return self.excess(u, _minimise(lambda v: self.excess(u, v)))

    def batch_cost(self, v: float) -> float:
        """Excess of a batch off by v, the LR following."""
        return self.excess(self.best_lr(v), v)


def linex(u: float, k: float) -> float:
    """(e^{ku} − 1 − ku)/k², which is u²/2 at k = 0."""
    if abs(k) < 1e-4:
        return u * u / 2 + k * u**3 / 6
    return (math.expm1(min(k * u, _MOST)) - k * u) / k**2


def relative(excess: float) -> float:
    """The excess of ln L as a share of the loss."""
    return math.expm1(min(excess, _MOST))


def band(cost: Callable[[float], float], within: float) -> tuple[float, float]:
    """The largest offsets below and above 0 whose cost is at most `within`, up to ±5."""

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


def student(level: float, dof: float) -> float:
    """Half width in standard errors of a central interval of Student's t (exact at 1 dof, Cornish–Fisher above)."""
    if dof <= 1:
        return math.tan(math.pi * level / 2)
    z = _normal_quantile(0.5 + level / 2)
    if math.isinf(dof):
        return z
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum(term / dof**power for power, term in enumerate(terms, 1))


def _normal_quantile(p: float) -> float:
    low, high = -10.0, 10.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if 0.5 * math.erfc(-middle / math.sqrt(2)) < p else (low, middle)
    return (low + high) / 2
