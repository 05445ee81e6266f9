"""Advice for one training run: peak LR, batch, what it rests on, and how far outside the data the question lies."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jaxlaws.errors import BadInput, Untrusted
from jaxlaws.recommender import presets
from jaxlaws.recommender.extrapolation import extrapolation_of, sentences
from jaxlaws.recommender.hyperfit import HyperFit
from jaxlaws.recommender.override import override
from jaxlaws.recommender.question import Question, question
from jaxlaws.recommender.safety import cost_of_missing, expected_regret, safe_band
from jaxlaws.records.units import short


@dataclass(frozen=True)
class Quantity:
    """A value with its interval; low and high are None where the law states no uncertainty."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Recommendation:
    """Advice for one run.

    Attributes:
      law: name of the law that answers, with its reference.
      peak_lr, batch_tokens, batch_sequences: value and interval at `level`; None where the law gives none.
      level: of the intervals, which are for where the optimum of a new cell lies.
      safe_band: peak_lr, batch_tokens → [low, high]: expected loss within 0.25% of the best, the other axis following.
      cost_of_missing: peak_lr, batch_tokens → {"x0.5", "x2"} relative excess loss.
      steps, warmup_steps, final_lr, weight_decay: what the law assumes or implies; None where it does not say.
      extrapolation: per input the factor outside the data (1 inside), `range`, and `outside`.
      schedule: the schedule that the peak LR is for.
      lr_factor: what the LR was multiplied by to convert it to another schedule; None where it was not.
      override: arguments for experiments/train.py.
      warnings: sentences for people.
      convention: of the law.
      reference: of the law.
    """

    law: str
    peak_lr: Quantity | None
    batch_tokens: Quantity | None
    batch_sequences: Quantity | None
    level: float | None
    safe_band: Mapping[str, Sequence[float] | None]
    cost_of_missing: Mapping[str, Mapping[str, float]]
    expected_regret: float | None
    steps: int | None
    warmup_steps: int | None
    final_lr: float | None
    weight_decay: float | None
    extrapolation: Mapping[str, Any]
    schedule: str | None
    lr_factor: float | None
    override: str
    warnings: Sequence[str]
    convention: Mapping[str, Any]
    reference: str
    question: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def recommend(
    *,
    params: float | str | None = None,
    tokens: float | str,
    law: str | os.PathLike[str] | HyperFit = presets.DEFAULT,
    seq_len: int | str = 2048,
    batch_tokens: float | str | None = None,
    schedule: str | None = None,
    force: bool = False,
    **model: Any,
) -> Recommendation:
    """The peak LR and batch for a run of N parameters and D tokens.

    Args:
      params: N, non-embedding; numbers may be written 7e9, 7B or 1.4T.
      tokens: D.
      law: a preset such as `step_law:bootstrap`, a file that `jaxlaws fit step_law -o` wrote, or a `HyperFit`.
      seq_len: tokens in a sequence.
      batch_tokens: tokens a step where memory fixes it; the LR then is the best one for that batch.
      schedule: convert the LR to this schedule, such as `wsd(cooldown=0.2)`, by the convex bound.
      force: answer from a fit whose optimum is not identified.
      **model: params_total, vocab, width, layers, loss, untied of `question`.

    Raises:
      BadInput: the question makes no sense, or the law is not defined for it.
      Untrusted: the fit is not identified, and `force` is not given.
    """
    asked = question(params=params, tokens=tokens, seq_len=seq_len, batch_tokens=batch_tokens, **model)
    source, name = _law(law)
    if isinstance(source, presets.Published):
        answer = _from_formula(asked, source, name)
    else:
        if source.status != "converged" and not force:
            raise Untrusted(
                f"the law {name} is {source.status}: {'; '.join(source.warnings[:1])} Add runs, or --force."
            )
        answer = _from_fit(asked, source, name)
    if schedule is not None:
        from jaxlaws.recommender.transfer import convert

        answer = convert(answer, schedule)
    return answer


def compare(**asked: Any) -> dict[str, Recommendation | str]:
    """Every published law side by side: name → its recommendation, or the sentence why it is not defined here.

    Args:
      **asked: of `recommend`, without `law`.
    """
    recommend(**asked)
    answers: dict[str, Recommendation | str] = {}
    for name in presets.PRESETS:
        try:
            answers[name] = recommend(**{**asked, "law": name})
        except BadInput as error:
            answers[name] = str(error)
    return answers


def _law(law: str | os.PathLike[str] | HyperFit) -> tuple[HyperFit | presets.Published, str]:
    if isinstance(law, HyperFit):
        return law, law.law
    text = os.fspath(law)
    if text.endswith(".json") or os.sep in text or Path(text).is_file():
        return HyperFit.load(text), text
    return presets.get(text), presets.DEFAULT if text == "step_law" else text


