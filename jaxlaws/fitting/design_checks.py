"""Which constants of a law a set of runs cannot identify, seen from the design alone, before anything is fitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from jaxlaws.extrapolation import WORDS
from jaxlaws.inputs import INPUTS
from jaxlaws.laws.law import Law
from jaxlaws.status import Finding

#: sd of ln D around its line in ln N up to which the runs lie on that line, for any noise a loss has.
ON_A_LINE = 0.02
#: Relative difference of the LR sums at equal steps up to which two runs have one schedule.
ONE_SCHEDULE = 2e-3
#: Runs (of points, beyond the number of constants) below which nothing is left to test the law on.
SPARE = 3


def what_to_run(law: Law) -> str:
    """What to run where the data say too little."""
    if law.kind == "curve":
        return "add runs whose schedules differ more (other peak LRs, early and late decays, a drop that is held)"
    columns = [INPUTS[name].column for name in law.inputs]
    separately = ", varied separately" if len(columns) > 1 else ""
    return f"add runs over a wider range of {' and of '.join(WORDS.get(name, name) for name in columns)}{separately}"


def too_few(law: Law, runs: int, distinct: int) -> str:
    """Why so little cannot be fitted at all, as a clause; empty where it can be tried.

    Args:
      law: what is to be fitted.
      runs: that it is fitted to.
      distinct: losses after the warm-up of a curve law; distinct inputs of a point law.
    """
    need = len(law.names) + (law.kind == "curve")
    if runs == 1:
        return (
            f"a single run to fit, the law {law.name} needs at least two: what is particular to one run cannot be told "
            "from the law"
        )
    if distinct < need:
        what = "losses after the warm-up" if law.kind == "curve" else "distinct runs"
        return (
            f"{distinct} {what}, the law {law.name} has {len(law.names)} constants and needs at least {need}: add "
            "runs, or fit a law with fewer constants"
        )
    return ""


def of_design(law: Law, inputs: Mapping[str, np.ndarray], run: np.ndarray, at: np.ndarray) -> list[Finding]:
    """What the design leaves open in a law.

    Args:
      law: which.
      inputs: of the points: N, D, B of a point law; S, lr, peak, N of a curve law.
      run: [points] number of the run.
      at: [points] last step before the loss, for curves.
    """
    if law.kind == "point":
        terms = [name for name in law.names if name != "E"]
        if {"N", "D"} <= set(law.inputs) and (found := two_terms(inputs["N"], inputs["D"], terms)):
            return found
        return held(law, inputs)
    out = schedules(run, at, inputs["S"])
    if "drop" in law.inputs:
        out += decays(inputs["lr"], inputs["peak"])
    return out + (sizes(inputs["N"]) if "N" in law.inputs else [])


def spare(law: Law, runs: int) -> list[Finding]:
    """Whether anything is left to test the constants on."""
    if runs >= (SPARE if law.kind == "curve" else len(law.names) + SPARE):
        return []
    what = f"{runs} runs leave next to nothing to test the {len(law.names)} constants on"
    return [Finding("weak", what, what_to_run(law))]


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


def held(law: Law, inputs: Mapping[str, np.ndarray]) -> list[Finding]:
    """What is left open where a number that the law reads is the same in every run."""
    out = []
    for name in law.inputs:
        row = INPUTS[name]
        if not row.many and np.ptp(inputs[name]) <= 0.01 * np.max(inputs[name]):
            word = WORDS.get(row.column, row.column)
            what = f"the constants of {word} cannot be identified one by one, every run has one value of {row.column}"
            out.append(Finding("unidentified", what, f"add runs at other values of {row.column}"))
    return out


def schedules(run: np.ndarray, at: np.ndarray, total: np.ndarray) -> list[Finding]:
    """What is left open where all curves follow one schedule as far as they go.

    Args: see `of_design`; `total` is the LR sum at each point.
    """
    first = run == 0
    for i in range(1, int(run.max()) + 1):
        both = (run == i) & (at >= at[first].min()) & (at <= at[first].max())
        other = np.interp(at[both], at[first], total[first])
        if not both.any() or np.max(np.abs(total[both] / other - 1)) > ONE_SCHEDULE:
            return []
    what = "all runs have one schedule, which shows the law no difference between schedules"
    return [Finding("unidentified", what, "add runs with another decay or another peak LR")]


def decays(lr: np.ndarray, peak: np.ndarray) -> list[Finding]:
    """What is left open where the LR never falls below its peak before a loss."""
    if np.any(lr < 0.99 * peak):
        return []
    what = "what a falling learning rate gains is not in these data, no run decays before a loss"
    return [Finding("unidentified", what, "add runs that decay, or fit a law without decay (opl)")]


def distinct(logs: np.ndarray) -> int:
    """How many values differ by more than 1%, of their logs."""
    return 1 + int(np.sum(np.diff(np.sort(logs)) > 0.01))
