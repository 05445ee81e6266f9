"""Numbers as people write them, and the units that every column of the records states in its name."""

from __future__ import annotations

import math
import re

from jaxlaws.errors import BadInput
from jaxlaws.text import brief, figure

#: Suffix → its power of ten; with an i behind, as in 512Ki, the powers of 1024 instead.
_SUFFIX = {"": 0, "k": 3, "m": 6, "b": 9, "g": 9, "t": 12, "p": 15}
_NUMBER = re.compile(
    r"\s*(?P<digits>[+-]?(?:\d{1,3}(?:,\d{3}){2,}|\d{1,3}(?:_\d{3})+|\d+\.?\d*|\.\d+))(?:[eE](?P<power>[+-]?\d{1,9}))?"
    r"\s*(?P<suffix>[kmbgtp]?)(?P<binary>(?<=[kmgtp])i)?(?:\s*(?P<unit>token|param|parameter|step|sequence)s?)?\s*",
    re.IGNORECASE | re.ASCII,
)
#: D in multiples of N, and in multiples of 20 tokens a parameter, the rule of thumb of Hoffmann et al. 2022.
_RATIO = re.compile(r"\s*(.+?)\s*[x×*]\s*([nc])\s*", re.IGNORECASE)
_CHINCHILLA = 20
#: The largest whole number that is read: all of them up to it are exact as floats.
_MOST = 10**15


def parse_number(text: str | float, name: str = "number") -> float:
    """A number from `7e9`, `7B`, `1.4T`, `7,000,000`, `512Ki`, `1.4T tokens` or a plain number.

    k, M, B or G, T, P are powers of 1000, Ki, Mi, Gi, Ti, Pi of 1024.

    Raises:
      BadInput: the text is not such a number, or not finite.
    """
    if isinstance(text, int | float) and not isinstance(text, bool):
        value = float(text) if abs(text) < 1e300 else math.inf
    else:
        match = _NUMBER.fullmatch(str(text))
        if match is None or (match["unit"] and _other_unit(name, match["unit"].lower())):
            raise BadInput(f"{name} is '{brief(text)}', expected a number such as 7e9, 7B or 1.4T.")
        digits, tens = match["digits"].replace(",", "").replace("_", ""), _SUFFIX[match["suffix"].lower()]
        value = float(f"{digits}e{int(match['power'] or 0) + (0 if match['binary'] else tens)}")
        value *= 1024.0 ** (tens // 3) if match["binary"] else 1.0
    if not math.isfinite(value):
        raise BadInput(f"{name} is not a finite number, expected one such as 7e9, 7B or 1.4T.")
    return value


def _other_unit(name: str, unit: str) -> bool:
    """Whether a number of this unit cannot be what the name says."""
    return any(word in name and not unit.startswith(word) for word in ("token", "param"))


def parse_tokens(text: str | float, params: float | None, name: str = "tokens") -> tuple[float, str]:
    """(D, what was understood): `parse_positive`, or `20xN`, tokens a parameter, or `1xC`, times 20 tokens a parameter.

    Args:
      text: as typed.
      params: N, which the multiples are of.
      name: of the number, for people.
    """
    match = _RATIO.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return parse_positive(text, name), ""
    if params is None:
        raise BadInput(f"{name} is '{brief(text)}', a multiple of N: give --params too, or a number such as 1.4T.")
    ratio = parse_positive(match[1], name) * (_CHINCHILLA if match[2].lower() == "c" else 1)
    return ratio * params, f"{name} {brief(text)} is {ratio:g} tokens a parameter, {short(ratio * params)}."


def parse_length(text: str | float, name: str = "seq-len") -> tuple[int, str]:
    """(tokens of a sequence, what was understood): `parse_whole`, where `4k`, a power of two, is 4,096."""
    match = re.fullmatch(r"\s*(\d{1,6})\s*[kK]\s*", text) if isinstance(text, str) else None
    if match is None or (count := int(match[1])) & (count - 1):
        return parse_whole(text, name), ""
    return 1024 * count, f"{name} {brief(text)} is taken as {1024 * count:,}; {1000 * count} means that number."


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
    """A count for people: 1.4T, 7B, 350k, 12.3k, 42; from 10¹⁵ on 2.34e18."""
    if abs(value) >= 0.9995e15:
        return figure(value, 3)
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= 0.9995 * size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"
