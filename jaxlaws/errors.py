"""The errors that a user meets: each is one sentence, and each maps to one exit code of the command line."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from jaxlaws.meanings import meaning, plain


class BadInput(ValueError):
    """Input that cannot be used: one sentence with what was got, what was expected and the remedy (exit code 2)."""


class Failed(RuntimeError):
    """The work could not be done or kept, and not for its input: no space, no permission, no memory (exit code 1)."""


class Untrusted(RuntimeError):
    """An answer that exists but cannot be trusted, by its status or as an extrapolation (exit 3 unless forced)."""


def unknown(kind: str, got: str, valid: Iterable[str], hint: str = "", where: str = "", more: str = "") -> BadInput:
    """`BadInput` for a name that is not in a table: what it may mean or the nearest spelling, and every valid name.

    Args:
      kind: what the name is of.
      got: the name.
      valid: the names that there are.
      hint: what to say in place of such a suggestion.
      where: the place in which it stands, such as ` in FILE`.
      more: what else is valid.
    """
    names = sorted(valid)
    spellings = {plain(name): name for name in names}
    near = spellings.get(plain(got)) or meaning(kind, got) or next(iter(get_close_matches(got, names, n=1)), None)
    if near and not hint:
        hint = f"{near};" if " " in near else f"did you mean '{near}'?"
    also = more and f", and {more}"
    return BadInput(f"unknown {kind} '{got}'{where}: {hint}{hint and ' '}valid: {', '.join(names) or 'none'}{also}.")
