"""Advice for one training run: peak LR, batch, what it rests on, and how far outside the data the question lies."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from jaxlaws.errors import BadInput, Untrusted
from jaxlaws.extrapolation import Extrapolation, extrapolation
from jaxlaws.quantity import Quantity
from jaxlaws.recommender import presets
from jaxlaws.recommender.batch import beyond, exp, lr_at_batch, of_formula, possible
from jaxlaws.recommender.convert import NoConversion, convert
from jaxlaws.recommender.hyperfit import HyperFit
from jaxlaws.recommender.override import override, sequences, steps
from jaxlaws.recommender.question import Question, question
from jaxlaws.recommender.recommendation import Recommendation
from jaxlaws.recommender.safety import excess_loss, expected_regret, fixed_batch, safe_band
from jaxlaws.recommender.setting import (
    ARGUMENTS,
    measured_under,
    of_experts,
    parse_settings,
    untrainable,
    valid_convention,
)
from jaxlaws.recommender.timescales import exchange
from jaxlaws.recommender.words import near
from jaxlaws.records.units import short
from jaxlaws.status import require_trusted

#: Tokens in a sequence where neither the question nor the law states them.
_SEQ_LEN = 2048
#: Preset → another form fitted to the same runs.
_OTHER = {
    "step_law:bootstrap": "step_law:refit",
    "step_law:published": "step_law:refit",
    "step_law:refit": "step_law:bootstrap",
}


def recommend(
    *,
    params: float | str | None = None,
    tokens: float | str,
    law: str | os.PathLike[str] | HyperFit = presets.DEFAULT,
    seq_len: int | str | None = None,
    batch_tokens: float | str | None = None,
    force: bool = False,
    **more: Any,
) -> Recommendation:
    """The peak LR and batch for a run of N parameters and D tokens.

    Args:
      params: N, non-embedding; numbers may be written 7e9, 7B or 1.4T.
      tokens: D.
      law: a preset such as `step_law:refit`, a file that `jaxlaws fit step_law … -o` wrote, or a `HyperFit`.
      seq_len: tokens in a sequence; without it the law's, or 2048.
      batch_tokens: tokens a step where memory fixes it; the LR then is the best one for that batch.
      force: answer from a fit that is not to be trusted, or to an absurd question, with a label.
      **more: params_total, multiple_of, vocab, width, layers, loss, untied of `question`; the setting, of
        `setting.parse_settings`: optimizer, parameterisation, base_width, moe_active, moe_total, from_checkpoint,
        weight_decay, beta2, schedule, such as `wsd(cooldown=0.2)`, and warmup.

    Raises:
      BadInput: the question makes no sense, the law is not defined for it, or no source converts to the setting.
      Untrusted: the fit is not to be trusted or the question is absurd, and `force` is not given.
    """
    settings = parse_settings(**{name: more.pop(name) for name in ARGUMENTS if name in more})
    numbers = {"params": of_experts(params, settings), "tokens": tokens, "batch_tokens": batch_tokens, **more}
    source, name = _law(law)
    q = question(seq_len=_seq_len(source) if seq_len is None else seq_len, **numbers)
    answer = _answer(q, source, name, settings, force)
    answer = replace(answer, warnings=[*q.sentences, *answer.warnings])
    other = _OTHER.get(name)
    if other and answer.extrapolation.outside:
        note = _other_form(_answer(q, presets.PRESETS[other], other, settings, True))
        answer = replace(answer, warnings=[*answer.warnings, note])
    return _with_command(q, answer)


def _with_command(q: Question, answer: Recommendation) -> Recommendation:
    """The answer with the command that trains it, and with the schedule and warm-up that the command has."""
    if lacks := untrainable(answer.setting):
        return replace(answer, warnings=[*answer.warnings, lacks])
    command = override(q, _value(answer.peak_lr), _value(answer.batch_tokens), answer.setting)
    return replace(
        answer,
        override=command.text,
        schedule=command.schedule or answer.schedule,
        warmup_steps=answer.warmup_steps if command.warmup_steps is None else command.warmup_steps,
        warnings=[*answer.warnings, *command.sentences],
    )


def every_law(**question: Any) -> dict[str, Recommendation | str]:
    """Every published law side by side: name → its recommendation, or the sentence why it is not defined here.

    Args:
      **question: of `recommend`, without `law`; every law is converted to the setting that it asks for.
    """
    with suppress(NoConversion):
        recommend(**question)
    answers: dict[str, Recommendation | str] = {}
    for name in presets.PRESETS:
        try:
            answers[name] = recommend(**{**question, "law": name})
        except (BadInput, Untrusted) as error:
            answers[name] = getattr(error, "reason", str(error))
    return answers


def _answer(
    q: Question, source: HyperFit | presets.Published, name: str, settings: Mapping[str, Any], force: bool
) -> Recommendation:
    """The answer of one law, converted to the setting of the question, without its command."""
    if isinstance(source, presets.Published):
        answer = _from_formula(q, source, name, force)
    else:
        labels = require_trusted(source, name, force)
        answer = _from_fit(q, source, name, force)
        answer = replace(answer, warnings=[*labels, *answer.warnings])
    answer = replace(answer, measured_under=measured_under(source.convention), setting=source.convention)
    return convert(answer, q, settings, partial(_at, source, q), source.ranges.get("batch_tokens"))


def _at(
    source: HyperFit | presets.Published, q: Question, params: float, tokens: float
) -> tuple[float | None, float | None]:
    """(peak LR, batch in tokens) of a law at another N and D, each None where it gives none."""
    if isinstance(source, HyperFit):
        log_lr, log_batch = source.optimum(params, tokens)
        return exp(log_lr), exp(log_batch)
    try:
        advice = source.advise(replace(q, params=params, tokens=tokens, batch_tokens=None))
    except BadInput:
        return None, None
    return advice.peak_lr, advice.batch_tokens


def _seq_len(source: HyperFit | presets.Published) -> int:
    """Tokens in a sequence where the question does not state them: the law's, or 2048."""
    value = source.convention.get("seq_len")
    return int(value) if isinstance(value, int | float) and value >= 1 else _SEQ_LEN


