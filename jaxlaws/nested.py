"""Mappings inside mappings, by dotted keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def dotted(values: Mapping[str, Any], head: str = "") -> Iterator[tuple[str, Any]]:
    """(`optimizer.lr`, value) of everything that is no mapping, `head` before each key."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from dotted(value, f"{head}{name}.")
        else:
            yield f"{head}{name}", value
