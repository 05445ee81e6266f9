"""Which constants of a law of N and D a set of runs cannot identify, seen from the design alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Smallest sd of ln D around its line in ln N at which the two terms are told apart: D then varies by a tenth.
MIN_SPREAD = 0.1


@dataclass(frozen=True)
class Unidentified:
    """Constants that the runs do not determine one by one, and why, with the remedy.

    Attributes:
      names: parameter names as in L = E + A/N^alpha + B/D^beta.
      reason: one sentence.
    """

    names: tuple[str, ...]
    reason: str


def unidentified(params: np.ndarray, tokens: np.ndarray) -> list[Unidentified]:
    """What of E + A/N^α + B/D^β a design leaves open.

    On a line D = k·N^p both terms are powers of N alone and only their sum is seen: α, β, A and B may be exchanged.
    With fewer than three values of N (or of D) the term in it cannot be told from E.

    Args:
      params: [runs] N.
      tokens: [runs] D.
    """
    log_n, log_d = np.log(np.asarray(params, float)), np.log(np.asarray(tokens, float))
    found = []
    for values, names, word, other in (
        (log_n, ("A", "alpha"), "model sizes", "N"),
        (log_d, ("B", "beta"), "token counts", "D"),
    ):
        distinct = _distinct(values)
        if distinct < 3:
            found.append(
                Unidentified(
                    ("E", *names), f"the runs have {distinct} {word}, at least 3 are needed: add runs of other {other}"
                )
            )
    if found:
        return found
    slope, offset = np.polyfit(log_n - log_n.mean(), log_d, 1)
    spread = float(np.std(log_d - offset - slope * (log_n - log_n.mean())))
    if spread < MIN_SPREAD:
        ratio = np.exp(np.mean(log_d - log_n))
        line = f"D = {ratio:.3g} N" if abs(slope - 1) < 0.05 else f"D proportional to N^{slope:.2f}"
        found.append(
            Unidentified(
                ("A", "B", "alpha", "beta"),
                f"all runs lie on {line} (to {spread:.1%}), where both terms are powers of N and only their sum is "
                "seen: add runs of the same N with other D",
            )
        )
    return found


def _distinct(values: np.ndarray) -> int:
    """How many values differ by more than 1%."""
    return 1 + int(np.sum(np.diff(np.sort(values)) > 0.01))
