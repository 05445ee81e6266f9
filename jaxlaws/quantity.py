"""A value with its interval, as every answer gives it. No numpy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Quantity:
    """A value with its interval; low and high are None where the law states no uncertainty."""

    value: float
    low: float | None = None
    high: float | None = None
