"""Which constants of a law a set of runs cannot identify, seen from the design alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jaxlaws.fitting.points import Points
from jaxlaws.status import Finding

#: sd of ln D around its line in ln N up to which the runs lie on that line, for any noise a loss has.
ON_A_LINE = 0.02
#: Relative difference of the LR sums at equal steps up to which two runs have one schedule.
ONE_SCHEDULE = 2e-3


def two_terms(
    params: np.ndarray, tokens: np.ndarray, names: Sequence[str] = ("A", "B", "alpha", "beta")
) -> list[Finding]:
    """What the design leaves open in a law with one term in N and one in D, such as E + A/N^α + B/D^β.

    On a line D = k·N^p both terms are powers of N alone and only their sum is seen: the constants of one may be
    exchanged for those of the other. With fewer than three values of N (or of D) its term cannot be told from E.

    Args:
      params: [runs] N.
      tokens: [runs] D.
      names: the constants of the two terms.
    """
    log_n, log_d = np.log(np.asarray(params, float)), np.log(np.asarray(tokens, float))
    these = f"{', '.join(names[:-1])} and {names[-1]} cannot be identified one by one"
    few = [
        Finding(
            "unidentified",
            f"{these}, the runs have {distinct(values)} {word}",
            f"add runs until there are at least 3 {word}",
        )
        for values, word in ((log_n, "model sizes"), (log_d, "token counts"))
        if distinct(values) < 3
    ]
    if few:
        return few
    away = log_n - log_n.mean()
    slope = float(away @ log_d / (away @ away))
    spread = float(np.std(log_d - slope * away))
    if spread > ON_A_LINE:
        return []
    line = (
        f"D = {np.exp(np.mean(log_d - log_n)):.3g} N" if abs(slope - 1) < 0.05 else f"D proportional to N^{slope:.2f}"
    )
    what = f"{these}, all runs lie on {line} (to {spread:.1%}), where only the sum of the terms in N and D is seen"
    return [Finding("unidentified", what, "add runs of the same N with other D")]


def sizes(params: np.ndarray) -> list[Finding]:
    """What is left open in a law of curves and of N."""
    count = distinct(np.log(params))
    if count >= 3:
        return []
    what = f"the constants of N cannot be identified one by one, the curves have {count} model sizes"
    return [Finding("unidentified", what, "add curves of other models until there are at least 3 sizes")]


def batches(batch: np.ndarray) -> list[Finding]:
    """What is left open in a law of the batch size."""
    if distinct(np.log(batch)) > 1:
        return []
    what = "the constants of the batch size cannot be identified, every run has one batch size"
    return [Finding("unidentified", what, "add runs at other batch sizes")]


def schedules(points: Points) -> list[Finding]:
    """What is left open where all curves follow one schedule as far as they go."""
    at, total = points.at, points.inputs["S"]
    first = points.run == 0
    for i in range(1, len(points.names)):
        both = (points.run == i) & (at >= at[first].min()) & (at <= at[first].max())
        other = np.interp(at[both], at[first], total[first])
        if not both.any() or np.max(np.abs(total[both] / other - 1)) > ONE_SCHEDULE:
            return []
    what = "all runs have one schedule, which shows the law no difference between schedules"
    return [Finding("unidentified", what, "add runs with another decay or another peak LR")]


def decays(points: Points) -> list[Finding]:
    """What is left open where the LR never falls below its peak before a loss."""
    if np.any(points.inputs["lr"] < 0.99 * points.inputs["peak"]):
        return []
    what = "what a falling learning rate gains is not in these data, no run decays before a loss"
    return [Finding("unidentified", what, "add runs that decay, or fit a law without decay (opl)")]


def distinct(logs: np.ndarray) -> int:
    """How many values differ by more than 1%, of their logs."""
    return 1 + int(np.sum(np.diff(np.sort(logs)) > 0.01))
