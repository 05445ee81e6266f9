"""The inputs of a law by the names of `jaxlaws.extrapolation`, the same for the data of a fit and for a question."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from jaxlaws.extrapolation import SLACK, ZERO
from jaxlaws.inputs import INPUTS, following, input_of
from jaxlaws.laws.law import Law

#: Distance in logs that stands for every larger one, so that all of them are finite.
_FARTHEST = 700.0


def axes(law: Law, inputs: Mapping[str, np.ndarray], at: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """The values at the points of a law of N, D, D/N, C = 6·N·D, batch, steps, LR sum and peak LR, [points] each.

    Args:
      law: whose inputs they are.
      inputs: as `jaxlaws.fitting.points.Points` holds them; of a curve law `S` and `peak` too.
      at: [points] last step before each loss of a curve law, without which its steps are not among the answer.
    """
    names = {INPUTS[key].column: key for key in law.inputs if INPUTS[key].of_run and not INPUTS[key].many}
    if law.kind == "curve":
        names |= {"lr_sum": "S", "peak_lr": "peak"}
    steps = {"steps": at + 1.0} if law.kind == "curve" and at is not None else {}
    out = steps | {name: np.asarray(inputs[key], float) for name, key in names.items() if key in inputs}
    for key in (key for key in law.inputs if INPUTS[key].many):
        out |= {f"{INPUTS[key].column}.{part}": inputs[key][..., i] for i, part in enumerate(law.parts)}
    with np.errstate(over="ignore"):
        for name in ("tokens", "flops"):
            if name not in out and (value := following(name, out)) is not None:
                out[name] = value
        if {"params", "tokens"} <= set(out):
            out["tokens_per_param"] = out["tokens"] / out["params"]
    return out


def ranges_of(values: Mapping[str, np.ndarray]) -> dict[str, list[float]]:
    """Axis → [low, high] of its values."""
    return {name: [float(value.min()), float(value.max())] for name, value in values.items()}


def beyond(values: Mapping[str, np.ndarray], ranges: Mapping[str, Sequence[float]]) -> np.ndarray:
    """[points] ln of the largest factor by which a point lies outside the ranges in any axis that both have.

    It is that of `jaxlaws.extrapolation.Extrapolation`: 0 inside, and up to the slack of the data's own rounding.

    Args:
      values: axis → [points].
      ranges: axis → [low, high].
    """
    distance = np.zeros(max((len(value) for value in values.values()), default=0))
    for name in set(values) & set(ranges):
        low, high = ranges[name]
        row = input_of(name)
        with np.errstate(divide="ignore", invalid="ignore"):
            outside = np.fmax(np.log(values[name] / high), np.log(low / values[name]))
        if row is not None and row.zero:
            outside = np.where((values[name] == 0) & (low > 0), -math.log(ZERO), outside)
        distance = np.fmax(distance, outside)
    return np.where(distance > math.log(SLACK), np.minimum(distance, _FARTHEST), 0.0)
