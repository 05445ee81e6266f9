"""What a law reads besides a schedule, from keywords that are named as the columns of a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from jaxlaws.errors import BadInput, unknown
from jaxlaws.inputs import FOLLOWS, INPUTS, Input, following
from jaxlaws.laws.law import Law
from jaxlaws.numeric import array


def keywords(law: Law, values: Mapping[str, Any], convention: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Symbol → number, or [names] of an input of several columns.

    Args:
      law: whose inputs are read.
      values: keyword → number; None stands for a keyword that is not given. What is not given
        follows from others where `jaxlaws.inputs.FOLLOWS` says how.
      convention: of the fit, which says the names of an input of several columns.

    Raises:
      BadInput: a keyword is unknown or missing, the law does not read it, or a value is not what it is defined for.
    """
    inputs = _inputs(law, values, convention)
    for key, value in inputs.items():
        if value.ndim > INPUTS[key].many:
            raise BadInput(f"{INPUTS[key].column} has {len(value)} values, expected one number here.")
    return inputs


def arrays(law: Law, values: Mapping[str, Any], convention: Mapping[str, str]) -> tuple[dict[str, np.ndarray], bool]:
    """Symbol → [points], or [points, names] of an input of several columns, and whether all values are numbers.

    Args: see `keywords`; each value is a number, for all points, or an array [points].

    Raises:
      BadInput: as of `keywords`, or arrays have several dimensions or different lengths.
    """
    inputs = _inputs(law, values, convention)
    tails = {key: value.shape[value.ndim - INPUTS[key].many :] for key, value in inputs.items()}
    lengths = {len(value) for key, value in inputs.items() if value.ndim > len(tails[key])}
    points = next(iter(lengths), 1)
    return {key: np.broadcast_to(value, (points, *tails[key])) for key, value in inputs.items()}, not lengths


def _inputs(law: Law, values: Mapping[str, Any], convention: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Symbol → number or array [points], each one that the law is defined for."""
    rows = {row.column: row for row in INPUTS.values() if row.column}
    for name in values:
        if name not in rows:
            hint = f"did you mean '{INPUTS[name].column}'?" if name in INPUTS and INPUTS[name].column else ""
            raise unknown("input", name, rows, hint)
    entries = {name: value for name, value in values.items() if value is not None and rows[name].of_run}
    reads = {INPUTS[key].column: key for key in law.inputs if INPUTS[key].of_run}
    sources = {name: FOLLOWS[name][1] for name in reads if name in FOLLOWS and name not in entries}
    sources = {name: parts for name, parts in sources.items() if set(parts) <= set(entries)}
    for name in reads:
        if name not in entries and name not in sources:
            parts = [part for part in FOLLOWS.get(name, (1.0, {}))[1] if part not in entries]
            # Where one part is missing, the message asks for the more basic of the two: the first in INPUTS.
            ask = min([name, *parts], key=list(rows).index) if len(parts) == 1 else name
            raise BadInput(f"the law {law.name} needs {ask}: give {rows[ask].flag} ({ask}= in Python).")
    for name in entries:
        if name not in reads and not any(name in parts for parts in sources.values()):
            remedy = f"it reads {', '.join(reads)}" if reads else "it reads a schedule only"
            raise BadInput(f"the law {law.name} does not read {name}: leave out {rows[name].flag}; {remedy}.")
    numbers = {name: _value(value, rows[name], convention) for name, value in entries.items()}
    _need_one_length({name: value.shape[: value.ndim - rows[name].many] for name, value in numbers.items()})
    numbers |= {name: np.asarray(following(name, numbers)) for name in sources}
    return {key: numbers[name] for name, key in reads.items()}


def _need_one_length(shapes: Mapping[str, tuple[int, ...]]) -> None:
    """`BadInput` where arrays have several dimensions or different lengths."""
    several = {name: shape for name, shape in shapes.items() if shape}
    if len(set(several.values())) > 1 or any(len(shape) > 1 for shape in several.values()):
        words = ", ".join(f"{name} {shape}" for name, shape in several.items())
        raise BadInput(f"the arrays have the shapes {words}, expected one dimension of the same length.")


def _value(value: Any, row: Input, convention: Mapping[str, str]) -> np.ndarray:
    """Numbers that an input may have; [..., names] of an input of several columns, 0 for what is not named."""
    if not row.many:
        return _numbers(value, row.column, row)
    names = convention.get(row.column, "").split(",")
    for name in value:
        if name not in names:
            raise unknown(row.column, name, names)
    part = replace(row, zero=True)
    columns = {name: _numbers(value.get(name, 0.0), f"{row.column}.{name}", part) for name in names}
    _need_one_length({name: column.shape for name, column in columns.items()})
    values = np.stack(np.broadcast_arrays(*columns.values()), -1)
    if (total := row.faulty_sum(values)) is not None:
        raise BadInput(f"{row.column} sums to {total:g}, expected 1 over {', '.join(names)}.")
    return values


def _numbers(value: Any, name: str, row: Input) -> np.ndarray:
    """A number or an array of them; `BadInput` where the law is not defined for one of them."""
    numbers = array(name, value, row.domain)
    good = np.asarray(row.allows(numbers))
    if not numbers.size:
        raise BadInput(f"{name} is empty, expected {row.domain}.")
    if not good.all():
        raise BadInput(f"{name} is {float(numbers[~good].flat[0])}, expected {row.domain}.")
    return numbers
