"""Numbers from a caller of Python: one sentence in place of a `TypeError` where a value is none."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np

from jaxlaws.errors import BadInput
from jaxlaws.text import brief


def array(name: str, value: Any, expected: str = "numbers") -> np.ndarray:
    """A number or an array of them in float64.

    Args:
      name: of the argument, for people.
      value: as the caller gives it.
      expected: what it should be, for people.

    Raises:
      BadInput: it holds words, None or anything else that is no real number.
    """
    try:
        values = np.asarray(value)
        if values.dtype.kind not in "bSUmMcO" or all(map(_is_real, values.flat)):
            return values.astype(np.float64)
    except (TypeError, ValueError):
        pass
    raise BadInput(f"{name} is {brief(repr(value))}, expected {expected}.")


def number(name: str, value: Any) -> float:
    """One number, else `BadInput`; of what size is for the caller to check."""
    values = array(name, value, "a number")
    if values.ndim:
        raise BadInput(f"{name} is {brief(repr(value))}, expected one number.")
    return float(values)


def whole(name: str, value: Any) -> int:
    """One whole number, else `BadInput`."""
    single = number(name, value)
    if not single.is_integer():
        raise BadInput(f"{name} is {brief(repr(value))}, expected a whole number.")
    return int(single)


def optional(**values: Any) -> list[float | None]:
    """Each value as one number, None where it is None."""
    return [None if value is None else number(name, value) for name, value in values.items()]


def _is_real(item: Any) -> bool:
    return isinstance(item, Real) and not isinstance(item, bool)
