"""How much room there is around a recommendation: its safe band, the cost of missing it, its own expected regret."""

from __future__ import annotations

import math
from collections.abc import Callable

from jaxlaws.recommender.hyperfit import HyperFit
from jaxlaws.recommender.miss import band
from jaxlaws.recommender.question import Question

#: The safe band holds values whose expected loss is within this of the best.
WITHIN = 0.0025


def safe_band(fit: HyperFit, q: Question, lr: float, batch: float) -> dict[str, list[float] | None]:
    """The values within `WITHIN` of the best expected loss: the band of a known optimum, moved toward the cheap side.

    For an optimum known to Normal(0, s²) in logs, E ℓ(u − e; k) is the same ℓ about −k s²/2, scaled.
    """
    miss = fit.miss
    if miss is None:
        return {"peak_lr": None, "batch_tokens": None}
    bands: dict[str, list[float] | None] = {}
    costs: dict[str, Callable[[float], float]] = {"lr": miss.lr_cost, "batch": miss.batch_cost}
    for name, axis, skew, centre in (
        ("peak_lr", "lr", miss.k_lr, lr),
        ("batch_tokens", "batch", miss.k_batch, batch),
    ):
        cost = costs[axis]
        if name == "batch_tokens" and q.batch_tokens is not None:
            bands[name] = None
            continue
        if name == "peak_lr" and q.batch_tokens is not None:
            cost = _at_fixed_batch(fit, q, lr)
        low, high = band(cost, math.log1p(WITHIN))
        shift = -skew * fit.spread(axis, q.params, q.tokens) ** 2 / 2
        bands[name] = [centre * math.exp(low + shift), centre * math.exp(high + shift)]
    return bands


def _at_fixed_batch(fit: HyperFit, q: Question, lr: float) -> Callable[[float], float]:
    miss = fit.miss
    assert miss is not None
    assert q.batch_tokens is not None
    log_lr, log_batch = fit.optimum(q.params, q.tokens)
    u, v = math.log(lr) - log_lr, math.log(q.batch_tokens) - log_batch
    return lambda offset: miss.excess(u + offset, v) - miss.excess(u, v)


def cost_of_missing(fit: HyperFit) -> dict[str, dict[str, float]]:
    """Relative excess loss of missing the best value by a factor, the other axis following."""
    miss = fit.miss
    if miss is None:
        return {}
    factors = {"x0.5": math.log(0.5), "x2": math.log(2.0)}
    return {
        "peak_lr": {name: math.expm1(miss.lr_cost(u)) for name, u in factors.items()},
        "batch_tokens": {name: math.expm1(miss.batch_cost(u)) for name, u in factors.items()},
    }


def expected_regret(fit: HyperFit, q: Question) -> float | None:
    """Mean excess loss of the recommendation under its own uncertainty, to second order."""
    miss = fit.miss
    if miss is None:
        return None
    s_lr, s_batch = (fit.spread(axis, q.params, q.tokens) for axis in ("lr", "batch"))
    return (miss.a * s_lr**2 + (miss.b * s_batch**2 if q.batch_tokens is None else 0.0)) / 2
