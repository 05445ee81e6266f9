"""A learning rate to convert to another setting, and the result of a rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from jaxlaws.recommender.question import Question


@dataclass(frozen=True)
class Case:
    """A learning rate to convert.

    Attributes:
      law: its name.
      q: the question.
      convention: of the law.
      request: of `setting.parse_settings`.
      peak_lr: after the conversions before this one.
      batch_tokens: of the answer.
      steps: of the answer.
      batches: smallest and largest batch of the law's data, in tokens.
      at: (N, D) → (peak LR, batch in tokens) of the law, each None where it gives none.
    """

    law: str
    q: Question
    convention: Mapping[str, Any]
    request: Mapping[str, Any]
    peak_lr: float
    batch_tokens: float | None
    steps: int | None
    batches: Sequence[float] | None
    at: Callable[[float, float], tuple[float | None, float | None]]

    def get(self, name: str) -> Any:
        """The value of a setting in the answer: as the question asks, otherwise as the law was measured."""
        return self.request.get(name, self.convention.get(name))


class Change(NamedTuple):
    """The change of an answer by a rule.

    Attributes:
      sentence: what it does, for people.
      lr: factor on the peak LR.
      sd: of ln lr.
      setting: the setting of the answer from now on, by the names of conventions.
    """

    sentence: str
    lr: float = 1.0
    sd: float = 0.0
    setting: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Refusal:
    """Why there is no conversion, and what to train instead.

    Attributes:
      reason: a clause without a final stop.
      train: arguments of the sweep that would answer; None where `jaxlaws train` cannot train the setting.
      lr: middle of the sweep's LRs over the law's.
      fixed_lr: middle of the sweep's LRs, where it has nothing to do with the law's.
      ratio: between neighbouring LRs of the sweep.
    """

    reason: str
    train: Sequence[str] | None = field(default=())
    lr: float = 1.0
    fixed_lr: float | None = None
    ratio: float = 2.0
