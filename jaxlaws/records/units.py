"""Numbers as people write them, and the units that every column of the records states in its name."""

from __future__ import annotations

import math
import re

from jaxlaws.errors import BadInput
from jaxlaws.text import brief

#: Suffix → its power of ten.
_SUFFIX = {"": 0, "k": 3, "m": 6, "b": 9, "g": 9, "t": 12, "p": 15}
_NUMBER = re.compile(
    r"\s*(?P<digits>[+-]?(?:\d+\.?\d*|\.\d+))(?:[eE](?P<power>[+-]?\d{1,9}))?\s*(?P<suffix>[kmbgtp]?)\s*",
    re.IGNORECASE | re.ASCII,
)
#: The largest whole number that is read: all of them up to it are exact as floats.
_MOST = 10**15


def parse_number(text: str | float, name: str = "number") -> float:
    """A number from `7e9`, `7B`, `1.4T`, `350k` or a plain number (k, M, B or G, T, P are powers of 1000).

    Raises:
      BadInput: the text is not such a number, or not finite.
    """
    if isinstance(text, int | float) and not isinstance(text, bool):
        value = float(text) if abs(text) < 1e300 else math.inf
    else:
        match = _NUMBER.fullmatch(str(text))
        if match is None:
            raise BadInput(f"{name} is '{brief(text)}', expected a number such as 7e9, 7B or 1.4T.")
        value = float(f"{match['digits']}e{int(match['power'] or 0) + _SUFFIX[match['suffix'].lower()]}")
    if not math.isfinite(value):
        raise BadInput(f"{name} is not a finite number, expected one such as 7e9, 7B or 1.4T.")
    return value


def parse_positive(text: str | float, name: str = "number") -> float:
    """`parse_number`, and more than zero."""
    value = parse_number(text, name)
    if value <= 0:
        raise BadInput(f"{name} is {brief(text)}, expected more than zero.")
    return value


def parse_whole(text: str | float, name: str = "number", least: int = 1) -> int:
    """`parse_number`, without a fraction, from `least` to 10¹⁵."""
    value = parse_number(text, name)
    if not value.is_integer():
        raise BadInput(f"{name} is {brief(text)}, expected a whole number such as {max(least, round(value))}.")
    if not least <= value <= _MOST:
        raise BadInput(f"{name} is {brief(text)}, expected a whole number from {least} to {_MOST:.0e}.")
    return int(value)


def short_bytes(value: float) -> str:
    """An amount of memory for people: 25.3GB, 516TB."""
    return f"{short(value).replace('B', 'G')}B"


def short(value: float) -> str:
    """A count for people: 1.4T, 7B, 350k, 12.3k, 42."""
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= 0.9995 * size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"
