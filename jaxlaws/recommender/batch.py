"""The batch of the run, whole sequences or one that memory fixes, and how the peak LR moves with it."""

from __future__ import annotations

import math

from jaxlaws.recommender.excess import FARTHEST_BATCH, relative
from jaxlaws.recommender.hyperfit import HyperFit
from jaxlaws.recommender.override import sequences
from jaxlaws.recommender.question import Question
from jaxlaws.recommender.timescales import exchange
from jaxlaws.records.units import short

#: Change of a batch in logs, by rounding to whole sequences, below which no sentence reports it.
ROUNDING = 0.01
_ROOT = "it is taken to go as √B (arXiv 2205.10287), between not at all and as B"


def exp(log: float) -> float:
    """e^log, clipped so that products of it are floats."""
    return math.exp(min(max(log, -300.0), 300.0))


def possible(q: Question, log_batch: float) -> tuple[float, list[str]]:
    """(the nearest batch of at most D that is a multiple of `q.multiple_of` sequences, sentences on the change)."""
    target = exp(log_batch)
    batch = float(q.seq_len * sequences(q, target))
    if abs(math.log(batch) - log_batch) < ROUNDING:
        return (target if q.multiple_of == 1 and q.batch_tokens is None else batch), []
    who = "the law's batch" if q.batch_tokens is None else "the batch"
    what = "whole number of sequences" if q.multiple_of == 1 else f"multiple of {q.multiple_of} sequences"
    return batch, [
        f"{who} of {short(target)} tokens is no {what} of {q.seq_len} between one and the budget: "
        f"{batch:,.0f} tokens are used."
    ]


def lr_at_batch(
    q: Question, fit: HyperFit, log_lr: float, log_best: float, log_batch: float
) -> tuple[float, list[str]]:
    """(ln of the best LR at the batch of the run, sentences on its cost and its source)."""
    deviation, excess = log_batch - log_best, fit.excess
    if abs(deviation) < ROUNDING / 2:
        return log_lr, []
    if excess is None or (not fit.batch_measured and excess.c == 0):
        return log_lr, ["the law does not say how the best LR moves with the batch: the LR is for its own batch."]
    rest = math.copysign(beyond(fit, log_batch, log_best), deviation)
    log_lr += excess.best_lr(deviation - rest) + exchange(rest)[0]
    batch, best = exp(log_batch), exp(log_best)
    whose = "the best" if fit.batch_measured else "the sweep"
    where = f"the batch of {short(batch)} tokens is ×{batch / best:.2g} of {whose}"
    cost = f", and the loss is expected {relative(excess.of_batch(deviation)):.2%} higher" if fit.batch_measured else ""
    reason = "the batch is fixed: " if q.batch_tokens is not None else ""
    sentences = [f"{reason}{where}'s {short(best)}: the LR is the best for it{cost}."]
    if rest:
        sentences.append(
            f"how the LR moves over the last ×{math.exp(abs(rest)):.2g} of that was not measured: {_ROOT}."
        )
    return log_lr, sentences


def beyond(fit: HyperFit, log_batch: float, log_best: float) -> float:
    """How far in logs a batch lies outside those of the data, or beyond `FARTHEST_BATCH` from the law's own."""
    low, high = (math.log(value) for value in fit.ranges.get("batch_tokens", (1e-300, 1e300)))
    offset = abs(log_batch - log_best)
    return max(min(max(low - log_batch, log_batch - high, 0.0), offset), offset - FARTHEST_BATCH, 0.0)


def of_formula(
    q: Question, name: str, lr: float | None, batch: float | None
) -> tuple[float | None, float | None, list[str]]:
    """(peak LR, batch, sentences) of a formula that gives a peak LR and a batch, at the batch of the run."""
    if q.batch_tokens is None:
        if batch is None:
            return lr, None, []
        actual, sentences = possible(q, math.log(batch))
        return (
            lr,
            actual,
            [f"{text.rstrip('.')}, and the LR stays, as the law does not say how it moves." for text in sentences],
        )
    actual, sentences = possible(q, math.log(q.batch_tokens))
    if lr is None or batch is None:
        what = "no LR" if lr is None else "no batch here, and its LR is not converted from one to the other"
        return lr, actual, [*sentences, f"the batch is fixed: {name} gives {what}."]
    shift, _ = exchange(math.log(actual / batch))
    sentences.append(
        f"the batch is fixed, ×{actual / batch:.2g} of {name}'s own {short(batch)}, and does not say how its LR moves: "
        f"{_ROOT}, ×{math.exp(shift):.3g}."
    )
    return lr * math.exp(shift), actual, sentences