def _from_fit(q: Question, fit: HyperFit, name: str) -> Recommendation:
    log_lr, log_batch = fit.optimum(q.params, q.tokens)
    miss = fit.miss
    warnings = list(fit.warnings) if fit.method != "published" else []
    best_batch = math.exp(log_batch)
    smallest, largest = float(q.seq_len), q.tokens
    batch = best_batch
    if q.batch_tokens is not None:
        batch = q.batch_tokens
        offset = math.log(batch) - log_batch
        if miss is None:
            warnings.append("the law does not say how the best LR moves with the batch: the LR is for the best batch.")
        else:
            log_lr += miss.best_lr(offset)
            cost = math.expm1(miss.batch_cost(offset))
            warnings.append(
                f"the batch is fixed at {short(batch)} tokens, ×{batch / best_batch:.2g} of the best "
                f"{short(best_batch)}: the LR is the best for it, and the loss is expected {cost:.2%} higher."
            )
            if abs(offset) > math.log(4):
                warnings.append("the batch is more than ×4 from the best: how the LR moves there was not measured.")
    elif not smallest <= batch <= largest:
        batch = min(max(batch, smallest), largest)
        warnings.append(
            f"the law's batch of {short(best_batch)} tokens is less than a sequence or more than the budget: "
            f"{short(batch)} is used."
        )
    half = {axis: fit.half_width(axis, q.params, q.tokens) for axis in ("lr", "batch")}
    fixed = q.batch_tokens is not None
    peak_lr = _quantity(math.exp(log_lr), half["lr"])
    batch_quantity = Quantity(batch) if fixed else _quantity(batch, half["batch"])
    sequences = _scaled(batch_quantity, 1 / q.seq_len)
    extrapolation = extrapolation_of(q, fit.ranges)
    warnings += sentences(extrapolation)
    if extrapolation["outside"] and fit.method == "published":
        warnings.append(_other_form(q, name))
    final_lr = fit.convention.get("final_lr")
    steps = max(1, round(q.tokens / (max(1, round(batch / q.seq_len)) * q.seq_len)))
    warmup = fit.convention.get("warmup_steps")
    if warmup is not None and warmup > 0.5 * steps:
        warnings.append(f"the law's warm-up of {warmup:g} steps is more than half of the {steps} steps: shorten both.")
    return Recommendation(
        law=name,
        peak_lr=peak_lr,
        batch_tokens=batch_quantity,
        batch_sequences=sequences,
        level=fit.level,
        safe_band=safe_band(fit, q, math.exp(log_lr), batch),
        cost_of_missing=cost_of_missing(fit),
        expected_regret=expected_regret(fit, q),
        steps=steps,
        warmup_steps=None if warmup is None else int(warmup),
        final_lr=final_lr,
        weight_decay=fit.convention.get("weight_decay"),
        extrapolation=extrapolation,
        schedule=fit.convention.get("schedule"),
        lr_factor=None,
        override=override(q, math.exp(log_lr), batch, fit.convention),
        warnings=warnings,
        convention=fit.convention,
        reference=fit.reference or f"fitted to {fit.data.get('source', 'memory')}",
        question=_asked(q),
    )


def _from_formula(q: Question, law: presets.Published, name: str) -> Recommendation:
    advice = law.advise(q)
    warnings = [
        f"{name} states no uncertainty: no interval, no safe band.",
        "its constants are quoted from the paper and were not re-derived from data here.",
    ]
    if q.batch_tokens is not None:
        warnings.append(f"{name} does not say how the LR moves with the batch: the batch is its own.")
    if advice.decay_times_lr is not None:
        warnings.append(f"weight decay × peak LR = {advice.decay_times_lr:.3g}: divide by your peak LR.")
    batch = advice.batch_tokens
    extrapolation = extrapolation_of(q, law.ranges)
    warnings += sentences(extrapolation)
    final_lr, warmup = law.convention.get("final_lr"), law.convention.get("warmup_steps")
    return Recommendation(
        law=name,
        peak_lr=None if advice.peak_lr is None else Quantity(advice.peak_lr),
        batch_tokens=None if batch is None else Quantity(batch),
        batch_sequences=None if batch is None else Quantity(batch / q.seq_len),
        level=None,
        safe_band={"peak_lr": None, "batch_tokens": None},
        cost_of_missing={},
        expected_regret=None,
        steps=None if batch is None else max(1, round(q.tokens / batch)),
        warmup_steps=warmup if isinstance(warmup, int) else None,
        final_lr=final_lr if isinstance(final_lr, float) else None,
        weight_decay=None,
        extrapolation=extrapolation,
        schedule=str(law.convention["schedule"]),
        lr_factor=None,
        override=override(q, advice.peak_lr, batch, law.convention),
        warnings=warnings,
        convention={**law.convention, "formula": law.formula, "setting": law.setting},
        reference=law.reference,
        question=_asked(q),
    )


def _other_form(q: Question, name: str) -> str:
    """What another law of the same runs says: the interval holds the law's form fixed."""
    other = "step_law:refit" if name != "step_law:refit" else presets.DEFAULT
    fit = presets.PRESETS[other]
    assert isinstance(fit, HyperFit)
    lr, batch = fit.optimum(q.params, q.tokens)
    return (
        f"the interval holds the law's form fixed: {other}, from the same runs, says LR {math.exp(lr):.3g} and "
        f"{short(math.exp(batch))} tokens a batch here."
    )


def _quantity(value: float, half: float) -> Quantity:
    return Quantity(value, value * math.exp(-half), value * math.exp(half))


def _scaled(q: Quantity, factor: float) -> Quantity:
    return Quantity(
        q.value * factor, None if q.low is None else q.low * factor, None if q.high is None else q.high * factor
    )


def _asked(q: Question) -> dict[str, Any]:
    return {key: value for key, value in asdict(q).items() if value is not None}
