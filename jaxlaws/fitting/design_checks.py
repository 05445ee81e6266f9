"""Constants of a law that a set of runs cannot identify, by the design alone, before anything is fitted."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

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
#: Fewest values of an input that tell its term from a constant: of one that the loss falls with, and of any other.
FEW, FEW_OF_OTHERS = 3, 2


def what_to_run(law: Law) -> str:
    """What to run where the data say too little."""
    if law.kind == "curve":
        return "add runs whose schedules differ more (other peak LRs, early and late decays, a drop that is held)"
    columns = [INPUTS[name].column for name in law.inputs]
    separately = ", varied separately" if len(columns) > 1 else ""
    return f"add runs over a wider range of {' and of '.join(WORDS.get(name, name) for name in columns)}{separately}"


def too_few(law: Law, runs: int, distinct: int, prior: bool = False) -> str:
    """A clause that says why there is too little data for any fit; empty where there is enough to try.

    Args:
      law: what is to be fitted.
      runs: that it is fitted to.
      distinct: losses after the warm-up of a curve law; distinct inputs of a point law.
      prior: whether constants are drawn to a prior, which says of one curve what the curve does not.
    """
    need = len(law.names) + (law.kind == "curve")
    if runs == 1 and not (prior and law.kind == "curve"):
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


def of_design(
    law: Law, inputs: Mapping[str, np.ndarray], run: np.ndarray, at: np.ndarray, prior: bool = False
) -> list[Finding]:
    """Findings on what the design leaves open in a law.

    Args:
      law: which.
      inputs: of the points: N, D, B of a point law; S, lr, peak, N of a curve law.
      run: [points] number of the run.
      at: [points] last step before the loss, for curves.
      prior: whether constants are drawn to a prior.
    """
    if law.kind == "point":
        return few_values(law, inputs) or lines(law, inputs)
    out = schedules(run, at, inputs["S"], prior)
    if "drop" in law.inputs:
        out += decays(inputs["lr"], inputs["peak"])
    return out + (sizes(inputs["N"]) if "N" in law.inputs else [])


def spare(law: Law, runs: int) -> list[Finding]:
    """Whether anything is left to test the constants on."""
    if runs >= (SPARE if law.kind == "curve" else len(law.names) + SPARE):
        return []
    what = f"{runs} runs leave next to nothing to test the {len(law.names)} constants on"
    return [Finding("weak", what, what_to_run(law))]


def few_values(law: Law, inputs: Mapping[str, np.ndarray]) -> list[Finding]:
    """What is left open where the runs have too few values of an input.

    One is too few for any, and two for what the loss falls with: its term cannot be told from a constant.
    """
    out = []
    for name in law.inputs:
        row = INPUTS[name]
        need = FEW if row.falls else FEW_OF_OTHERS
        count = 0 if row.many else distinct(logs_of(inputs[name]))
        if 0 < count < need:
            have = f"the runs have {count} {row.values}" if count > 1 else f"every run has one value of {row.column}"
            more = f"add runs until there are at least {need} {row.values}"
            out.append(Finding("unidentified", f"{_clause(law, name)}, {have}", more))
    return out


def lines(law: Law, inputs: Mapping[str, np.ndarray]) -> list[Finding]:
    """What is left open where two inputs that the loss falls with lie on a line."""
    logs = {name: logs_of(inputs[name]) for name in law.inputs if INPUTS[name].falls}
    return [
        finding
        for first, second in combinations(logs, 2)
        for finding in on_a_line(logs[first], logs[second], _clause(law, first, second), (first, second))
    ]


def on_a_line(
    log_x: np.ndarray, log_y: np.ndarray, clause: str = "their terms are one", names: tuple[str, ...] = ("N", "D")
) -> list[Finding]:
    """What the design leaves open in a law with one term in x and one in y, such as E + A/N^α + B/D^β.

    On a line y = k·x^p both terms are powers of x alone and only their sum is seen: the constants of one may be
    exchanged for those of the other.

    Args:
      log_x, log_y: [runs] ln x and ln y.
      clause: what cannot be identified.
      names: of x and y.
    """
    first, second = names
    away = log_x - log_x.mean()
    slope = float(away @ log_y / (away @ away))
    spread = float(np.std(log_y - slope * away))
    if spread > ON_A_LINE:
        return []
    ratio = f"{second} = {np.exp(np.mean(log_y - log_x)):.3g} {first}"
    line = ratio if abs(slope - 1) < 0.05 else f"{second} proportional to {first}^{slope:.2f}"
    where = f"all runs lie on {line} (to {spread:.1%})"
    what = f"{clause}, {where}, where only the sum of the terms in {first} and {second} is seen"
    return [Finding("unidentified", what, f"add runs of the same {first} with other {second}")]


def _clause(law: Law, *inputs: str) -> str:
    """A clause: the constants whose units contain these inputs cannot be identified one by one."""
    units, own = {INPUTS[name].unit for name in inputs} - {""}, set()
    for parameter in law.parameters:
        for unit in units & set(parameter.units):
            power = parameter.units[unit]
            own |= {parameter.name, *([power.lstrip("-")] if isinstance(power, str) else [])}
    names = [name for name in law.names if name in own]
    clause = (
        f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else f"the constants of {' and '.join(inputs)}"
    )
    return f"{clause} cannot be identified one by one"


def sizes(params: np.ndarray) -> list[Finding]:
    """What is left open in a law of curves and of N."""
    count = distinct(np.log(params))
    if count >= 3:
        return []
    what = f"the constants of N cannot be identified one by one, the curves have {count} model sizes"
    return [Finding("unidentified", what, "add curves of other models until there are at least 3 sizes")]


def schedules(run: np.ndarray, at: np.ndarray, total: np.ndarray, prior: bool = False) -> list[Finding]:
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
    if prior:
        what += ": how others differ is the prior's to say, and the intervals are as wide as it is"
    return [Finding("weak" if prior else "unidentified", what, "add runs with another decay or another peak LR")]


def decays(lr: np.ndarray, peak: np.ndarray) -> list[Finding]:
    """What is left open where the LR never falls below its peak before a loss."""
    if np.any(lr < 0.99 * peak):
        return []
    what = "what a falling learning rate gains is not in these data, no run decays before a loss"
    return [Finding("unidentified", what, "add runs that decay, or fit a law without decay (opl)")]


def logs_of(values: np.ndarray) -> np.ndarray:
    """ln of values, where a 0 counts as half the smallest other value."""
    some = values[values > 0]
    return np.log(np.where(values > 0, values, some.min() / 2 if len(some) else 1.0))


def distinct(logs: np.ndarray) -> int:
    """The number of values that differ by more than 1%, from their logs."""
    return 1 + int(np.sum(np.diff(np.sort(logs)) > 0.01))
