"""The status of a fit by its evidence: checks on plain numbers, each of which gives `jaxlaws.status.Finding`s.

Nothing here fits or predicts: `Evidence` holds what the fit knows already, and `findings` runs every check on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from jaxlaws.fitting import design_checks, residuals
from jaxlaws.fitting.identification import Identification
from jaxlaws.fitting.points import Points
from jaxlaws.fitting.resample import run_means
from jaxlaws.fitting.scatter import Scatter
from jaxlaws.inputs import INPUTS
from jaxlaws.laws.law import Law
from jaxlaws.status import Finding

#: Share of starts at the best optimum below which the search is weak.
AGREE = 0.2
#: Share of a prior's variance that the data leave, above which they say nothing of the constant.
PRIOR = 0.8
#: Error of a law over that of a constant above which it predicts no better, and above which hardly better.
NO_BETTER, LITTLE = 0.95, 0.5
#: Error of the gaps between runs over the gaps themselves, likewise.
GAPS_NO_BETTER, GAPS_POOR = 1.0, 0.5
#: Standard errors from which structure in residuals, or a slope of the wrong sign, is no accident.
SURE = 4.0
#: The same for the correlation of residuals of neighbours, of which there is one number only.
NEIGHBOURS = 3.0
#: Scatter of a run about the law over that of its neighbouring points, from which its residuals drift.
DRIFT = 5.0
#: Smallest share of the scatter at which structure is reported; points read off a figure have .4 and .45.
STRUCTURE = 0.5

_OTHERS = "compare other laws on these runs (jaxlaws compare), and do not predict far from them"


class Search(NamedTuple):
    """How the search of an optimum ended.

    Attributes:
      starts, agreeing: how many starts, and how many of them ended at the best objective.
      gain: share of the objective that another step would gain.
      exact: whether the objective is 0 to rounding, so that a share of it has no meaning.
    """

    starts: int
    agreeing: int
    gain: float = 0.0
    exact: bool = False


@dataclass(frozen=True)
class Evidence:
    """What a fit knows of itself: the law and its points, the search, the residuals, the constants, and `held_out`,
    kind → errors, with `rmse` and, where a constant can be compared, `constant_rmse`.
    """

    law: Law
    points: Points
    search: Search
    scatter: Scatter
    constants: Identification
    held_out: Mapping[str, Mapping[str, Any]]

    @property
    def remedy(self) -> str:
        """What to run where the data say too little."""
        return design_checks.what_to_run(self.law)


def findings(evidence: Evidence) -> list[Finding]:
    """Everything that the checks find, the gravest of which decides the status.

    Along a direction that the data leave open a search has no end, so that findings on its end are left out there.
    """
    if constant := _constant(evidence):
        return constant
    items = [item for check in CHECKS for item in check(evidence)]
    return items if any(item.status == "unidentified" for item in items) else _search(evidence) + items


def _constant(evidence: Evidence) -> list[Finding]:
    loss = evidence.points.loss
    if np.ptp(loss) > 1.5 * evidence.scatter.spacing:
        return []
    what = f"every loss is {np.median(loss):.6g} to the precision of the data"
    return [Finding("unidentified", what, "check the column, log more digits, or add runs that differ")]


def _search(evidence: Evidence) -> list[Finding]:
    search = evidence.search
    more = f"fit again with --starts {4 * search.starts} or another --seed"
    if search.gain > 1e-6 and not search.exact:
        return [
            Finding("not_converged", f"another step would still lower the objective by {search.gain:.1e} of it", more)
        ]
    if search.agreeing >= max(2, AGREE * search.starts) or search.starts == 1 == search.agreeing:
        return []
    status = "weak" if search.agreeing > 1 else "not_converged"
    return [Finding(status, f"only {search.agreeing} of {search.starts} starts reach the best objective", more)]


def _design(evidence: Evidence) -> list[Finding]:
    points = evidence.points
    return design_checks.of_design(evidence.law, points.inputs, points.run, points.at, bool(evidence.constants.prior))


def _constants(evidence: Evidence) -> list[Finding]:
    constants, out = evidence.constants, []
    if at_bounds := [name for name in constants.bounds if name not in constants.untouched]:
        what = f"{', '.join(at_bounds)} ended at a bound, the data ask for a value outside it"
        out.append(Finding("weak", what, f"the law may not fit, or {evidence.remedy}"))
    if absent := [name for name in constants.bounds if name in constants.untouched]:
        what = f"the term of {', '.join(absent)} vanished, these data do not show it"
        out.append(Finding("weak", what, f"fit a law without it, or {evidence.remedy}"))
    if idle := [name for name in constants.untouched if name not in constants.bounds]:
        what = f"{', '.join(idle)} {'changes' if len(idle) == 1 else 'change'} none of these losses"
        out.append(Finding("unidentified", what, f"fit a law without it, or {evidence.remedy}"))
    if constants.prior and min(share for _, share in constants.prior.values()) > PRIOR:
        what = f"what is said of {', '.join(constants.prior)} is the prior's, the data add nothing"
        out.append(Finding("weak", what, evidence.remedy))
    out += [Finding("unidentified", words, evidence.remedy) for words in constants.curvature.unidentified]
    if constants.loose and not out:
        widths = ", ".join(f"{name} within a factor of {factor:.3g}" for name, factor in constants.loose.items())
        out.append(Finding("weak", f"resamples hold {widths} only", evidence.remedy))
    return out + [Finding("weak", words, evidence.remedy) for words in constants.curvature.weak]


def _spare(evidence: Evidence) -> list[Finding]:
    return design_checks.spare(evidence.law, len(evidence.points.names))


def _against_a_constant(evidence: Evidence) -> list[Finding]:
    """Errors on what was left out, over those of a constant: the mean of what was fitted."""
    words = {
        "leave_one_run_out": "each run predicted from the others",
        "extrapolation": "the largest runs predicted from the others",
        "test": "the held-out runs",
    }
    for kind, subject in words.items():
        errors = evidence.held_out.get(kind) or {}
        if not errors.get("constant_rmse"):
            continue
        ratio = errors["rmse"] / errors["constant_rmse"]
        if ratio >= NO_BETTER:
            what = f"{subject}, the law errs {ratio:.2g} times as much as a constant does"
            return [Finding("misfit", what, "check the columns and the losses, or fit another law")]
        if ratio >= LITTLE:
            what = f"{subject}, the law leaves {ratio:.0%} of the error of a constant"
            return [Finding("weak", what, evidence.remedy)]
    return []


def _sign(evidence: Evidence) -> list[Finding]:
    """Slopes of ln L that no law of ours can have: with N or D up, or along the steps up."""
    logs, names = _coordinates(evidence.points, evidence.law)
    falls = [i for i, name in enumerate(names) if evidence.law.kind == "curve" or INPUTS[name].falls]
    logs, names = logs[:, falls], [names[i] for i in falls]
    x = np.column_stack([np.ones(len(logs)), logs - logs.mean(0)])
    loss = evidence.points.loss
    y = loss / evidence.points.size if evidence.points.signed else np.log(loss)
    if len(y) <= x.shape[1] + 1 or np.linalg.cond(x) > 100:
        return []
    slope = np.linalg.lstsq(x, y, rcond=None)[0]
    variance = max(float(np.sum((y - x @ slope) ** 2)) / (len(y) - x.shape[1]), 1e-30)
    phi = evidence.scatter.correlation
    inflation = (1 + phi) / (1 - phi)
    error = np.sqrt(variance * inflation * np.diag(np.linalg.inv(x.T @ x)))
    rising = [name for name, b, se in zip(names, slope[1:], error[1:], strict=True) if b > SURE * se]
    if not rising:
        return []
    what = f"the loss rises with {' and '.join(rising)}"
    return [Finding("misfit", what, "check that the columns are what they are taken for")]


def _gaps(evidence: Evidence) -> list[Finding]:
    gaps = evidence.held_out.get("gaps") or {}
    if not gaps:
        return []
    floor = 2 * np.hypot(evidence.scatter.curve_noise or 0.0, evidence.scatter.rounding) * evidence.scatter.size
    if gaps["mean_measured"] < floor:
        what = (
            f"the runs differ by {gaps['mean_measured']:.2g} nats on average, no more than the noise of a point, and "
        )
        return [Finding("unidentified", f"{what}show no effect of the learning rate", evidence.remedy)]
    ratio = gaps["mae"] / gaps["mean_measured"]
    if ratio < GAPS_POOR:
        return []
    what = (
        f"predicted gaps between runs are wrong by {ratio:.0%} of the measured gaps ({gaps['mean_measured']:.2g} nats)"
    )
    return [Finding("misfit" if ratio >= GAPS_NO_BETTER else "weak", what, _OTHERS)]


def _structure(evidence: Evidence) -> list[Finding]:
    """Residuals that follow the inputs: a surface over ln N and ln D, or one line that all runs share.

    What is less than runs differ by among themselves is in every interval, and says nothing against the law.
    """
    scatter = evidence.scatter
    size = float(np.std(scatter.residual))
    if size * evidence.points.size < scatter.spacing or size < scatter.offset:
        return []
    noise = scatter.curve_noise
    if noise is not None and size > DRIFT * max(noise, scatter.rounding):
        what = f"the residuals of the runs drift: they are {size:.2g} of the loss where neighbouring points scatter by "
        return [Finding("weak", f"{what}{noise:.2g}", _OTHERS)]
    if evidence.law.kind == "curve":
        shared = residuals.shared_line(evidence.points, scatter.residual, scatter.correlation)
        tests = [(shared, SURE, "one line along all runs")]
    else:
        logs, names = _coordinates(evidence.points, evidence.law)
        *logs_of_runs, means = (run_means(evidence.points, values) for values in (*logs.T, scatter.residual))
        logs, axes = np.reshape(logs_of_runs, (len(names), len(means))).T, " and ".join(names)
        tests = [
            (residuals.surface(means, logs), SURE, axes),
            (residuals.neighbours(means, logs), NEIGHBOURS, f"that of the run next in {axes}"),
        ]
    for (share, sure), limit, subject in tests:
        if sure >= limit and share >= STRUCTURE:
            what = f"the residuals are no noise: {share:.0%} of their variance follows {subject}"
            return [Finding("weak", what, _OTHERS)]
    return []


def _coordinates(points: Points, law: Law) -> tuple[np.ndarray, list[str]]:
    """[points, inputs] logs of the single numbers that a law reads of a run, and their names; the steps for curves."""
    if law.kind == "curve":
        return np.log(points.at + 1.0)[:, None], ["the steps"]
    names = [name for name in law.inputs if not INPUTS[name].many]
    logs = [design_checks.logs_of(points.inputs[name]) for name in names]
    return np.reshape(logs, (len(names), len(points.loss))).T, names


CHECKS = (_design, _constants, _spare, _against_a_constant, _sign, _gaps, _structure)
