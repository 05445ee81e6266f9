"""Short, distinct names of schedules, for a table with several of one family."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from jaxlaws.errors import BadInput
from jaxlaws.schedules.spec import parse


def names_apart(specs: Iterable[str]) -> dict[str, str]:
    """Spec → its family, with the fields in which the specs of that family differ: `wsd(cooldown=0.2)`, `cosine`."""
    by_spec = {spec: _fields(spec) for spec in dict.fromkeys(specs)}
    return {
        spec: _name(fields, [other for other in by_spec.values() if _family(other) == _family(fields)])
        for spec, fields in by_spec.items()
    }


def _fields(spec: str) -> dict[str, Any]:
    try:
        return parse(spec)
    except BadInput:
        return {"name": spec}


def _family(fields: dict[str, Any]) -> str:
    return str(fields["name"])


def _name(fields: dict[str, Any], family: list[dict[str, Any]]) -> str:
    differ = [key for key in fields if any(other.get(key) != fields[key] for other in family)]
    settings = ", ".join(f"{key}={fields[key]}" for key in differ)
    return _family(fields) + (f"({settings})" if settings else "")
