"""The status of a fit from plain numbers: what each check makes of what it sees, without fitting anything."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from jaxlaws.fitting import diagnose, verdict
from jaxlaws.fitting.diagnose import Curvature
from jaxlaws.fitting.identification import Identification
from jaxlaws.fitting.points import Points
from jaxlaws.fitting.scatter import Scatter
from jaxlaws.laws.table import get
from jaxlaws.status import decide


def curves_seen(**changes):
    """Three curves that differ, with nothing to say against their fit."""
    rng, runs, count = np.random.default_rng(0), 3, 20
    at = np.tile(np.arange(1, count + 1) * 100, runs)
    run = np.repeat(np.arange(runs), count)
    peak = np.array([1e-3, 2e-3, 3e-3])[run]
    inputs = {"lr": peak * np.where(at > 1500, 0.5, 1), "peak": peak, "S": peak * at}
    loss = (2 + 20 * at**-0.5) * (1 + 0.01 * run)
    spread = Scatter(
        prediction=loss,
        residual=1e-3 * rng.standard_normal(runs * count),
        within=np.zeros(runs * count),
        correlation=0.0,
        sigma=1e-3,
        offset=0.0,
        spacing=1e-6,
        size=float(loss.mean()),
        curve_noise=1e-3,
    )
    curvature = Curvature(1.0, np.zeros(0), [], [])
    constants = Identification([], [], {}, [], curvature, {})
    return verdict.Evidence(
        law=get("lldl"),
        points=Points(inputs, loss, run, ("a", "b", "c"), np.arange(runs), at, {}),
        search=verdict.Search(starts=16, agreeing=16)._replace(**_of(verdict.Search, changes)),
        scatter=replace(spread, **_of(Scatter, changes)),
        constants=constants._replace(
            curvature=curvature._replace(**_of(Curvature, changes)), **_of(Identification, changes)
        ),
        held_out=changes.get("held_out", {"gaps": {"mae": 0.002, "mean_measured": 0.03}}),
    )


def _of(part, changes):
    """The changes that are of this named tuple or dataclass."""
    return {name: value for name, value in changes.items() if name in part.__annotations__}


#: What is seen → the status that it makes, and words of the finding.
SEEN = {
    "nothing": ({}, "converged", ""),
    "another step": ({"gain": 1e-3}, "not_converged", "another step"),
    "one start of 16": ({"agreeing": 1}, "not_converged", "only 1 of 16"),
    "three starts of 16": ({"agreeing": 3}, "weak", "only 3 of 16"),
    "a bound": ({"bounds": ["A"]}, "weak", "ended at a bound"),
    "a term that vanished": ({"bounds": ["B"], "untouched": ["B"]}, "weak", "vanished"),
    "untouched": ({"untouched": ["B"]}, "unidentified", "B changes none"),
    "an open direction": ({"unidentified": ["the direction (A up)"]}, "unidentified", "the direction (A up)"),
    "an open direction and a search without an end": ({"unidentified": ["x"], "gain": 1.0}, "unidentified", "x"),
    "a loose direction": ({"weak": ["alpha is known within a factor of 4 only"]}, "weak", "factor of 4"),
    "a valley": ({"loose": {"A": 40.0, "B": 30.0}}, "weak", "A within a factor of 40, B within a factor of 30"),
    "a valley that ends at a bound": ({"loose": {"A": 40.0}, "bounds": ["B"]}, "weak", "B ended at a bound"),
    "the prior's": ({"prior": {"C": (1.0, 0.9), "beta": (1.0, 0.95)}}, "weak", "is the prior's"),
    "some of it the prior's": ({"prior": {"C": (1.0, 0.9), "beta": (1.0, 0.2)}}, "converged", ""),
    "gaps wrong by 78%": ({"held_out": {"gaps": {"mae": 0.0234, "mean_measured": 0.03}}}, "weak", "wrong by 78%"),
    "gaps wrong by their size": (
        {"held_out": {"gaps": {"mae": 0.03, "mean_measured": 0.03}}},
        "misfit",
        "wrong by 100%",
    ),
    "no gaps": ({"held_out": {"gaps": {"mae": 0.03, "mean_measured": 0.001}}}, "unidentified", "no effect"),
    "no better than a constant": (
        {"held_out": {"leave_one_run_out": {"rmse": 0.1, "constant_rmse": 0.1}}},
        "misfit",
        "1 times as much as a constant",
    ),
    "hardly better than a constant": (
        {"held_out": {"extrapolation": {"rmse": 0.06, "constant_rmse": 0.1}}},
        "weak",
        "60% of the error of a constant",
    ),
    "a trend that runs share": ({"residual": np.tile(2e-3 * np.sin(np.arange(20) / 3), 3)}, "weak", "one line"),
    "residuals that drift": ({"curve_noise": 1e-5, "spacing": 1e-7}, "weak", "drift"),
    "a trend below the noise of a run": (
        {"residual": np.tile(2e-3 * np.sin(np.arange(20) / 3), 3), "offset": 2e-3},
        "converged",
        "",
    ),
    "a drift below the noise of a run": ({"curve_noise": 1e-5, "spacing": 1e-7, "offset": 2e-3}, "converged", ""),
}


@pytest.mark.parametrize("case", SEEN)
def test_what_is_seen_makes_the_status(case):
    changes, status, words = SEEN[case]
    found = verdict.findings(curves_seen(**changes))
    assert decide(found) == status, found
    assert words in " ".join(finding.what for finding in found)
    assert not found or all(finding.remedy for finding in found)


def test_a_constant_without_a_finite_derivative_is_unidentified():
    hessian = np.diag([4.0, np.nan, 1.0])
    hessian[0, 1] = hessian[1, 0] = np.nan
    answer = diagnose.curvature(["a", "b", "c"], hessian, 1e-4)
    assert answer.unidentified == ["b: these data do not identify it"]
    assert not answer.weak
