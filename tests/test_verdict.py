"""The status of a fit from plain numbers: what each check makes of what it sees, without fitting anything."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from jaxlaws.fitting import verdict
from jaxlaws.fitting.points import Points
from jaxlaws.laws.table import get
from jaxlaws.status import decide


def curves_seen(**changed):
    """Three curves that differ, with nothing to say against their fit."""
    rng, runs, count = np.random.default_rng(0), 3, 20
    at = np.tile(np.arange(1, count + 1) * 100, runs)
    run = np.repeat(np.arange(runs), count)
    peak = np.array([1e-3, 2e-3, 3e-3])[run]
    inputs = {"lr": peak * np.where(at > 1500, 0.5, 1), "peak": peak, "S": peak * at}
    loss = (2 + 20 * at**-0.5) * (1 + 0.01 * run)
    seen = verdict.Seen(
        law=get("lldl"),
        points=Points(inputs, loss, run, ("a", "b", "c"), np.arange(runs), at, {}),
        residual=1e-3 * rng.standard_normal(runs * count),
        unit=1e-6,
        noise=1e-3,
        phi=0.0,
        gain=0.0,
        exact=False,
        starts=16,
        agreeing=16,
        bounds=[],
        untouched=[],
        open=[],
        weak=[],
        prior={},
        held_out={"gaps": {"mae": 0.002, "mean_measured": 0.03}},
    )
    return replace(seen, **changed)


#: What is seen → the status that it makes, and words of the finding.
SEEN = {
    "nothing": ({}, "converged", ""),
    "another step": ({"gain": 1e-3}, "not_converged", "another step"),
    "one start of 16": ({"agreeing": 1}, "not_converged", "only 1 of 16"),
    "three starts of 16": ({"agreeing": 3}, "weak", "only 3 of 16"),
    "a bound": ({"bounds": ["A"]}, "weak", "ended at a bound"),
    "a term that vanished": ({"bounds": ["B"], "untouched": ["B"]}, "weak", "vanished"),
    "untouched": ({"untouched": ["B"]}, "unidentified", "B changes none"),
    "an open direction": ({"open": ["the direction (A up)"]}, "unidentified", "the direction (A up)"),
    "an open direction and a search without an end": ({"open": ["x"], "gain": 1.0}, "unidentified", "x"),
    "a loose direction": ({"weak": ["alpha is known within a factor of 4 only"]}, "weak", "factor of 4"),
    "the prior's": ({"prior": {"C": 0.9, "beta": 0.95}}, "weak", "is the prior's"),
    "some of it the prior's": ({"prior": {"C": 0.9, "beta": 0.2}}, "converged", ""),
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
    "residuals that drift": ({"noise": 1e-5, "unit": 1e-7}, "weak", "drift"),
}


@pytest.mark.parametrize("case", SEEN)
def test_what_is_seen_makes_the_status(case):
    changed, status, words = SEEN[case]
    found = verdict.findings(curves_seen(**changed))
    assert decide(found) == status, found
    assert words in " ".join(finding.what for finding in found)
    assert not found or all(finding.remedy for finding in found)
