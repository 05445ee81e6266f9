"""The algebra of laws: a base law with effective inputs, a penalty, a shift and a link is a law like any other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from jaxlaws.errors import BadInput
from jaxlaws.laws.law import Coordinates, Inputs, Law, Parameter, Params, Scale
from jaxlaws.laws.lazy import jnp


def variant(
    base: Law,
    *,
    name: str,
    formula: str,
    reference: str,
    inputs: tuple[str, ...],
    parameters: tuple[Parameter, ...] = (),
    effective: Callable[[Params, Inputs], Mapping[str, Any]] | None = None,
    penalty: Callable[[Params, Inputs], Any] | None = None,
    shift: Callable[[Params, Inputs], Any] | None = None,
    link: Callable[[Params, Any], Any] | None = None,
    unlink: Callable[[Params, Any], Any] | None = None,
    **changes: Any,
) -> Law:
    """The law  link(base(effective inputs) · exp(penalty) + shift).

    What is linear in the base stays linear, so that starts are projected as for the base.

    Args:
      base: a law without presets of its own to keep: published constants belong to one formula.
      name, formula, reference: of the new law.
      inputs: everything that it reads.
      parameters: constants beyond those of the base.
      effective: (params, inputs) → inputs of the base that are replaced, such as {"N": N·(k ln P + 1)}.
      penalty: (params, inputs) → ln of the factor of the loss.
      shift: (params, inputs) → what is added to the loss.
      link: (params, loss) → another metric.
      unlink: its inverse.
      **changes: of other fields of `Law`, such as `convention` or `presets`.
    """

    unread = [key for key in base.inputs if key not in inputs]
    if unread and effective is None:
        raise BadInput(f"the law {name} does not read {', '.join(unread)}, which {base.name} reads: add it to inputs.")

    def base_inputs(params: Params, values: Inputs) -> Inputs:
        return values if effective is None else {**values, **effective(params, values)}

    def factor(params: Params, values: Inputs) -> Any:
        return 1.0 if penalty is None else jnp.exp(penalty(params, values))

    def function(params: Params, values: Inputs) -> Any:
        assert base.function is not None
        value = base.function(params, base_inputs(params, values)) * factor(params, values)
        return value if shift is None else value + shift(params, values)

    def basis(params: Params, values: Inputs) -> tuple[Any, ...]:
        assert base.basis is not None
        times = factor(params, values)
        return tuple(times * term for term in base.basis(params, base_inputs(params, values)))

    def offset(params: Params, values: Inputs) -> Any:
        value: Any = 0.0
        if base.offset is not None:
            value = base.offset(params, base_inputs(params, values)) * factor(params, values)
        return value if shift is None else value + shift(params, values)

    assert base.link is None, f"{base.name} has a link, which comes last: make a variant of what it is made of"
    linear = base.basis is not None
    return replace(
        base,
        name=name,
        formula=formula,
        reference=reference,
        inputs=inputs,
        parameters=(*base.parameters, *parameters),
        function=None if linear else function,
        basis=basis if linear else None,
        offset=offset if linear and (base.offset is not None or shift is not None) else None,
        link=link,
        unlink=unlink,
        **{"presets": {}, **changes},
    )


def tied(
    base: Law,
    *,
    name: str,
    formula: str,
    reference: str,
    ties: Mapping[str, Callable[[Params], Any]],
    **changes: Any,
) -> Law:
    """The base law with fewer constants: some are functions of the others, which keep their coordinates and priors.

    Args:
      base: a law with a basis, whose coefficients stay free.
      name, formula, reference: of the new law.
      ties: constant without a unit → (the constants that are left) → its value.
      **changes: of other fields of `Law`, such as `convention` or `presets`.

    Raises:
      BadInput: a tie is of no constant that could be tied.
    """
    free = [key for key in base.unitless if key not in base.linear]
    if wrong := [key for key in ties if key not in free]:
        raise BadInput(f"the law {name} ties {wrong[0]}, expected one of {', '.join(free)} of {base.name}.")

    def whole(params: Params) -> dict[str, Any]:
        return {**params, **{key: tie(params) for key, tie in ties.items()}}

    def rest(params: Params) -> dict[str, Any]:
        return {key: value for key, value in params.items() if key not in ties}

    def basis(params: Params, inputs: Inputs) -> tuple[Any, ...]:
        assert base.basis is not None
        return base.basis(whole(params), inputs)

    def offset(params: Params, inputs: Inputs) -> Any:
        assert base.offset is not None
        return base.offset(whole(params), inputs)

    def dimensional(unitless: Params, scale: Scale) -> dict[str, Any]:
        return rest(base.dimensional(whole(unitless), scale))

    def nondimensional(params: Params, scale: Scale) -> dict[str, Any]:
        return rest(base.nondimensional(whole(params), scale))

    left = [parameter for parameter in base.parameters if parameter.name not in ties]
    of_ties = {p.name for p in left if any(str(power).removeprefix("-") in ties for power in p.units.values())}
    of_base = base.coordinates.of if base.coordinates else ()
    return replace(
        base,
        name=name,
        formula=formula,
        reference=reference,
        parameters=tuple(replace(p, units={}) if p.name in of_ties else p for p in left),
        basis=basis,
        offset=None if base.offset is None else offset,
        coordinates=Coordinates(dimensional, nondimensional, of=(*of_base, *of_ties)),
        **{"presets": {}, **changes},
    )
