"""Quantiles of Student's t in plain floats, so that advice loads no scipy."""

from __future__ import annotations

import math


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
