"""How far a question lies outside the data of a law."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jaxlaws.recommender.question import Question
from jaxlaws.records.units import short


def extrapolation_of(q: Question, ranges: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Per input the factor by which it lies outside the data: 1 inside, 6.5 above it, 0.5 below it by 2."""
    values = {"params": q.params, "tokens": q.tokens, "tokens_per_param": q.tokens / q.params}
    if q.flops_per_token is not None:
        values["flops"] = q.flops_per_token * q.tokens
    answer: dict[str, Any] = {}
    for name, (low, high) in ranges.items():
        if name in values:
            value = values[name]
            factor = value / high if value > high else value / low if value < low else 1.0
            answer[name] = {"factor": factor, "value": value, "range": [low, high]}
    answer["outside"] = any(not 0.99 < part["factor"] < 1.01 for part in answer.values())
    return answer


def sentences(extrapolation: Mapping[str, Any]) -> list[str]:
    """The warning that a question outside the data deserves, if it is."""
    words = {"params": "N", "tokens": "D", "tokens_per_param": "D/N", "flops": "C"}
    parts = []
    for name, word in words.items():
        if name in extrapolation and not 0.99 < extrapolation[name]["factor"] < 1.01:
            factor, (low, high) = extrapolation[name]["factor"], extrapolation[name]["range"]
            side = "above" if factor > 1 else "below"
            parts.append(f"{max(factor, 1 / factor):.2g}× in {word} ({side} the data's {short(low)} to {short(high)})")
    return [f"EXTRAPOLATION: outside the law's data by {' and '.join(parts)}."] if parts else []
