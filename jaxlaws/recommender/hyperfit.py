"""A fitted law of LR and batch as a value, read without numpy, pandas or JAX."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from jaxlaws.fits import Fit, shared_checks
from jaxlaws.recommender.excess import Excess
from jaxlaws.recommender.student import student
from jaxlaws.records import json_file
from jaxlaws.text import aligned, figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from jaxlaws.records.arrays import Data

AXES = ("lr", "batch")
#: Axis → its quantity, with the unit.
MEANINGS = {"lr": "best peak LR", "batch": "best batch, tokens a step"}
TERMS = ("intercept", "N", "D")
PARAMS = tuple(f"{axis}_{name}" for axis in AXES for name in TERMS)
#: Form of the batch where the runs do not show the best one.
FIXED = "fixed"
#: Cells that a terminal shows at most.
_CELLS = 40


@dataclass(frozen=True, kw_only=True, repr=False)
class HyperFit(Fit):
    """Power laws of the best peak LR and batch, and what the data say about them.

        ln η* = lr_intercept + lr_N ln N + lr_D ln D,   ln B* = batch_intercept + batch_N ln N + batch_D ln D

    with N non-embedding parameters, D tokens, η the peak LR, B tokens a step, natural logs.

    Attributes:
      convention: what the constants mean: params, batch, lr, schedule, final_lr, warmup_steps, seq_len, optimizer, …
      params: `PARAMS` by name, full precision; a form without N or D has a 0 there.
      forms: what each axis is a power law of: "N, D", "D", "N" or "constant", the heaviest form where the law is a mean
        of several; for the batch also `fixed`: not measured, the batch that the runs had.
      rivals: {"lr", "batch"} → constants of the forms that the law is the mean of, or of another law of the same runs,
        each with its form and weight: how far they are from the law at a question is part of the interval there.
      covariance: {"lr": 3×3, "batch": 3×3} of the coefficients, in the order intercept, N, D.
      scatter: {"lr": sd, "batch": sd} of a cell's optimum about the law, in logs.
      drift: {"lr", "batch"} → 2×2 covariance of what the exponents of N and D may change by outside `ranges`.
      dof: {"lr", "batch"} degrees of freedom of the scatter; None means large.
      excess: the loss around the optimum; None where it is not known.
      method: `two_stage` or `one_stage`.
      resampling: how draws were made: `by cell`, `parametric`, `none`.
      ranges: params, tokens, tokens_per_param, peak_lr, batch_tokens → [low, high] of the data.
      sigma: sd of a run's ln loss about its cell's surface.
      cells: per cell its params, tokens, runs, diverged, fitted peak_lr and batch_tokens with standard errors in logs,
        loss at the optimum, and the grid's edges with the values to add.
      held_out: left-out regret of the chosen form and of the others.
      reference: where published constants come from.
    """

    kind: ClassVar[str] = "hyper_law"
    required: ClassVar[Sequence[str]] = ("law", "convention", "params", "covariance", "scatter", "ranges")
    written_by: ClassVar[str] = "a law of LR and batch that `jaxlaws fit step_law … -o` wrote"

    level: float = 0.8
    covariance: Mapping[str, Sequence[Sequence[float]]]
    scatter: Mapping[str, float]
    forms: Mapping[str, str] = field(default_factory=lambda: {"lr": "N, D", "batch": "N, D"})
    rivals: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    drift: Mapping[str, Sequence[Sequence[float]]] = field(default_factory=dict)
    dof: Mapping[str, float | None] = field(default_factory=lambda: {"lr": None, "batch": None})
    excess: Excess | None = None
    method: str = "two_stage"
    sigma: float | None = None
    cells: Sequence[Mapping[str, Any]] = ()
    reference: str = ""

    @property
    def formula(self) -> str:
        """The law with its numbers: `η* = 1.79 · N^-0.713 · D^0.307, B* = 0.58 · D^0.571 tokens`."""
        lr, batch = (self._power(axis) for axis in AXES)
        return f"η* = {lr}, B* = {batch} tokens" + ("" if self.batch_measured else " (that of the runs, not measured)")

    def _power(self, axis: str) -> str:
        size = math.exp(min(max(self.params[f"{axis}_intercept"], -700.0), 700.0))
        powers = {name: self.params[f"{axis}_{name}"] for name in TERMS[1:]}
        return " · ".join([figure(size), *(f"{name}^{figure(power)}" for name, power in powers.items() if power)])

    @property
    def batch_measured(self) -> bool:
        """Whether the best batch is part of the law, and not the batch that the runs happened to have."""
        return self.forms["batch"] != FIXED

    def optimum(self, params: float, tokens: float) -> tuple[float, float]:
        """(ln η*, ln B*) at N and D."""
        z = (1.0, math.log(params), math.log(tokens))
        lr, batch = (
            sum(self.params[f"{axis}_{name}"] * value for name, value in zip(TERMS, z, strict=True)) for axis in AXES
        )
        return lr, batch

    def half_width(self, axis: str, params: float, tokens: float, level: float | None = None) -> float:
        """Half the interval in logs for where the optimum of a new cell lies: `spread` times Student's t."""
        dof = self.dof[axis]
        return self.spread(axis, params, tokens) * student(
            self.level if level is None else level, math.inf if dof is None else dof
        )

    def spread(self, axis: str, params: float, tokens: float) -> float:
        """√(zᵀΣz + scatter² + Σ_f w_f Δ_f² + xᵀDx), z = (1, ln N, ln D): the sd in logs of a new cell's optimum.

        Δ_f is the gap between the law and form f there, w_f its weight; x is how far in logs N and D lie outside the
        ranges of the data, D the `drift` of the exponents there: both grow with the distance from the data.
        """
        z = (1.0, math.log(params), math.log(tokens))
        variance = sum(z[i] * self.covariance[axis][i][j] * z[j] for i in range(3) for j in range(3))
        return math.sqrt(max(variance + self._of_form(axis, params, tokens), 0.0) + self.scatter[axis] ** 2)

    def form_share(self, axis: str, params: float, tokens: float) -> float | None:
        """Share of the error of the form, Σ_f w_f Δ_f² + xᵀDx, in the variance of `spread`; None without either."""
        total = self.spread(axis, params, tokens) ** 2
        known = bool(self.rivals.get(axis) or self.drift.get(axis)) and total > 0
        return min(self._of_form(axis, params, tokens) / total, 1.0) if known else None

    def _of_form(self, axis: str, params: float, tokens: float) -> float:
        """Variance in logs of what the forms differ by, and of what exponents may change by outside the data."""
        z = (1.0, math.log(params), math.log(tokens))
        variance = 0.0
        for rival in self.rivals.get(axis, ()):
            terms = zip(TERMS, z, strict=True)
            gap = sum((rival[name] - self.params[f"{axis}_{name}"]) * value for name, value in terms)
            variance += rival["weight"] * gap**2
        if drift := self.drift.get(axis):
            x = [self._outside("params", params), self._outside("tokens", tokens)]
            variance += sum(x[i] * drift[i][j] * x[j] for i in range(2) for j in range(2))
        return variance

    def _outside(self, name: str, value: float) -> float:
        """How far in logs a value lies outside the range of the data, below it negative."""
        low, high = self.ranges.get(name, (value, value))
        return math.log(value / min(max(value, low), high))

    @property
    def meanings(self) -> Mapping[str, str]:
        """Constant → what it is, with its unit."""
        words = {"intercept": "ln, at N = D = 1, of", "N": "power of N in", "D": "power of D in"}
        return {f"{axis}_{term}": f"{words[term]} the {MEANINGS[axis]}" for axis in AXES for term in TERMS}

    def details(self) -> Iterable[str]:
        """The scatter of cells, the regret of those that are left out, and a line for every cell."""
        from jaxlaws.recommender.words import HEADS, rows

        measured = AXES if self.batch_measured else AXES[:1]
        words = {"lr": "LR", "batch": "batch"}
        yield f"scatter of cells: {', '.join(f'{words[k]} ×/÷ {math.exp(self.scatter[k]):.3g}' for k in measured)}"
        if (regret := self.held_out.get("mean_regret")) is not None:
            most = self.held_out["max_regret"]
            yield f"left-out regret: {regret:.3%} on average, {most:.3%} at most"
        if self.cells:
            yield from aligned(HEADS, rows(self.cells[:_CELLS]))
        if len(self.cells) > _CELLS:
            yield f"… and {len(self.cells) - _CELLS} more cells: --json or -o FILE has all of them"

    def figure(self, runs: Data | None) -> Figure:
        """The optimum of every cell with its interval, beside the law."""
        from jaxlaws.recommender.figures import optima

        return optima(self)

    @classmethod
    def checks(cls) -> dict[str, json_file.Check]:
        """Field of a file → its check."""
        c = json_file

        def by(names: Sequence[str], check: c.Check, all: bool = True) -> c.Check:
            return lambda value, name: c.keys(c.mapping(check)(value, name), name, names, all)

        def excess(value: Any, name: str) -> Excess:
            return Excess(**c.record(**dict.fromkeys(Excess.__annotations__, c.between(-1e6, 1e6)))(value, name))

        forms = ("N, D", "N", "D", "constant")
        terms = {name: c.between(-1e6, 1e6) for name in TERMS}
        rival = c.record(form=c.one_of(forms), weight=c.between(0, 1), **terms)
        return {
            **shared_checks(lambda: PARAMS),
            "law": c.one_of(("step_law",)),
            "params": by(PARAMS, c.between(-1e6, 1e6)),
            "forms": c.record(lr=c.one_of(forms), batch=c.one_of((*forms, FIXED))),
            "rivals": by(AXES, c.sequence(rival), all=False),
            "covariance": by(AXES, c.sequence(c.sequence(c.between(-1e12, 1e12), 3), 3)),
            "drift": by(AXES, c.sequence(c.sequence(c.between(-1e6, 1e6), 2), 2), all=False),
            "scatter": by(AXES, c.between(0, 1e6)),
            "dof": by(AXES, c.optional(c.between(1, 1e9))),
            "excess": c.optional(excess),
            "method": c.text,
            "ranges": c.mapping(c.positive_pair),
            "sigma": c.optional(c.between(0, 1e308)),
            "cells": c.sequence(_cell()),
            "reference": c.text,
        }


def _cell() -> json_file.Check:
    """The check of a cell, which answers near it mention."""
    c = json_file
    above_zero, count = c.between(0, 1e308, ends=False), c.between(0, 1e15)
    edge = c.record(edge=c.optional(c.one_of(("low", "high", "single"))), add=c.sequence(above_zero))
    return c.record(
        **dict.fromkeys(("params", "tokens", "peak_lr", "batch_tokens", "loss"), above_zero),
        **dict.fromkeys(("runs", "diverged"), count),
        **dict.fromkeys(("se_ln_lr", "se_ln_batch"), c.between(0, 1e308)),
        edges=c.record(peak_lr=edge, batch_tokens=edge),
    )
