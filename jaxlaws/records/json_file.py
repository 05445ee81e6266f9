"""JSON files, which somebody may have edited, read and checked field by field.

A check takes a value and the name of its place, and returns the value to keep or raises `Wrong`. Checks of parts make
checks of wholes: `mapping(pair)` is an object of [low, high] pairs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxlaws.errors import BadInput
from jaxlaws.text import printable

Check = Callable[[Any, str], Any]
#: Largest size of a file in bytes; a fit has less than a hundredth of it.
LARGEST = 256 * 2**20
_MOST_CHARACTERS = 40


class Wrong(ValueError):
    """A value is not what its field needs: which field, what was got, what was expected."""

    def __init__(self, name: str, value: Any, expected: str) -> None:
        super().__init__(f"{printable(name)} is {_words(value)}, expected {expected}")


def read(
    path: str | Path, kind: str, checks: Mapping[str, Check], required: Sequence[str], expected: str
) -> dict[str, Any]:
    """The known fields of the JSON object in a file, each checked.

    Args:
      path: of the file.
      kind: what its field `kind` holds.
      checks: field → its check; fields of the file that are not in it are left out.
      required: fields without which the file is none.
      expected: what the file is to be and what writes it, for people, such as "a fit that `jaxlaws fit -o` wrote".

    Raises:
      BadInput: the file cannot be read, is no JSON or another kind of file, or a field is not what it has to be.
    """
    path = Path(path)
    raw = _content(path, expected)
    if not isinstance(raw, dict) or raw.get("kind") != kind:
        got = f"kind {_words(raw['kind'])}" if isinstance(raw, dict) and "kind" in raw else _words(raw)
        raise BadInput(f"{printable(path)} is not a fit of this kind: it holds {got}, expected {expected}.")
    if missing := [name for name in required if name not in raw]:
        raise BadInput(f"{printable(path)} has no field {', '.join(missing)}, expected {expected}.")
    try:
        return {name: check(raw[name], name) for name, check in checks.items() if name in raw}
    except Wrong as error:
        raise BadInput(f"{printable(path)}: {error}: write the file again ({expected}).") from None


def kind_of(path: str | Path, expected: str) -> str | None:
    """The field `kind` of the JSON object in a file, None where it has none; `BadInput` where it cannot be read."""
    raw = _content(Path(path), expected)
    kind = raw.get("kind") if isinstance(raw, dict) else None
    return kind if isinstance(kind, str) else None


def _content(path: Path, expected: str) -> Any:
    try:
        if not path.is_file():
            raise BadInput(f"{printable(path)} is not a file, expected {expected}.")
        if path.stat().st_size > LARGEST:
            raise BadInput(f"{printable(path)} is larger than {LARGEST // 2**20} MiB, expected {expected}.")
        return json.loads(path.read_text(encoding="utf-8"))
    except BadInput:
        raise
    except RecursionError:
        reason = "it is nested too deep"
    except (ValueError, OSError) as error:
        reason = printable(getattr(error, "strerror", None) or error).partition(":")[0]
    raise BadInput(f"{printable(path)} cannot be read as JSON ({reason}), expected {expected}.")


def _words(value: Any) -> str:
    """A value in a few words, however large or deep it is."""
    if isinstance(value, Mapping | list):
        return f"{'an object' if isinstance(value, Mapping) else 'a list'} of {len(value)}"
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 100:
        return f"an integer of about {int(value.bit_length() * math.log10(2)) + 1} digits"
    text = printable(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…"


def text(value: Any, name: str) -> str:
    """A string."""
    if not isinstance(value, str):
        raise Wrong(name, value, "text")
    return value


def anything(value: Any, name: str) -> Any:
    """Any JSON, its numbers finite or null: what is shown and never computed with."""
    if isinstance(value, Mapping):
        return {key: anything(item, f"{name}.{key}") for key, item in value.items()}
    if isinstance(value, list):
        return [anything(item, f"{name}[{i}]") for i, item in enumerate(value)]
    return value if value is None or isinstance(value, str | bool) else number(value, name)


def number(value: Any, name: str) -> float | int:
    """A finite number, integers as they are."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Wrong(name, value, "a finite number")
    # An integer that no float holds is as infinite as 1e999.
    if abs(value) >= 1e308 or value != value:
        raise Wrong(name, value, "a finite number")
    return value


def optional(check: Check) -> Check:
    """Null, or what `check` wants."""
    return lambda value, name: None if value is None else check(value, name)


def between(low: float, high: float, ends: bool = True) -> Check:
    """A number in [low, high], or strictly between them."""

    def checked(value: Any, name: str) -> float | int:
        value = number(value, name)
        if not (low <= value <= high if ends else low < value < high):
            raise Wrong(
                name, value, f"a number {'from' if ends else 'between'} {low:g} {'to' if ends else 'and'} {high:g}"
            )
        return value

    return checked


def one_of(valid: Sequence[str]) -> Check:
    """One of some words."""

    def checked(value: Any, name: str) -> str:
        if value not in valid:
            raise Wrong(name, value, f"one of {', '.join(valid)}")
        return value

    return checked


def sequence(check: Check, length: int | None = None) -> Check:
    """A list whose items pass `check`, of `length` where it is given."""

    def checked(value: Any, name: str) -> list[Any]:
        if not isinstance(value, list) or (length is not None and len(value) != length):
            raise Wrong(name, value, "a list" if length is None else f"a list of {length}")
        return [check(item, f"{name}[{i}]") for i, item in enumerate(value)]

    return checked


def mapping(check: Check) -> Check:
    """An object whose values pass `check`."""

    def checked(value: Any, name: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise Wrong(name, value, "an object")
        return {key: check(item, f"{name}.{key}") for key, item in value.items()}

    return checked


def record(**checks: Check) -> Check:
    """An object with exactly these fields."""

    def checked(value: Any, name: str) -> dict[str, Any]:
        if not isinstance(value, dict) or set(value) != set(checks):
            raise Wrong(name, value, f"an object with {', '.join(checks)}")
        return {key: check(value[key], f"{name}.{key}") for key, check in checks.items()}

    return checked


def pair(value: Any, name: str) -> list[float]:
    """[low, high] with low ≤ high."""
    low, high = sequence(number, 2)(value, name)
    if low > high:
        raise Wrong(name, f"{low:g} to {high:g}", "the lower number first")
    return [low, high]


def positive_pair(value: Any, name: str) -> list[float]:
    """[low, high] with 0 < low ≤ high."""
    low, high = pair(value, name)
    if low <= 0:
        raise Wrong(name, f"{low:g} to {high:g}", "numbers above zero")
    return [low, high]


def same_length(value: Mapping[str, Sequence[Any]], name: str) -> Mapping[str, Sequence[Any]]:
    """Lists by name that all have the length of the first."""
    for key, items in value.items():
        if len(items) != (length := len(next(iter(value.values())))):
            raise Wrong(f"{name}.{key}", f"a list of {len(items)}", f"{length} values, as the others have")
    return value


def keys(value: Mapping[str, Any], name: str, expected: Sequence[str], of_all: bool = True) -> Mapping[str, Any]:
    """An object whose keys are `expected`, or some of them."""
    missing = [key for key in expected if key not in value] if of_all else []
    surplus = [key for key in value if key not in expected]
    if missing or surplus:
        raise Wrong(
            name, f"without {', '.join(missing)}" if missing else f"with {', '.join(surplus)}", ", ".join(expected)
        )
    return value
