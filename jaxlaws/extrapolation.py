"""How far a question lies outside the data of a law: one value, computed the same way for fits and presets."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jaxlaws.errors import Untrusted
from jaxlaws.inputs import input_of
from jaxlaws.records.files import finite
from jaxlaws.records.units import short

#: Grades, the mildest first. `absurd` is refused without `--force`.
GRADES = ("inside", "near", "far", "absurd")
#: A factor up to this is the data's own rounding.
SLACK = 1.01
#: Factor outside the data up to which a question is near.
NEAR = 3.0
#: Axis → the factor outside the data from which a question is absurd. A learning rate ×100 off is another optimiser's;
#: the published laws have been checked up to about ×100 in N and D, and C is their product.
ABSURD = {"peak_lr": 100.0, "flops": 1e8}
_ABSURD = 1e4
#: Factor that 0 of an input counts as that may be 0, where the data have only more of it.
ZERO = 0.1
#: Tokens a parameter below which a run is no measurement of a law: public tables of runs begin at .46 (`jaxlaws inspect
#: chinchilla_figure4_epoch.csv --format isoflop`), and a question below may have its N and D swapped.
FEWEST = 0.1
#: Tokens a parameter below which the two are not just swapped.
_SWAP = 1e-4
#: Unit of a cross-entropy → base of its logarithm.
LOG_BASES = {"nats a token": math.e, "bits a character": 2.0}
#: Axis → its word.
WORDS = {
    "params": "N",
    "tokens": "D",
    "tokens_per_param": "D/N",
    "flops": "C",
    "batch_tokens": "the batch",
    "steps": "the steps",
    "lr_sum": "the LR sum",
    "peak_lr": "the peak LR",
}


@dataclass(frozen=True)
class Axis:
    """One input of a question: its value, the [low, high] of the data, and by which factor it lies outside.

    `factor` is 1 inside, value/high above the data and value/low (less than 1) below them.
    """

    value: float
    low: float
    high: float
    factor: float

    @property
    def distance(self) -> float:
        """The factor as a number ≥ 1, whichever side."""
        return max(self.factor, 1 / self.factor) if self.factor > 0 else math.inf


@dataclass(frozen=True)
class Extrapolation:
    """How far outside the data of a law a question lies.

    Attributes:
      axes: input → `Axis`.
      impossible: sentences about an answer that nothing can have, such as a cross-entropy below zero.
      form: share of the error of the law's form in the variance of the answer, the rest of which is that of sampling;
        None where the law states no such error, as published constants do not.
    """

    axes: Mapping[str, Axis] = field(default_factory=dict)
    impossible: tuple[str, ...] = ()
    form: float | None = None

    @property
    def factor(self) -> float:
        """The largest distance of any axis."""
        return max((axis.distance for axis in self.axes.values()), default=1.0)

    @property
    def grade(self) -> str:
        """inside, near, far or absurd."""
        if self.impossible or any(axis.distance > ABSURD.get(name, _ABSURD) for name, axis in self.axes.items()):
            return "absurd"
        return "inside" if self.factor <= SLACK else "near" if self.factor <= NEAR else "far"

    def __bool__(self) -> bool:
        """Whether anything lies outside the data."""
        return self.outside

    @property
    def outside(self) -> bool:
        """Whether anything lies outside the data."""
        return self.grade != "inside"

    def sentences(self) -> list[str]:
        """The warning that the question deserves, if any."""
        parts = [
            f"{_times(axis.distance)}× in {WORDS.get(name, name)} ({'above' if axis.factor > 1 else 'below'} the "
            f"data's {short(axis.low)} to {short(axis.high)})"
            for name, axis in self.axes.items()
            if axis.distance > SLACK
        ]
        if not parts:
            return list(self.impossible)
        away = f"the question is an extrapolation, outside the law's data by {' and '.join(parts)}."
        share = ""
        if self.form is not None:
            share = f" Of its variance {self.form:.0%} is the error of the law's form, the rest is sampling."
        return [*self.impossible, f"EXTRAPOLATION, {self.grade}: {away}{share}"]

    def refuse_absurd(self, force: bool) -> list[str]:
        """The label of an absurd answer that is forced, nothing for another; `Untrusted` where it is not forced."""
        if self.grade != "absurd":
            return []
        if not force:
            raise Untrusted(f"{' '.join(self.sentences())} The law says nothing there: ask nearer, or use --force.")
        return ["FORCED: the law says nothing this far out; these numbers are not to be trusted."]

    def to_json(self) -> dict[str, Any]:
        """Plain data: an axis → value, range, factor; and outside, factor, grade, impossible; no infinity in it."""
        axes = {
            name: {"factor": axis.factor, "value": axis.value, "range": [axis.low, axis.high]}
            for name, axis in self.axes.items()
        }
        about = {"outside": self.outside, "factor": self.factor, "grade": self.grade}
        shares = None if self.form is None else {"form": self.form, "sampling": 1 - self.form}
        return finite({**axes, **about, "impossible": list(self.impossible), "variance": shares})


def _times(distance: float) -> str:
    return f"{distance:,.0f}" if 100 <= distance < 1e6 else f"{distance:.2g}"


def extrapolation(
    values: Mapping[str, float], ranges: Mapping[str, Sequence[float]], impossible: Sequence[str] = ()
) -> Extrapolation:
    """How far `values` lie outside `ranges`; inputs that only one of them has are not compared.

    Args:
      values: input → its value, by the names of `WORDS`.
      ranges: input → [low, high] of the data.
      impossible: of `Extrapolation`.
    """
    axes = {}
    for name, (low, high) in ranges.items():
        if name in values:
            value = float(values[name])
            edge = high if value > high else low
            row = input_of(name)
            share = ZERO if value == 0 and row is not None and row.zero else value / edge if edge > 0 else math.inf
            factor = 1.0 if low <= value <= high else share
            axes[name] = Axis(value, float(low), float(high), factor)
    return Extrapolation(axes, (*impossible, *_too_few_tokens(values, axes)))


def _too_few_tokens(values: Mapping[str, float], axes: Mapping[str, Axis]) -> list[str]:
    """What is wrong with a question of too few tokens for its model, unless it lies inside the data."""
    ratio = values.get("tokens_per_param", FEWEST)
    about = [axes[name] for name in ("params", "tokens", "tokens_per_param") if name in axes]
    if ratio >= FEWEST or (about and all(axis.distance <= SLACK for axis in about)):
        return []
    swap = f": did you mean --params {short(values['tokens'])} --tokens {short(values['params'])}?"
    what = f"{ratio:.2g} tokens a parameter are fewer than models are trained with"
    return [what + (swap if {"params", "tokens"} <= set(values) and ratio > _SWAP else ".")]


def farthest(several: Iterable[Extrapolation]) -> Extrapolation:
    """The one that is farthest outside, of several questions that are answered together."""
    return max(several, key=lambda item: (GRADES.index(item.grade), item.factor), default=Extrapolation())


def impossible_loss(loss: float, vocab: float | None = None, unit: str = "nats a token") -> list[str]:
    """What is wrong with a cross-entropy that nothing can have; no sentence where it can be one.

    A cross-entropy is at least 0, and a model that knows nothing has ln V; where the vocabulary is not known,
    V ≤ 1,000,000 is assumed.

    Args:
      loss: predicted.
      vocab: V.
      unit: of the loss, of `LOG_BASES`.
    """
    most = math.log(vocab if vocab else 1e6, LOG_BASES[unit])
    if not math.isfinite(loss):
        return [f"the predicted loss is {loss}, which is no number."]
    if loss < 0:
        return [f"the predicted loss is {loss:.4g} {unit}, and a cross-entropy is never below 0."]
    if loss > most:
        among = f"a vocabulary of {vocab:,.0f}" if vocab else "any vocabulary"
        return [f"the predicted loss is {loss:.4g} {unit}: guessing reaches {most:.4g} with {among}."]
    return []