def _value(quantity: Quantity | None) -> float | None:
    return None if quantity is None else quantity.value


def _law(law: str | os.PathLike[str] | HyperFit) -> tuple[HyperFit | presets.Published, str]:
    if isinstance(law, HyperFit):
        return replace(law, convention=valid_convention(law.convention)), law.law
    text = os.fspath(law)
    if text.endswith(".json") or os.sep in text or Path(text).is_file():
        fit = HyperFit.load(text)
        return replace(fit, convention=valid_convention(fit.convention)), text
    return presets.get(text), presets.DEFAULT if text == "step_law" else text


def _from_fit(q: Question, fit: HyperFit, name: str, force: bool) -> Recommendation:
    log_lr, log_best = fit.optimum(q.params, q.tokens)
    log_batch = log_best if q.batch_tokens is None else math.log(q.batch_tokens)
    outside = _outside(q, fit, log_lr, log_batch)
    outside.refuse_absurd(force)
    warnings = [] if fit.method == "published" else [*fit.warnings, *near(fit, q.params, q.tokens)]
    batch, batch_notes = possible(q, log_batch)
    log_batch = math.log(batch)
    log_lr, lr_notes = lr_at_batch(q, fit, log_lr, log_best, log_batch)
    warnings += [*batch_notes, *lr_notes, *outside.sentences()]
    lr = exp(log_lr)
    half = fit.half_width("lr", q.params, q.tokens) + exchange(beyond(fit, log_batch, log_best))[1]
    quantity = Quantity(batch)
    if not fixed_batch(fit, q):
        batch_half = fit.half_width("batch", q.params, q.tokens)
        quantity = Quantity(batch, min(exp(log_best - batch_half), batch), max(exp(log_best + batch_half), batch))
    warmup = fit.convention.get("warmup_steps")
    return Recommendation(
        law=name,
        peak_lr=Quantity(lr, exp(log_lr - half), exp(log_lr + half)),
        batch_tokens=quantity,
        batch_sequences=_times(quantity, 1 / q.seq_len),
        level=fit.level,
        safe_band=safe_band(fit, q, lr, batch),
        excess_loss=excess_loss(fit, q),
        expected_regret=expected_regret(fit, q),
        steps=steps(q, sequences(q, batch)),
        warmup_steps=None if warmup is None else int(warmup),
        final_lr=fit.convention.get("final_lr"),
        weight_decay=fit.convention.get("weight_decay"),
        extrapolation=outside,
        schedule=fit.convention.get("schedule"),
        lr_factor=None,
        override="",
        warnings=warnings,
        convention=fit.convention,
        reference=fit.reference or f"fitted to {fit.data.get('source', 'memory')}",
        question=_fields_of(q),
    )


