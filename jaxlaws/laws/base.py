"""What a loss law is: named parameters, a prediction from natural constants, and the coordinates it is fitted in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from jaxlaws.text import with_numbers

Params = Mapping[str, Any]
Inputs = Mapping[str, Any]
Scale = Mapping[str, Any]


@dataclass(frozen=True)
class Parameter:
    """One constant of a law.

    Attributes:
      name: as in the formula.
      meaning: what it is, with its unit.
      start: range of its random starts, in centred coordinates.
      bounds: range that a fit may not leave, in centred coordinates.
      link: `log` (positive), `real`, or `memory` (a forgetting factor λ, fitted as ln 1/(1 − λ)).
    """

    name: str
    meaning: str
    start: tuple[float, float] = (0.1, 1.0)
    bounds: tuple[float, float] = (1e-8, 1e8)
    link: str = "log"

    def to_line(self, value: Any) -> Any:
        """The coordinate on the real line."""
        if self.link == "real":
            return jnp.asarray(value)
        return jnp.log(value) if self.link == "log" else -jnp.log1p(-jnp.asarray(value))

    def from_line(self, coordinate: Any) -> Any:
        """The centred value of a coordinate."""
        if self.link == "real":
            return coordinate
        return jnp.exp(coordinate) if self.link == "log" else -jnp.expm1(-coordinate)


@dataclass(frozen=True)
class Preset:
    """Published constants: `values` by parameter name, the `reference`, their `range` and their `convention`.

    `ranges` is the range as data, axis of `jaxlaws.extrapolation` → [low, high]; `held_out` has errors that are known
    of them, by the names that a fit has.
    """

    values: Params
    reference: str
    range: str
    convention: Mapping[str, str] = field(default_factory=dict)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    held_out: Mapping[str, Any] = field(default_factory=dict)


def _same(params: Params, scale: Scale) -> dict[str, Any]:
    return dict(params)


@dataclass(frozen=True, eq=False)
class Law:
    """A loss law as data and pure functions of its natural constants.

    Every function takes arrays of any leading shape, so that one point, one curve or a table are the same call.
    A law is fitted in centred coordinates, where inputs are divided by their typical value: `natural` maps centred
    constants to the constants of the formula and `centred` is its inverse.

    Attributes:
      name: key in the table of laws.
      formula: for people, with its constants by the names of `parameters` and `^` for powers.
      reference: where it comes from.
      kind: `point` (a final loss of N, D, …) or `curve` (the loss along a schedule).
      inputs: the inputs that it reads (point: of `jaxlaws.fitting.points.COLUMNS`).
      parameters: its constants, in order.
      predict: (params, inputs) → loss in nats a token.
      columns: (params, inputs) → the terms whose coefficients `linear` enter linearly, or None.
      linear: names of those coefficients, in the order of the columns.
      natural: (centred params, scale) → params.
      centred: (params, scale) → centred params.
      convention: what its constants assume (warm-up, N, units).
      presets: published constants by variant.
      prior: name → (centre, sd) of ln of a weakly identified constant, used by noise models that shrink.
      noise: name of the noise model that it is fitted with where none is asked for.
    """

    name: str
    formula: str
    reference: str
    kind: str
    inputs: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    predict: Callable[[Params, Inputs], jax.Array]
    columns: Callable[[Params, Inputs], tuple[jax.Array, ...]] | None = None
    linear: tuple[str, ...] = ()
    natural: Callable[[Params, Scale], dict[str, Any]] = _same
    centred: Callable[[Params, Scale], dict[str, Any]] = _same
    convention: Mapping[str, str] = field(default_factory=dict)
    presets: Mapping[str, Preset] = field(default_factory=dict)
    prior: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    noise: str = "huber"

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the constants, in order."""
        return tuple(parameter.name for parameter in self.parameters)

    def written(self, params: Mapping[str, float]) -> str:
        """The formula with numbers in place of its constants."""
        return with_numbers(self.formula, params)

    def from_line(self, theta: Any, scale: Scale) -> dict[str, Any]:
        """Natural constants of coordinates `theta` [parameters]."""
        values = {p.name: p.from_line(theta[i]) for i, p in enumerate(self.parameters)}
        return self.natural(values, scale)

    def to_line(self, params: Params, scale: Scale) -> jax.Array:
        """Coordinates [parameters] of natural constants."""
        values = self.centred(params, scale)
        return jnp.stack([jnp.asarray(p.to_line(values[p.name]), float) for p in self.parameters])


def linear_law(columns: Callable[[Params, Inputs], tuple[jax.Array, ...]], linear: tuple[str, ...]) -> Callable:
    """The prediction Σ coefficient · column of a law that is linear in the constants `linear`."""

    def predict(params: Params, inputs: Inputs) -> jax.Array:
        return sum(params[name] * column for name, column in zip(linear, columns(params, inputs), strict=True))

    return predict
