"""Whether a law is what its author means it to be: what it declares holds together, and its formula computes."""

from __future__ import annotations

from collections.abc import Iterator

from jaxlaws.errors import BadInput, unknown
from jaxlaws.inputs import INPUTS
from jaxlaws.laws.law import Inputs, Law, Parameter, Scale
from jaxlaws.laws.lazy import jax, jnp
from jaxlaws.text import brief

#: Link of a constant → the range in which its bounds have to lie.
LINKS = {"log": (0.0, float("inf")), "real": (-float("inf"), float("inf")), "memory": (0.0, 1.0)}


def declared(law: Law) -> Law:
    """The law; `BadInput` where what it declares does not hold together. Loads no JAX."""
    for name in law.inputs:
        if name not in INPUTS:
            raise unknown(f"input of the law {law.name}", name, INPUTS, "give it a row in jaxlaws.inputs.INPUTS;")
    for fault in _faults(law):
        raise BadInput(f"the law {law.name} {fault}.")
    return law


def _faults(law: Law) -> Iterator[str]:
    """What is wrong with what a law declares."""
    if (law.basis is None) == (law.function is None):
        yield f"has {'both' if law.basis else 'neither'} a basis {'and' if law.basis else 'nor'} a function: give one"
    if len(set(law.names)) < len(law.names):
        yield f"has two constants of one name among {', '.join(law.names)}: give one another name"
    for name in law.linear:
        if name not in law.names:
            yield f"has the linear constant {name}, expected one of its parameters {', '.join(law.names)}"
    for parameter in law.parameters:
        yield from (f"has a constant {parameter.name} {fault}" for fault in _faults_of(parameter, law))
    for variant, preset in law.presets.items():
        if not law.parts and set(preset.values) != set(law.names):
            yield f"has a preset {variant} of {', '.join(preset.values)}, expected its constants {', '.join(law.names)}"


def _faults_of(parameter: Parameter, law: Law) -> Iterator[str]:
    """What is wrong with a constant."""
    if parameter.link not in LINKS:
        yield f"with the link '{parameter.link}', expected {', '.join(LINKS)}"
        return
    (low, high), (least, most) = parameter.bounds, LINKS[parameter.link]
    if not least <= low < high <= most or (least == low and parameter.link == "log"):
        yield (
            f"with bounds from {low:g} to {high:g}, expected them within {least:g} to {most:g} by its link "
            f"'{parameter.link}': link='real' is of constants of any sign"
        )
    first, last = parameter.start
    if not low <= first <= last <= high:
        yield f"with starts from {first:g} to {last:g}, outside its bounds {low:g} to {high:g}"
    rows = [row for key, row in INPUTS.items() if key in law.inputs or (law.kind == "curve" and row.of_schedule)]
    units = {row.unit for row in rows} - {""}
    for unit, power in parameter.units.items():
        if unit not in units:
            yield f"with the unit '{unit}', expected one of its inputs: {', '.join(sorted(units)) or 'none has one'}"
        if isinstance(power, str) and power.removeprefix("-") not in law.names:
            yield f"with the power '{power}' of a unit, expected a number or one of {', '.join(law.names)}"


def computed(law: Law, inputs: Inputs, scale: Scale, points: int) -> None:
    """`BadInput` where the formula cannot be computed at these inputs, or does not give a loss for each point."""
    try:
        predict = jax.eval_shape(
            lambda theta: law.predict(law.constrain(theta, scale), inputs), jnp.zeros(len(law.parameters))
        )
    except Exception as error:
        why = brief(str(error).splitlines()[0] if str(error) else "", 200).rstrip(".")
        raise BadInput(
            f"the law {law.name} cannot be computed ({type(error).__name__}: {why}): its functions read "
            f"{', '.join(law.inputs)} and its constants, with jax.numpy."
        ) from error
    if predict.shape != (points,):
        raise BadInput(
            f"the law {law.name} gives losses of shape {predict.shape} at {points} points: keep the axes of the inputs."
        )
