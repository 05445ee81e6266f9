"""The expected gain of a designed schedule, its uncertainty, and the parts of it outside the data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxlaws.fitting.predict import final_losses
from jaxlaws.fitting.result import LossFit
from jaxlaws.fitting.scatter import RUN_SD, RUN_SD_RANGE
from jaxlaws.schedules.spec import ScheduleConfig, schedule_array

#: One-sided 95% quantile of the normal distribution: the edge of a 90% interval.
_EDGE = 1.6449
#: The schedules that a design is compared with.
BASELINES = {
    "cosine to 10%": ScheduleConfig(name="cosine", floor=0.1),
    "linear to 0": ScheduleConfig(name="linear", floor=0.0),
    "wsd 20%": ScheduleConfig(name="wsd", cooldown=0.2, shape="linear", floor=0.0),
}


class Gain(NamedTuple):
    """The loss that a schedule saves against another of equal steps, nats a token.

    Attributes:
      predicted: by the law.
      low, high: 90% interval of `predicted` over the resampled constants; None where the fit has none.
      expected: `predicted` times the measured over predicted gaps of decayed schedules; `predicted` where unknown.
      expected_low, expected_high: its interval, both uncertainties in it.
      noise: sd of the difference of one pair of runs.
      verdict: `gain`, `loss` or `inside the noise`: whether 90% of single pairs of runs would show its sign, and the
        interval excludes 0.
      pairs: pairs of runs (seeds) whose mean would show it; None where the interval holds 0.
    """

    predicted: float
    low: float | None
    high: float | None
    expected: float
    expected_low: float | None
    expected_high: float | None
    noise: float
    verdict: str
    pairs: int | None


def baselines(steps: int, peak_lr: float, warmup_steps: int) -> dict[str, np.ndarray]:
    """The arrays of `BASELINES`: name → lr[steps]."""
    out = {}
    for name, config in BASELINES.items():
        spec = ScheduleConfig(**{**vars(config), "warmup_steps": warmup_steps})
        out[name] = schedule_array(spec, steps, peak_lr)
    return out


def gains(
    fit: LossFit, lr: np.ndarray, others: Mapping[str, np.ndarray], warmup_steps: int, **inputs: Any
) -> dict[str, Gain]:
    """What lr[steps] gains against each of the others, under the fit's own convention of the warm-up."""
    ours = final_losses(fit, lr, warmup_steps, **inputs)
    theirs = {name: final_losses(fit, other, warmup_steps, **inputs) for name, other in others.items()}
    return {name: gain(fit, ours, losses) for name, losses in theirs.items()}


def gain(fit: LossFit, ours: np.ndarray, theirs: np.ndarray) -> Gain:
    """The gain of one schedule over another from their [1 + draws] predicted losses."""
    difference = theirs - ours
    difference = difference[np.isfinite(difference)]
    saving = float(difference[0])
    bias = fit.held_out.get("decay_gaps") or {}
    ratio, se = float(bias.get("ratio", 1.0)), float(bias.get("se", 0.0))
    low = high = expected_low = expected_high = None
    edges = ratio * saving + _EDGE * np.array([-1, 1]) * se * abs(saving)
    if len(difference) >= 20:
        low, high = (float(edge) for edge in np.percentile(difference[1:], (5, 95)))
        draws = difference[1:] * (ratio + se * np.random.default_rng(0).standard_normal(len(difference) - 1))
        edges = np.percentile(draws, (5, 95))
        expected_low, expected_high = (float(edge) for edge in edges)
    elif bias:
        expected_low, expected_high = (float(edge) for edge in edges)
    expected = ratio * saving
    noise = run_sd(fit) * float(theirs[0]) * math.sqrt(2)
    certain = edges[0] * edges[1] > 0
    visible = certain and abs(expected) > _EDGE * noise
    verdict = ("gain" if expected > 0 else "loss") if visible else "inside the noise"
    pairs = max(1, math.ceil((_EDGE * noise / expected) ** 2)) if certain else None
    return Gain(saving, low, high, expected, expected_low, expected_high, noise, verdict, pairs)


def run_sd(fit: LossFit) -> float:
    """sd of ln L of one run about the law: of its offset and of its last evaluation."""
    return math.hypot(fit.scatter["offset"], fit.scatter["sigma"]) if fit.scatter else RUN_SD


def warnings(fit: LossFit, lr: np.ndarray, warmup_steps: int) -> list[str]:
    """Sentences on the shape of the schedule outside the fit's data, and on the sources of the gains."""
    out = []
    ranges = fit.ranges
    decay = lr[max(warmup_steps - 1, 0) :]
    peak = float(lr.max())
    share, steepest = float(decay.min()) / peak, max(float(-np.diff(decay).min(initial=0.0)), 0.0) / peak
    if "lowest_share" in ranges and share < 0.9 * ranges["lowest_share"][0]:
        out.append(
            f"the LR falls to {share:.2%} of its peak, in the data it stays above {ranges['lowest_share'][0]:.2%}."
        )
    if "steepest_drop" in ranges and steepest > 1.5 * ranges["steepest_drop"][1]:
        out.append(
            f"the LR falls by {steepest:.1%} of its peak in one step, the steepest fitted by "
            f"{ranges['steepest_drop'][1]:.2%}: --knots 8 stays closer to what was fitted."
        )
    elif "steepest_drop" not in ranges and steepest > 0.05:
        out.append(
            f"the LR falls by {steepest:.0%} of its peak in one step: the law likes sudden drops, few runs have "
            "tested that; --knots 8 gives a smooth decay."
        )
    if not fit.draws:
        out.append("published constants have no resamples: the gains have no interval of the law's constants.")
    if not fit.scatter:
        low, high = RUN_SD_RANGE
        out.append(
            f"the noise of a run is assumed: sd {RUN_SD:.2%} of the loss, from two pairs of public runs, which leave "
            f"anything from {low:.2%} to {high:.2%}."
        )
    bias = fit.held_out.get("decay_gaps")
    if bias:
        out.append(
            f"gaps between decayed schedules were measured at {bias['ratio']:.2f} ± {bias['se']:.2f} of this law's "
            f"prediction ({bias['pairs']} pairs): the expected gains are scaled by it."
        )
    else:
        out.append("no three pairs of decayed schedules of equal length tell how far this law exaggerates gaps.")
    return out
