"""The best use of compute by a law of N and D, what reaches a loss, and how many steps that takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxlaws.errors import BadInput
from jaxlaws.extrapolation import Extrapolation, extrapolation
from jaxlaws.fitting import plane
from jaxlaws.fitting.intervals import form_draws, form_sentences
from jaxlaws.fitting.predict import open_fit, predict
from jaxlaws.fitting.question import Question
from jaxlaws.fitting.resample import FEW, interval
from jaxlaws.numeric import number, optional
from jaxlaws.quantity import Quantity
from jaxlaws.records.units import short
from jaxlaws.status import Finding, require_trusted

if TYPE_CHECKING:
    from jaxlaws.fitting.isoflop import Frontier
    from jaxlaws.fitting.result import LossFit

#: Range of tokens per parameter of any model that was ever trained.
POSSIBLE = (1e-3, 1e6)
#: Share of resamples without an answer above which a warning says so.
MOST_FAILURES = 0.05
#: Fields of an `Optimum` that only a law of batch and steps has.
OF_BATCH = ("steps", "least_steps", "least_tokens", "critical_batch")
#: Step in ln C by which the exponent of N is measured.
_STEP = 0.01
#: Step in ln N by which the curvature of the loss along a budget is measured.
_WIDE = 0.1
#: ln of the factor in N over which the error of the form changes by its own size along a budget. With it the N* of fits
#: to the smaller runs of four public tables are off from that of all runs as they say: experiments/LOG.md.
_ALONG = 3.0


class Optimum(NamedTuple):
    """What compute, model and tokens reach.

    Attributes:
      flops: C = 6·N·D + 2·N·D_served.
      params: N, counted as the convention of the fit says.
      tokens: D.
      tokens_per_param: D/N.
      loss: of one new run there, or that of the question; None where there is no law.
      exponent: d ln N*/d ln C at C; None where N or D is fixed.
      steps: D over the batch; None where the law reads no batch.
      least_steps, least_tokens: S_min and E_min, the fewest of either by which N reaches this loss at any batch.
      critical_batch: E_min/S_min, tokens in a step.
      served_tokens: D_served, whose cost is part of C.
      level: of the intervals.
      extrapolation: how far the answer lies outside the data of the fit.
      warnings: sentences for people.
    """

    flops: Quantity
    params: Quantity
    tokens: Quantity
    tokens_per_param: Quantity
    loss: Quantity | None
    exponent: Quantity | None
    steps: Quantity | None
    least_steps: Quantity | None
    least_tokens: Quantity | None
    critical_batch: Quantity | None
    served_tokens: float
    level: float
    extrapolation: Extrapolation
    warnings: tuple[str, ...]


def optimum(
    fit: LossFit | str,
    flops: float | None = None,
    *,
    loss: float | None = None,
    params: float | None = None,
    tokens: float | None = None,
    served_tokens: float = 0.0,
    **columns: Any,
) -> Optimum:
    """What a budget reaches, or what reaches a loss at least cost, with intervals from the stored resamples of the fit.

        min L(N, D) at 6·N·D + 2·N·D_served = C,   or   min 6·N·D + 2·N·D_served at L(N, D) = loss

        >>> import jaxlaws
        >>> best = jaxlaws.optimum("chinchilla:epoch", flops=1e21)
        >>> print(f"N {best.params.value:.3g}, D {best.tokens.value:.3g}, loss {best.loss.value:.3f}")
        N 2.78e+09, D 6e+10, loss 2.306

    Args:
      fit: a fit of a law of N and D (or N, batch and steps), a fit file or a preset.
      flops: C, the budget.
      loss: to be reached, in the unit of the fit.
      params, tokens: N or D where it is fixed; then the other one is the rest of the budget, or reaches the loss.
      served_tokens: D_served, tokens that the model answers with after its training, 2·N FLOP each.
      **columns: what else the law reads, by the names of the columns of a table: batch_tokens, unique_tokens, …
        Without a batch, where the loss and N are given, it is the critical one.

    Raises:
      BadInput: the law is not one of N and D, the question is not one of these, or nothing answers it.
    """
    flops, loss, params, tokens = optional(flops=flops, loss=loss, params=params, tokens=tokens)
    served_tokens = number("served_tokens", served_tokens)
    fit, question = open_fit(fit), Question(flops, loss, params, tokens, served_tokens)
    question.check()
    plane.check_names([fit.model], columns)
    sentences = []
    if loss is not None and params is not None and columns.get("batch_tokens") is None and plane.reads_batch(fit.model):
        columns = {**columns, "batch_tokens": _critical_batch(fit, columns, question, np.log(params))}
        sentences.append(
            f"no batch is given: the answer is at the critical batch, {short(columns['batch_tokens'])} tokens."
        )
    setting = plane.setting_of(fit, columns)
    log_n, log_d, falls = question.solve(fit, setting)
    question.require(fit, setting, log_n[0] + log_d[0])
    at = predict(fit, params=float(np.exp(log_n[0])), tokens=float(np.exp(log_d[0])), **columns)
    if at.extrapolation.form:
        log_n, log_d = _with_form(fit, setting, question, log_n, log_d, np.log(at.extrapolation.factor))
    n, d, ratio = np.exp(log_n), np.exp(log_d), np.exp(log_d - log_n)
    cost = n * (6 * d + 2 * served_tokens)
    exponent = _exponent(fit, setting, cost, served_tokens) if params is None and tokens is None else None
    wrong = _impossible(n[0], d[0], 0.5 if exponent is None else exponent[0])
    reach = replace(at.extrapolation, impossible=(*at.extrapolation.impossible, *wrong))
    if falls:
        sentences.append("the loss of this law falls again far from the optimum: it is not to be trusted there.")
    failures = float(np.mean(~np.isfinite(cost[1:]))) if len(cost) > 1 else 0.0
    if failures > MOST_FAILURES:
        sentences.append(
            f"{failures:.0%} of the resamples have no optimum {question.words}: the intervals are too narrow."
        )
    return Optimum(
        flops=_quantity(cost, fit.level) if flops is None else Quantity(flops),
        params=_quantity(n, fit.level) if params is None else Quantity(params),
        tokens=_quantity(d, fit.level) if tokens is None else Quantity(tokens),
        tokens_per_param=_quantity(ratio, fit.level),
        loss=Quantity(float(at.value), _number(at.low), _number(at.high)) if loss is None else Quantity(loss),
        exponent=None if exponent is None else _quantity(exponent, fit.level),
        **_of_batch(fit, setting, log_n, log_d, loss),
        served_tokens=served_tokens,
        level=fit.level,
        extrapolation=reach,
        warnings=(
            *require_trusted(fit, fit.law, force=True),
            *fit.warnings,
            *sentences,
            *reach.sentences(),
            *(form_sentences(fit) if reach.outside else ()),
        ),
    )


def frontier_optimum(frontier: Frontier, flops: float, level: float = 0.9) -> Optimum:
    """N* and D* of approach 1 or 2 at the budget `flops`, with intervals where it has resamples."""
    with np.errstate(over="ignore", divide="ignore"):
        params = np.append(frontier.params(flops), frontier.params_draws(flops))
        tokens = flops / (6 * params)
    if not (np.isfinite(params[0]) and tokens[0] > 0):
        raise BadInput(f"N grows as C^{frontier.exponent:.3g}, which has no finite optimum at {flops:.3g} FLOP.")
    budgets = [float(frontier.flops.min()), float(frontier.flops.max())]
    reach = extrapolation({"flops": flops}, {"flops": budgets}, _impossible(params[0], tokens[0], frontier.exponent))
    sentences = [str(Finding(**item)) for item in frontier.findings]
    return Optimum(
        flops=Quantity(flops),
        params=_quantity(params, level),
        tokens=_quantity(tokens, level),
        tokens_per_param=_quantity(tokens / params, level),
        loss=None,
        exponent=_quantity(np.append(frontier.exponent, frontier.draws[:, 1]), level),
        **dict.fromkeys(OF_BATCH),
        served_tokens=0.0,
        level=level,
        extrapolation=reach,
        warnings=(*frontier.warnings, *sentences, *reach.sentences()),
    )


def _critical_batch(fit: LossFit, columns: Mapping[str, Any], question: Question, log_n: float) -> float:
    """E_min/S_min of the constants of the fit at the loss of a question."""
    setting = plane.setting_of(fit, {**columns, "batch_tokens": plane.BATCHES[1]})
    rows = len(fit.rows())
    steps, tokens = plane.of_batches(fit, setting, np.full(rows, log_n), np.full(rows, question.loss))
    question.require(fit, setting, steps[0] + tokens[0])
    return float(tokens[0] / steps[0])


def _of_batch(
    fit: LossFit, setting: Mapping[str, Any], log_n: np.ndarray, log_d: np.ndarray, loss: float | None
) -> dict[str, Quantity | None]:
    """What a law of batch and steps says of both, by the names of `OF_BATCH`; None each of another law."""
    if not plane.reads_batch(fit.model):
        return dict.fromkeys(OF_BATCH)
    losses = plane.losses(fit, setting, log_n, log_d) if loss is None else np.full(len(log_n), loss)
    steps, tokens = plane.of_batches(fit, setting, log_n, losses)
    values = (np.exp(log_d) / setting["B"], steps, tokens, tokens / steps)
    return {name: _quantity(value, fit.level) for name, value in zip(OF_BATCH, values, strict=True)}


def _with_form(
    fit: LossFit,
    setting: Mapping[str, Any],
    question: Question,
    log_n: np.ndarray,
    log_d: np.ndarray,
    distance: float,
) -> tuple[np.ndarray, np.ndarray]:
    """ln N and ln D [rows] where every resample but the fitted constants has an error of the form of its own.

    With e = s·d·g that of ln L (`jaxlaws.fitting.forward`), the loss L·exp(e) is reached where L is loss·exp(−e). Along
    a budget e changes with ln N, and its slope moves a minimum of curvature κ of ln L by −slope/κ.

    Args:
      fit, setting: as of `plane.spend`.
      question: of which this is the answer.
      log_n, log_d: the answer without an error of the form.
      distance: d of the fitted constants' answer.
    """
    rows, served = len(log_n), question.served_tokens
    error, slope = (distance * np.r_[0.0, form_draws(fit, rows - 1, seed)] for seed in (2, 3))
    if question.loss is not None:
        log_n, log_d, _ = question.solve(fit, setting, np.exp(-error))
    if question.params is not None or question.tokens is not None:
        return log_n, log_d
    cost = np.exp(log_n) * (6 * np.exp(log_d) + 2 * served)

    def at(step: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
        with np.errstate(invalid="ignore"):
            return log_n + step, np.log((cost * np.exp(-log_n - step) - 2 * served) / 6)

    below, middle, above = (np.log(plane.losses(fit, setting, *at(step))[0]) for step in (-_WIDE, 0.0, _WIDE))
    curvature = (below - 2 * middle + above) / _WIDE**2
    return at(-slope / (_ALONG * curvature))


def _exponent(fit: LossFit, setting: Mapping[str, Any], flops: np.ndarray, served_tokens: float) -> np.ndarray:
    """[rows] d ln N*/d ln C at the budgets [rows]."""
    below, above = (plane.spend(fit, setting, flops * np.exp(step), served_tokens)[0] for step in (-_STEP, _STEP))
    return (above - below) / (2 * _STEP)


def _impossible(params: float, tokens: float, exponent: float) -> list[str]:
    """What is wrong with a compute optimum that no model and no budget can have."""
    sentences = []
    if not POSSIBLE[0] <= tokens / params <= POSSIBLE[1]:
        sentences.append(
            f"the optimum has {tokens / params:.3g} tokens a parameter, which nothing was ever trained with."
        )
    if not 0 < exponent < 1:
        word = "N" if exponent <= 0 else "D"
        sentences.append(f"N grows as C^{exponent:.3g}, so that the best {word} would fall with more compute.")
    return sentences


def _quantity(values: np.ndarray, level: float) -> Quantity:
    """Row 0 with the interval of the others, where there are enough and they differ."""
    draws = values[1:][np.isfinite(values[1:])]
    if len(draws) < FEW:
        return Quantity(float(values[0]))
    low, high = interval(float(values[0]), draws, level)
    return Quantity(float(values[0]), low, high) if low < high else Quantity(float(values[0]))


def _number(edge: np.ndarray | float | None) -> float | None:
    return None if edge is None else float(edge)
