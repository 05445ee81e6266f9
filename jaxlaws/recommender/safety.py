"""The room around a recommendation: its safe band, the excess loss beside it, and its expected regret."""

from __future__ import annotations

import math
from collections.abc import Callable

from jaxlaws.recommender.excess import FAR, FARTHEST_BATCH, band, relative
from jaxlaws.recommender.hyperfit import HyperFit
from jaxlaws.recommender.question import Question

#: The safe band holds values whose expected loss is within this of the recommendation's.
WITHIN = 0.0025
#: Offsets in logs between which costs are computed.
_SHIFT = FAR / 2


def safe_band(fit: HyperFit, q: Question, lr: float, batch: float) -> dict[str, list[float] | None]:
    """The values whose expected loss is within `WITHIN` of the recommendation's, among those that can be run.

    For an optimum known to Normal(0, s²) in logs, E ℓ(u − e; k) = ℓ(u + k s²/2; k) + a constant: the recommendation
    stands at k s²/2, and a batch that was moved further by as much, on the cost of a known optimum.
    """
    if fit.excess is None:
        return {"peak_lr": None, "batch_tokens": None}
    skews = {"lr": fit.excess.k_lr, "batch": fit.excess.k_batch}
    possible = {"lr": (0.0, 1.0), "batch": (float(q.seq_len), q.tokens)}
    bands: dict[str, list[float] | None] = {"peak_lr": None, "batch_tokens": None}
    for name, axis, centre in (("peak_lr", "lr", lr), ("batch_tokens", "batch", batch)):
        cost = _cost(fit, q, axis)
        if cost is None:
            continue
        start = skews[axis] * fit.spread(axis, q.params, q.tokens) ** 2 / 2
        if axis == "batch":
            start += math.log(batch) - fit.optimum(q.params, q.tokens)[1]
        start = min(max(start, -_SHIFT), _SHIFT)
        low, high = band(cost, cost(start) + math.log1p(WITHIN))
        least, most = possible[axis]
        edges = (centre * math.exp(low - start), centre * math.exp(high - start))
        bands[name] = [min(max(edges[0], least), centre), max(min(edges[1], most), centre)]
    return bands


def fixed_batch(fit: HyperFit, q: Question) -> bool:
    """Whether the batch is given, by the question or by a law that did not measure it."""
    return q.batch_tokens is not None or not fit.batch_measured


def _cost(fit: HyperFit, q: Question, axis: str) -> Callable[[float], float] | None:
    """The excess loss of a deviation along an axis from a known optimum; None for a batch that is given."""
    excess = fit.excess
    if excess is None or (axis == "batch" and fixed_batch(fit, q)):
        return None
    if axis == "batch":
        return excess.of_batch
    if not fixed_batch(fit, q):
        return excess.of_lr
    v = 0.0 if q.batch_tokens is None else math.log(q.batch_tokens) - fit.optimum(q.params, q.tokens)[1]
    v = max(-FARTHEST_BATCH, min(FARTHEST_BATCH, v))
    best = excess.best_lr(v)
    return lambda u: excess.at(best + u, v) - excess.at(best, v)


def excess_loss(fit: HyperFit, q: Question) -> dict[str, dict[str, float]]:
    """Relative excess loss of the best value times a factor; the other axis follows unless it is given."""
    factors = {"x0.5": math.log(0.5), "x2": math.log(2.0)}
    costs = {name: _cost(fit, q, axis) for name, axis in (("peak_lr", "lr"), ("batch_tokens", "batch"))}
    return {
        name: {factor: relative(cost(u)) for factor, u in factors.items()}
        for name, cost in costs.items()
        if cost is not None
    }


def expected_regret(fit: HyperFit, q: Question) -> float | None:
    """Mean excess loss of the recommendation under its own uncertainty, to second order."""
    excess = fit.excess
    if excess is None:
        return None
    s_lr, s_batch = (fit.spread(axis, q.params, q.tokens) for axis in ("lr", "batch"))
    return (excess.a * s_lr**2 + (0.0 if fixed_batch(fit, q) else excess.b * s_batch**2)) / 2
