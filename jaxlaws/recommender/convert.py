"""An answer in the setting of the question: it applies and names every conversion, and widens the interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from jaxlaws.errors import BadInput
from jaxlaws.quantity import Quantity
from jaxlaws.recommender.case import Case, Change, Refusal
from jaxlaws.recommender.conversions import CONVERSIONS
from jaxlaws.recommender.question import Question
from jaxlaws.recommender.recommendation import Recommendation
from jaxlaws.recommender.smallest import smallest_sweep
from jaxlaws.recommender.student import student

#: Fields of an answer that are names of a setting too.
_FIELDS = ("schedule", "final_lr", "warmup_steps", "weight_decay")


class NoConversion(BadInput):
    """No source converts the setting: `reason` alone, and in the message also the sweep that would answer."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}; {remedy}")
        self.reason = f"{reason}."


def convert(
    answer: Recommendation,
    q: Question,
    settings: Mapping[str, Any],
    at: Callable[[float, float], tuple[float | None, float | None]],
    batches: Sequence[float] | None,
) -> Recommendation:
    """The answer for the setting of the question, with an interval as wide as the conversions make it.

    Args:
      answer: of a law, in the setting that the law was measured in.
      q: the question.
      settings: of `setting.parse_settings`.
      at: (N, D) → (peak LR, batch in tokens) of the law, each None where it gives none.
      batches: smallest and largest batch of the law's data, in tokens.

    Raises:
      NoConversion: no source converts the law's setting to the one that is asked for.
      BadInput: the setting makes no sense for the law.
    """
    if answer.peak_lr is None:
        notes = [f"{answer.law} gives no LR: there is nothing to convert to the setting that is asked for."]
        return replace(answer, warnings=[*answer.warnings, *(notes if settings else [])])
    case = Case(
        law=answer.law,
        q=q,
        convention=answer.convention,
        request=settings,
        peak_lr=answer.peak_lr.value,
        batch_tokens=None if answer.batch_tokens is None else answer.batch_tokens.value,
        steps=answer.steps,
        batches=batches,
        at=at,
    )
    changes: dict[str, Change] = {}
    for row in CONVERSIONS:
        change = None if row.rule is None else row.rule(case)
        if isinstance(change, Refusal):
            raise NoConversion(change.reason, smallest_sweep(case, change))
        if change is not None:
            changes[row.name] = change
            case = replace(case, peak_lr=case.peak_lr * change.lr)
    setting = {name: value for change in changes.values() for name, value in change.setting.items()}
    factor = math.prod(change.lr for change in changes.values())
    return replace(
        _times(answer, answer.peak_lr, factor, math.hypot(*(change.sd for change in changes.values()))),
        **{name: setting[name] for name in _FIELDS if name in setting},
        lr_factor=factor if settings else None,
        setting={**answer.setting, **setting},
        conversions=[_plain(name, change) for name, change in changes.items() if change.setting],
        warnings=[*answer.warnings, *(change.sentence for change in changes.values())],
    )


def _times(answer: Recommendation, lr: Quantity, factor: float, sd: float) -> Recommendation:
    """The answer with its LR and safe band times the factor, and the LR's interval wider by the sd of its ln."""
    if factor == 1.0 and sd == 0.0:
        return answer
    half = 0.0 if answer.level is None else student(answer.level, math.inf) * sd
    value, band = lr.value * factor, answer.safe_band["peak_lr"]
    low, high = (
        None if edge is None else value * math.exp(sign * math.hypot(math.log(edge / lr.value), half))
        for sign, edge in ((-1, lr.low), (1, lr.high))
    )
    regret = answer.expected_regret
    return replace(
        answer,
        peak_lr=Quantity(value, low, high),
        safe_band={**answer.safe_band, "peak_lr": None if band is None else [edge * factor for edge in band]},
        expected_regret=None if regret is None else regret + _curvature(answer) * sd**2 / 2,
    )


def _curvature(answer: Recommendation) -> float:
    """Second derivative of ln L in ln LR, from what missing the LR by ×2 and ×0.5 costs."""
    cost = answer.excess_loss.get("peak_lr")
    return 0.0 if cost is None else sum(math.log1p(value) for value in cost.values()) / math.log(2) ** 2


def _plain(name: str, change: Change) -> dict[str, Any]:
    source = next(row.source for row in CONVERSIONS if row.name == name)
    return {"name": name, "lr": change.lr, "sd": change.sd, "source": source}
