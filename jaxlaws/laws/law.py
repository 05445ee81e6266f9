"""The type of a loss law: named parameters with units, a prediction, and the unitless coordinates of its fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from jaxlaws.inputs import INPUTS, reads_schedule
from jaxlaws.laws.lazy import jnp
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
      start: range of its random starts, unitless.
      bounds: range that a fit may not leave, unitless.
      link: `log` (positive), `real`, or `memory` (a forgetting factor λ, fitted as ln 1/(1 − λ)).
      units: unit of an input (`jaxlaws.inputs.Input.unit`) → its power in the unit of the constant, a number or the
        name of another constant, `-name` for its negative: A of A/N^α has `{"N": "alpha"}`.
      prior: (centre, sd) of the coordinate of a weakly identified constant, for noise models that shrink.
    """

    name: str
    meaning: str
    start: tuple[float, float] = (0.1, 1.0)
    bounds: tuple[float, float] = (1e-8, 1e8)
    link: str = "log"
    units: Mapping[str, float | str] = field(default_factory=dict)
    prior: tuple[float, float] | None = None

    def unconstrain(self, value: Any) -> Any:
        """The coordinate on the real line of a unitless value."""
        if self.link == "real":
            return jnp.asarray(value)
        return jnp.log(value) if self.link == "log" else -jnp.log1p(-jnp.asarray(value))

    def constrain(self, coordinate: Any) -> Any:
        """The unitless value of a coordinate."""
        if self.link == "real":
            return coordinate
        return jnp.exp(coordinate) if self.link == "log" else -jnp.expm1(-coordinate)

    def unit(self, params: Params, scale: Scale) -> Any:
        """The constant's unit as a number: the product of the scales to the powers of `units`."""
        size: Any = 1.0
        for name, power in self.units.items():
            if isinstance(power, str):
                power = -params[power[1:]] if power.startswith("-") else params[power]
            size = size * scale[name] ** power
        return size


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


@dataclass(frozen=True)
class Coordinates:
    """Other unitless constants than those that `Parameter.units` gives.

    Attributes:
      dimensional: (unitless params, scale) → params.
      nondimensional: (params, scale) → unitless params, its inverse.
      of: names of the constants that they change.
    """

    dimensional: Callable[[Params, Scale], dict[str, Any]]
    nondimensional: Callable[[Params, Scale], dict[str, Any]]
    of: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Law:
    """A loss law as data and pure functions of its constants and inputs.

        loss = link(Σ_i linear_i · basis_i + offset),  or link(function)

    Every function takes arrays of any leading shape, so that one point, one curve or a table are the same call, and is
    traceable by JAX in its constants and its inputs. A law is fitted in unitless coordinates, where inputs are divided
    by their typical value.

    Attributes:
      name: key in the table of laws.
      formula: for people, with its constants by the names of `parameters` and `^` for powers.
      reference: where it comes from.
      inputs: what it reads, of `jaxlaws.inputs.INPUTS`; a law that reads a schedule is a law of curves.
      parameters: its constants, in order.
      function: (params, inputs) → loss, of a law without a basis.
      basis: (params, inputs) → the terms whose coefficients `linear` enter linearly.
      linear: names of those coefficients, in the order of the terms.
      offset: (params, inputs) → what is added to the terms.
      link: (params, what the formula gives) → the metric that is predicted, and `unlink` its inverse.
      unlink: of a law with a basis, by which its linear constants are projected out.
      running: whether it has no sums over events but those of `jaxlaws.laws.relaxation`, which one pass takes along a
        whole schedule, and reads nothing that is logged.
      coordinates: where the units of the parameters do not give them.
      convention: what its constants assume (warm-up, N, units); `loss` is the metric.
      presets: published constants by variant.
      noise: name of its default noise model.
      signed: whether the metric may be 0 or negative, so that errors are differences in place of ratios.
      of_parts: names of the columns of its input of several → the law with the constants of each of them; the law
        itself then is a template without such constants.
      parts: those names, of a law that is not the template.
    """

    name: str
    formula: str
    reference: str
    inputs: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    function: Callable[[Params, Inputs], Any] | None = None
    basis: Callable[[Params, Inputs], tuple[Any, ...]] | None = None
    linear: tuple[str, ...] = ()
    offset: Callable[[Params, Inputs], Any] | None = None
    link: Callable[[Params, Any], Any] | None = None
    unlink: Callable[[Params, Any], Any] | None = None
    running: bool = False
    coordinates: Coordinates | None = None
    convention: Mapping[str, str] = field(default_factory=dict)
    presets: Mapping[str, Preset] = field(default_factory=dict)
    noise: str = "huber"
    signed: bool = False
    of_parts: Callable[[tuple[str, ...]], Law] | None = None
    parts: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """`curve`: the loss along a schedule; `point`: the loss of a run."""
        return "curve" if reads_schedule(self.inputs) else "point"

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the constants, in order."""
        return tuple(parameter.name for parameter in self.parameters)

    @property
    def several(self) -> tuple[str, ...]:
        """The columns of its inputs of several columns, such as `share` of `share.web` and `share.code`."""
        return tuple(INPUTS[key].column for key in self.inputs if INPUTS[key].many)

    @property
    def unitless(self) -> tuple[str, ...]:
        """The constants that are the same in any unit of the inputs."""
        other = self.coordinates.of if self.coordinates else ()
        return tuple(p.name for p in self.parameters if not p.units and p.name not in other)

    def predict(self, params: Params, inputs: Inputs) -> Any:
        """The loss at these inputs."""
        if self.basis is None:
            assert self.function is not None
            value = self.function(params, inputs)
        else:
            terms = zip(self.linear, self.basis(params, inputs), strict=True)
            value = sum(params[name] * term for name, term in terms)
            if self.offset is not None:
                value = value + self.offset(params, inputs)
        return value if self.link is None else self.link(params, value)

    def written(self, params: Mapping[str, float]) -> str:
        """The formula with numbers in place of its constants."""
        return with_numbers(self.formula, params)

    def dimensional(self, unitless: Params, scale: Scale) -> dict[str, Any]:
        """Constants from unitless ones."""
        if self.coordinates is not None:
            return self.coordinates.dimensional(unitless, scale)
        return with_units(self.parameters, unitless, scale)

    def nondimensional(self, params: Params, scale: Scale) -> dict[str, Any]:
        """Unitless constants."""
        if self.coordinates is not None:
            return self.coordinates.nondimensional(params, scale)
        return without_units(self.parameters, params, scale)

    def constrain(self, theta: Any, scale: Scale) -> dict[str, Any]:
        """Constants of coordinates `theta` [parameters]."""
        values = {p.name: p.constrain(theta[i]) for i, p in enumerate(self.parameters)}
        return self.dimensional(values, scale)

    def unconstrain(self, params: Params, scale: Scale) -> Any:
        """Coordinates [parameters] of constants."""
        values = self.nondimensional(params, scale)
        return jnp.stack([jnp.asarray(p.unconstrain(values[p.name]), float) for p in self.parameters])


def with_units(parameters: tuple[Parameter, ...], unitless: Params, scale: Scale) -> dict[str, Any]:
    """Each unitless constant times its unit. The exponents in units have none themselves."""
    return {p.name: unitless[p.name] * p.unit(unitless, scale) for p in parameters}


def without_units(parameters: tuple[Parameter, ...], params: Params, scale: Scale) -> dict[str, Any]:
    """Each constant over its unit."""
    return {p.name: params[p.name] / p.unit(params, scale) for p in parameters}