def _outside(q: Question, fit: HyperFit, log_lr: float, log_batch: float) -> Extrapolation:
    """How far the question and its answer lie outside the data of a fit."""
    lr = exp(log_lr)
    values = {**_inputs(q), "peak_lr": lr, "batch_tokens": exp(log_batch)}
    impossible = [f"the law's peak LR is {lr:.3g}, and no run has one of 1 or more."] if lr >= 1 else []
    share = fit.form_share("lr", q.params, q.tokens)
    return replace(extrapolation(values, fit.ranges, impossible), form=share)


def _inputs(q: Question) -> dict[str, float]:
    values = {"params": q.params, "tokens": q.tokens, "tokens_per_param": q.tokens / q.params}
    if q.flops_per_token is not None:
        values["flops"] = q.flops_per_token * q.tokens
    return values


def _from_formula(q: Question, law: presets.Published, name: str, force: bool) -> Recommendation:
    advice = law.advise(q)
    warnings = [
        f"{name} states no uncertainty: no interval, no safe band.",
        "its constants are quoted from the paper and were not re-derived from data here.",
    ]
    if advice.decay_times_lr is not None:
        warnings.append(f"weight decay × peak LR = {advice.decay_times_lr:.3g}: divide by your peak LR.")
    lr, batch, notes = of_formula(q, name, advice.peak_lr, advice.batch_tokens)
    warnings += notes
    outside = extrapolation(_inputs(q), law.ranges)
    outside.refuse_absurd(force)
    warnings += outside.sentences()
    return Recommendation(
        law=name,
        peak_lr=None if lr is None else Quantity(lr),
        batch_tokens=None if batch is None else Quantity(batch),
        batch_sequences=None if batch is None else Quantity(batch / q.seq_len),
        level=None,
        safe_band={"peak_lr": None, "batch_tokens": None},
        excess_loss={},
        expected_regret=None,
        steps=None if batch is None else steps(q, sequences(q, batch)),
        warmup_steps=law.convention.get("warmup_steps"),
        final_lr=law.convention.get("final_lr"),
        weight_decay=law.convention.get("weight_decay"),
        extrapolation=outside,
        schedule=str(law.convention["schedule"]),
        lr_factor=None,
        override="",
        warnings=warnings,
        convention={**law.convention, "formula": law.formula, "setting": law.setting},
        reference=law.reference,
        question=_fields_of(q),
    )


def _other_form(other: Recommendation) -> str:
    """What another law of the same runs says to the same question."""
    lr, batch = _value(other.peak_lr), _value(other.batch_tokens)
    assert lr is not None
    assert batch is not None
    return (
        f"the form of the law is part of the interval: {other.law}, from the same runs, says LR {lr:.3g} and "
        f"{short(batch)} tokens a batch to the same question."
    )


def _times(q: Quantity, factor: float) -> Quantity:
    return Quantity(
        q.value * factor, None if q.low is None else q.low * factor, None if q.high is None else q.high * factor
    )


def _fields_of(q: Question) -> dict[str, Any]:
    return {key: value for key, value in asdict(q).items() if value is not None and key != "sentences"}
