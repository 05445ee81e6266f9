"""Which constants of a law of N and D a set of runs cannot identify, seen from the design alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: sd of ln D around its line in ln N up to which the runs lie on that line, for any noise a loss has.
ON_A_LINE = 0.02


def unidentified(
    params: np.ndarray, tokens: np.ndarray, names: Sequence[str] = ("A", "B", "alpha", "beta")
) -> list[str]:
    """What the design leaves open in a law with one term in N and one in D, such as E + A/N^α + B/D^β, in words.

    On a line D = k·N^p both terms are powers of N alone and only their sum is seen: the constants of one may be
    exchanged for those of the other. With fewer than three values of N (or of D) its term cannot be told from E.

    Args:
      params: [runs] N.
      tokens: [runs] D.
      names: the constants of the two terms.
    """
    log_n, log_d = np.log(np.asarray(params, float)), np.log(np.asarray(tokens, float))
    these = f"{', '.join(names[:-1])} and {names[-1]}"
    found = [
        f"{these} cannot be identified one by one: the runs have {_distinct(values)} {word}, at least 3 are needed"
        for values, word in ((log_n, "model sizes"), (log_d, "token counts"))
        if _distinct(values) < 3
    ]
    if found:
        return found
    away = log_n - log_n.mean()
    slope = float(away @ log_d / (away @ away))
    spread = float(np.std(log_d - slope * away))
    if spread > ON_A_LINE:
        return []
    line = (
        f"D = {np.exp(np.mean(log_d - log_n)):.3g} N" if abs(slope - 1) < 0.05 else f"D proportional to N^{slope:.2f}"
    )
    return [
        f"{these} cannot be identified one by one: all runs lie on {line} (to {spread:.1%}), where only the sum of the "
        "terms in N and D is seen: add runs of the same N with other D"
    ]


def _distinct(values: np.ndarray) -> int:
    """How many values differ by more than 1%."""
    return 1 + int(np.sum(np.diff(np.sort(values)) > 0.01))
