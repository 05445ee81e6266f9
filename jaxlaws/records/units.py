"""Numbers as people write them, and the units that every column of the records states in its name."""

from __future__ import annotations

import math
import re

from jaxlaws.errors import BadInput

_SUFFIX = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12, "p": 1e15}
_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([kKmMbBgGtTpP]?)\s*")


def parse_number(text: str | float, name: str = "number") -> float:
    """A number from `7e9`, `7B`, `1.4T`, `350k` or a plain number (k, M, B or G, T, P are powers of 1000).

    Raises:
      BadInput: the text is not such a number, or not finite.
    """
    if isinstance(text, int | float):
        value = float(text)
    else:
        match = _NUMBER.fullmatch(text)
        if match is None:
            raise BadInput(f"{name} is '{text}', expected a number such as 7e9, 7B or 1.4T.")
        value = float(match[1]) * _SUFFIX[match[2].lower()]
    if not math.isfinite(value):
        raise BadInput(f"{name} is '{text}', expected a finite number.")
    return value


def parse_positive(text: str | float, name: str = "number") -> float:
    """`parse_number`, and more than zero."""
    value = parse_number(text, name)
    if value <= 0:
        raise BadInput(f"{name} is {text}, expected more than zero.")
    return value


def short(value: float) -> str:
    """A count for people: 1.4T, 7B, 350k, 12.3k, 42."""
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= 0.9995 * size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"
