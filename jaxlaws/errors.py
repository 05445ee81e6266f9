"""The errors that a user meets: each is one sentence, and each maps to one exit code of the command line."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class BadInput(ValueError):
    """Input that cannot be used: one sentence with what was got, what was expected and the remedy (exit code 2)."""


class Failed(RuntimeError):
    """The work could not be done or kept, and not for its input: no space, no permission, no memory (exit code 1)."""


class Untrusted(RuntimeError):
    """An answer that exists but cannot be trusted, by its status or as an extrapolation (exit 3 unless forced)."""


def unknown(kind: str, got: str, valid: Iterable[str]) -> BadInput:
    """`BadInput` for a name that is not in a table: names the nearest match, if any, and every valid name."""
    names = sorted(valid)
    near = get_close_matches(got, names, n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return BadInput(f"unknown {kind} '{got}': {hint}valid: {', '.join(names)}.")
