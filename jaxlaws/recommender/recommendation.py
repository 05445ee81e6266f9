"""Advice as a value: quantities with intervals, and everything that an answer says, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from jaxlaws.extrapolation import Extrapolation
from jaxlaws.quantity import Quantity


@dataclass(frozen=True)
class Recommendation:
    """Advice for one run.

    Attributes:
      law: name of the law that answers, with its reference.
      peak_lr, batch_tokens, batch_sequences: value and interval at `level`; None where the law gives none.
      level: of the intervals, which are for where the optimum of a new cell lies.
      safe_band: peak_lr, batch_tokens → [low, high]: expected loss within 0.25% of the recommendation's, the other axis
        following.
      excess_loss: peak_lr, batch_tokens → {"x0.5", "x2"} relative excess loss.
      steps, warmup_steps, final_lr, weight_decay: what the law assumes or implies; None where it does not say.
      extrapolation: how far the question and its answer lie outside the data of the law.
      schedule: the schedule that the peak LR is for.
      lr_factor: factor on the LR that converts it to the setting of the question; None where the question has none.
      override: arguments of `jaxlaws train`, quoted for a shell; empty where no command can be right.
      warnings: sentences for people.
      convention: of the law.
      reference: of the law.
      measured_under: of `setting.measured_under`: what the law was measured in, None where it does not say.
      setting: of the answer: the convention of the law, changed to what the question asks for.
      conversions: name, factor on the LR, sd and source of every row of `conversions.CONVERSIONS` in use.
    """

    law: str
    peak_lr: Quantity | None
    batch_tokens: Quantity | None
    batch_sequences: Quantity | None
    level: float | None
    safe_band: Mapping[str, Sequence[float] | None]
    excess_loss: Mapping[str, Mapping[str, float]]
    expected_regret: float | None
    steps: int | None
    warmup_steps: int | None
    final_lr: float | None
    weight_decay: float | None
    extrapolation: Extrapolation
    schedule: str | None
    lr_factor: float | None
    override: str
    warnings: Sequence[str]
    convention: Mapping[str, Any]
    reference: str
    question: Mapping[str, Any]
    measured_under: Mapping[str, Any] = field(default_factory=dict)
    setting: Mapping[str, Any] = field(default_factory=dict)
    conversions: Sequence[Mapping[str, Any]] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {**asdict(self), "extrapolation": self.extrapolation.to_json()}
