"""A fitted law of LR and batch as a value: plain data in one JSON file, read without numpy, pandas or JAX."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from jaxlaws.recommender.miss import Miss, student
from jaxlaws.records import json_file
from jaxlaws.records.files import write_atomic
from jaxlaws.status import STATUSES
from jaxlaws.text import figure

KIND = "hyper_law"
AXES = ("lr", "batch")
TERMS = ("intercept", "N", "D")
PARAMS = tuple(f"{axis}_{name}" for axis in AXES for name in TERMS)
#: Form of a batch that is not measured.
FIXED = "fixed"
WRITTEN = "a law of LR and batch that `jaxlaws fit step_law … -o` wrote"
_REQUIRED = ("law", "convention", "params", "covariance", "scatter", "ranges")


@dataclass(frozen=True)
class HyperFit:
    """Power laws of the best peak LR and batch, and what the data say about them.

        ln η* = lr_intercept + lr_N ln N + lr_D ln D,   ln B* = batch_intercept + batch_N ln N + batch_D ln D

    with N non-embedding parameters, D tokens, η the peak LR, B tokens a step, natural logs.

    Attributes:
      law: `step_law`.
      convention: what the constants mean: params, batch, lr, schedule, final_lr, warmup_steps, seq_len, optimizer, …
      params: `PARAMS` by name, full precision; a form without N or D has a 0 there.
      forms: what each axis is a power law of: "N, D", "D", "N" or "constant", the heaviest form where the law is a mean
        of several; for the batch also `fixed`: not measured, the batch that the runs had.
      rivals: {"lr", "batch"} → constants of the forms that the law is the mean of, or of another law of the same runs,
        each with its form and weight: how far they are from the law at a question is part of the interval there.
      intervals: name → [low, high] at `level`.
      level: of all intervals.
      covariance: {"lr": 3×3, "batch": 3×3} of the coefficients, in the order intercept, N, D.
      scatter: {"lr": sd, "batch": sd} of a cell's optimum about the law, in logs.
      drift: {"lr", "batch"} → 2×2 covariance of what the exponents of N and D may change by outside `ranges`.
      dof: {"lr", "batch"} degrees of freedom of the scatter; None means large.
      penalty: a, b, c, k_lr, k_batch of `Miss`; None where the loss around the optimum is not known.
      method: `two_stage` or `one_stage`.
      status: of `jaxlaws.status`, the gravest of the findings.
      findings: what the checks found, as `Finding.to_json` gives it.
      resampling: how draws were made: `by cell`, `parametric`, `none`.
      draws: resampled coefficients, a list for each of `PARAMS`.
      ranges: params, tokens, tokens_per_param, peak_lr, batch_tokens → [low, high] of the data.
      sigma: sd of a run's ln loss about its cell's surface.
      cells: per cell its params, tokens, runs, diverged, fitted peak_lr and batch_tokens with standard errors in logs,
        loss at the optimum, and the grid's edges with the values to add.
      held_out: left-out regret of the chosen form and of the others.
      warnings: sentences for people.
      data: source, digest and counts.
      versions: of what computed it.
      reference: where published constants come from.
    """

    law: str
    convention: Mapping[str, Any]
    params: Mapping[str, float]
    covariance: Mapping[str, Sequence[Sequence[float]]]
    scatter: Mapping[str, float]
    ranges: Mapping[str, Sequence[float]]
    forms: Mapping[str, str] = field(default_factory=lambda: {"lr": "N, D", "batch": "N, D"})
    rivals: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    drift: Mapping[str, Sequence[Sequence[float]]] = field(default_factory=dict)
    intervals: Mapping[str, Sequence[float]] = field(default_factory=dict)
    level: float = 0.8
    dof: Mapping[str, float | None] = field(default_factory=lambda: {"lr": None, "batch": None})
    penalty: Mapping[str, float] | None = None
    method: str = "two_stage"
    status: str = "converged"
    findings: Sequence[Mapping[str, str]] = ()
    resampling: str = "none"
    draws: Mapping[str, Sequence[float]] = field(default_factory=dict)
    sigma: float | None = None
    cells: Sequence[Mapping[str, Any]] = ()
    held_out: Mapping[str, Any] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
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
    def miss(self) -> Miss | None:
        """The loss around the optimum."""
        return None if self.penalty is None else Miss(**self.penalty)

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
        for rival in self.rivals.get(axis, ()):
            terms = zip(TERMS, z, strict=True)
            gap = sum((rival[name] - self.params[f"{axis}_{name}"]) * value for name, value in terms)
            variance += rival["weight"] * gap**2
        if drift := self.drift.get(axis):
            x = [self._outside("params", params), self._outside("tokens", tokens)]
            variance += sum(x[i] * drift[i][j] * x[j] for i in range(2) for j in range(2))
        return math.sqrt(max(variance, 0.0) + self.scatter[axis] ** 2)

    def _outside(self, name: str, value: float) -> float:
        """How far in logs a value lies outside the range of the data, below it negative."""
        low, high = self.ranges.get(name, (value, value))
        return math.log(value / min(max(value, low), high))

    def to_json(self) -> dict[str, Any]:
        """Plain data, every number at full precision."""
        return {"kind": KIND, "formula": self.formula, **asdict(self)}

    def text(self) -> str:
        """The text of its JSON file."""
        return json.dumps(self.to_json(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def save(self, path: str | Path) -> None:
        """Write the JSON file in one step: a reader sees the old file or the whole new one."""
        write_atomic(path, self.text())

    @classmethod
    def load(cls, path: str | Path) -> HyperFit:
        """The law in a JSON file; `BadInput` where it is none, or where a field is not what it has to be."""
        return cls(**json_file.read(path, KIND, _checks(), _REQUIRED, WRITTEN))

    def table(self) -> Any:
        """The constants of the fit as a rich table."""
        from rich.table import Table

        table = Table()
        for name in ("", "value", f"{50 * (1 - self.level):.0f}%", f"{50 * (1 + self.level):.0f}%"):
            table.add_column(name, justify="right" if name else "left")
        for name in PARAMS:
            low, high = self.intervals.get(name, (0.0, 0.0))
            edges = (f"{low:.4g}", f"{high:.4g}") if name in self.intervals else ("–", "–")
            table.add_row(name, f"{self.params[name]:.4g}", *edges)
        for axis, meaning in (("lr", "LR"), ("batch", "batch")):
            sd = self.scatter[axis]
            if axis == "batch" and not self.batch_measured:
                continue
            table.add_row(f"{meaning} scatter", f"×/÷ {math.exp(sd):.3g}", "", "")
        regret = self.held_out.get("mean_regret")
        if regret is not None:
            table.add_row("left-out regret", f"{100 * regret:.3f}%", "max", f"{100 * self.held_out['max_regret']:.3f}%")
        return table


def _cell() -> json_file.Check:
    """The check of a cell, which answers near it speak of."""
    c = json_file
    above_zero, count = c.between(0, 1e308, ends=False), c.between(0, 1e15)
    edge = c.record(edge=c.optional(c.one_of(("low", "high", "single"))), add=c.sequence(above_zero))
    return c.record(
        **dict.fromkeys(("params", "tokens", "peak_lr", "batch_tokens", "loss"), above_zero),
        **dict.fromkeys(("runs", "diverged"), count),
        **dict.fromkeys(("se_ln_lr", "se_ln_batch"), c.between(0, 1e308)),
        edges=c.record(peak_lr=edge, batch_tokens=edge),
    )


def _checks() -> dict[str, json_file.Check]:
    """Field of a fit → its check."""
    c = json_file
    size = c.between(0, 1e308)

    def by(names: Sequence[str], check: c.Check, of_all: bool = True) -> c.Check:
        return lambda value, name: c.keys(c.mapping(check)(value, name), name, names, of_all)

    def draws(value: Any, name: str) -> Mapping[str, Any]:
        return c.same_length(by(PARAMS, c.sequence(c.number))(value, name), name) if value else {}

    def penalty(value: Any, name: str) -> Mapping[str, Any]:
        return by(Miss._fields, c.between(-1e6, 1e6))(value, name)

    forms = ("N, D", "N", "D", "constant")
    terms = {name: c.between(-1e6, 1e6) for name in TERMS}
    return {
        "law": c.one_of(("step_law",)),
        "convention": c.mapping(c.anything),
        "params": by(PARAMS, c.between(-1e6, 1e6)),
        "forms": c.record(lr=c.one_of(forms), batch=c.one_of((*forms, FIXED))),
        "rivals": by(AXES, c.sequence(c.record(form=c.one_of(forms), weight=c.between(0, 1), **terms)), of_all=False),
        "intervals": by(PARAMS, c.pair, of_all=False),
        "level": c.between(0, 1, ends=False),
        "covariance": by(AXES, c.sequence(c.sequence(c.between(-1e12, 1e12), 3), 3)),
        "drift": by(AXES, c.sequence(c.sequence(c.between(-1e6, 1e6), 2), 2), of_all=False),
        "scatter": by(AXES, c.between(0, 1e6)),
        "dof": by(AXES, c.optional(c.between(1, 1e9))),
        "penalty": c.optional(penalty),
        "method": c.text,
        "status": c.one_of(tuple(STATUSES)),
        "findings": c.sequence(c.record(status=c.one_of(tuple(STATUSES)), what=c.text, remedy=c.text)),
        "resampling": c.text,
        "draws": draws,
        "ranges": c.mapping(c.positive_pair),
        "sigma": c.optional(size),
        "cells": c.sequence(_cell()),
        "held_out": c.mapping(c.anything),
        "warnings": c.sequence(c.text),
        "data": c.mapping(c.anything),
        "versions": c.mapping(c.text),
        "reference": c.text,
    }
