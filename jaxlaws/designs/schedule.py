"""The best schedule by a fitted law: a free curve, a curve of a few knots, for one horizon or several."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxlaws.designs.curves import Form, free, knotted
from jaxlaws.designs.newton import newton
from jaxlaws.designs.objective import final_loss, first_block, loss, staircase
from jaxlaws.errors import BadInput
from jaxlaws.fitting.predict import keywords, need_finite
from jaxlaws.fitting.result import LossFit
from jaxlaws.inputs import INPUTS
from jaxlaws.laws.law import Inputs, Law
from jaxlaws.laws.table import CURVE_LAW
from jaxlaws.numeric import array, whole
from jaxlaws.schedules.spec import MOST_STEPS

#: Smallest share of each horizon before its cooldown, where all horizons have one trunk.
TRUNK = 0.5


class Design(NamedTuple):
    """A designed schedule for each horizon.

    Attributes:
      lr: for each horizon, [steps] with its warm-up.
      loss: for each horizon, the objective: the loss predicted at its end, under the fit's convention of the warm-up.
      warmup_steps: of every horizon.
      peak_lr: as given, or as found.
      form: of the curve, for people.
      starts: weighted loss where each random start ended, best first.
    """

    lr: tuple[np.ndarray, ...]
    loss: tuple[float, ...]
    warmup_steps: int
    peak_lr: float
    form: str
    starts: tuple[float, ...]


def curve_law(fit: LossFit, columns: Mapping[str, Any]) -> tuple[Law, Inputs]:
    """The law of a fit and what it reads besides the schedule, if a schedule can be designed with it.

    Args:
      fit: of any law.
      columns: inputs by the names of the columns of a table, such as params.

    Raises:
      BadInput: it does not read a schedule or reads more of a run than that, no decay changes its prediction, its data
        never saw one, or an input is missing.
    """
    law = fit.model
    if law.kind != "curve":
        raise BadInput(f"the law {law.name} reads model and tokens: a schedule needs a law such as {CURVE_LAW}.")
    logs = [row.meaning for key in law.inputs if (row := INPUTS[key]).logged or key == "phase_start"]
    if logs:
        raise BadInput(f"the law {law.name} reads the {logs[0]}: no schedule of its own can be designed with it.")
    if not {"drop", "lr", "V"} & set(law.inputs):
        raise BadInput(f"the law {law.name} reads the LR sum only, so that no decay can help: fit {CURVE_LAW}.")
    shares = fit.ranges.get("lowest_share")
    if shares is not None and shares[0] > 0.99:
        raise BadInput(
            f"the fit of {law.name} comes from schedules that never decay (the LR stays above {shares[0]:.0%} of its "
            "peak): add runs with a decay and fit again."
        )
    return law, keywords(law, columns, fit.convention)


def design(
    fit: LossFit,
    steps: int | Sequence[int],
    peak_lr: float | tuple[float, float],
    warmup_steps: int = 0,
    *,
    knots: int | None = None,
    weights: Sequence[float] | None = None,
    warm: np.ndarray | None = None,
    starts: int = 8,
    seed: int = 0,
    **inputs: Any,
) -> Design:
    """The non-increasing schedule of the lowest predicted final loss.

    Several horizons share warm-up and trunk (the peak) and branch off it after half of each at the earliest; the
    weighted sum of their losses is minimised.

    Args:
      fit: of a law of loss along a schedule.
      steps: T, warm-up included; or several.
      peak_lr: or the range in which it is free.
      warmup_steps: W, the same for every horizon.
      knots: of a continuous decay (`curves.knotted`); a free curve without it (`curves.free`).
      weights: of the horizons; equal without it.
      warm: [W] another warm-up than (t+1)/W, relative to the peak.
      starts: random starts.
      seed: of them.
      **inputs: what else the law reads, by the names of the columns of a table: params, …

    Raises:
      BadInput: an impossible request, a fit that no schedule can be designed with, or a law whose loss is not finite
        or does not depend on the schedule.
    """
    law, extra = curve_law(fit, inputs)
    horizons = [whole("steps", n) for n in np.atleast_1d(np.asarray(steps, object))]
    low, high = _range(array("peak_lr", peak_lr))
    warmup_steps, starts, seed = whole("warmup_steps", warmup_steps), whole("starts", starts), whole("seed", seed)
    knots = None if knots is None else whole("knots", knots)
    share = np.ones(len(horizons)) if weights is None else array("weights", weights)
    check(horizons, warmup_steps, low)
    _check(horizons, knots, share, starts)
    form = free() if knots is None else knotted(knots)
    if warm is None:
        warm = (np.arange(warmup_steps) + 1) / max(warmup_steps, 1)
    climb, climb_steps = staircase(array("warm", warm))
    first = first_block(fit, len(climb))
    several = len(horizons) > 1
    stable = [max(round(TRUNK * n) - warmup_steps, 0) if several else 0 for n in horizons]
    share = share / share.sum()
    rng = np.random.default_rng(seed)
    origins = np.stack([form.start(rng) for _ in range(starts)])

    def solve(peak: float) -> tuple[float, list[tuple[np.ndarray, np.ndarray]]]:
        """Minimises each horizon by itself, since they share nothing but the peak."""
        solutions = []
        for n, flat in zip(horizons, stable, strict=True):
            with jax.enable_x64(True):
                x, value, before = _minimise(law, form)(
                    origins,
                    dict(fit.params),
                    extra,
                    climb,
                    climb_steps,
                    first,
                    float(n - warmup_steps),
                    float(flat),
                    peak,
                )
            order = np.argsort(value)
            solutions.append((np.asarray(x)[order[0]], np.asarray(value)[order]))
            _check_search(law.name, n, np.asarray(value), np.asarray(before))
        return float(np.dot(share, [value[0] for _, value in solutions])), solutions

    peak = low if low == high else _lowest(lambda peak: solve(peak)[0], low, high)
    _, solutions = solve(peak)
    curves = [
        peak * np.r_[warm, form.values(x, n - warmup_steps, flat)]
        for (x, _), n, flat in zip(solutions, horizons, stable, strict=True)
    ]
    losses = tuple(final_loss(fit, lr, warmup_steps, extra) for lr in curves)
    name = "free" if knots is None else f"knots({knots})"
    ends = np.dot(share, [value for _, value in solutions])
    return Design(tuple(curves), losses, warmup_steps, peak, name, tuple(ends[np.isfinite(ends)].tolist()))


@lru_cache(maxsize=32)
def _minimise(law: Law, form: Form):
    """The program that minimises every start in turn, with the constants, the lengths and the peak as arguments."""

    def run(origins, params, extra, climb, climb_steps, first, steps, stable, peak):
        def value(x):
            levels, widths = form.blocks(x, steps, stable)
            levels, widths = jnp.concatenate([climb, levels]), jnp.concatenate([climb_steps, widths])
            return loss(law, params, peak * levels, widths, first, extra)

        def one(x):
            solution = newton(value, x)
            return solution.x, solution.value, solution.initial

        return jax.lax.map(one, origins)

    return jax.jit(run)


def _check_search(law: str, steps: int, ends: np.ndarray, initial: np.ndarray) -> None:
    """Raises `BadInput` where no start comes to a finite loss, or none comes to a lower one than it had."""
    need_finite(law, float(ends.min()))
    if not np.any(ends < initial):
        raise BadInput(
            f"no search for the best schedule of {steps} steps left its start: with these constants the loss of {law} "
            "does not depend on the schedule, so fit it to runs whose schedules differ."
        )


def _lowest(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a function of the LR is lowest: a grid of seven, then golden section around its best to 1%."""
    grid = np.geomspace(low, high, 7)
    best = int(np.argmin([function(float(x)) for x in grid]))
    left, right = np.log(grid[max(best - 1, 0)]), np.log(grid[min(best + 1, 6)])
    ratio = (np.sqrt(5) - 1) / 2
    inner = [right - ratio * (right - left), left + ratio * (right - left)]
    values = [function(float(np.exp(x))) for x in inner]
    while right - left > 0.01:
        if values[0] < values[1]:
            right, inner = inner[1], [inner[1] - ratio * (inner[1] - left), inner[0]]
            values = [function(float(np.exp(inner[0]))), values[0]]
        else:
            left, inner = inner[0], [inner[1], inner[0] + ratio * (right - inner[0])]
            values = [values[1], function(float(np.exp(inner[1])))]
    candidates = [float(np.clip(np.exp((left + right) / 2), low, high)), float(grid[best])]
    return min(candidates, key=function)


def check(horizons: Sequence[int], warmup_steps: int, peak_lr: float) -> None:
    """Raises `BadInput` for a request that no schedule can meet."""
    for steps in horizons:
        if not 2 <= steps <= MOST_STEPS:
            raise BadInput(f"--steps is {steps}, expected at least two and at most {MOST_STEPS}.")
        if not 0 <= warmup_steps < steps:
            raise BadInput(f"the warm-up has {warmup_steps} steps, the run has {steps}: shorten --warmup.")
    if not (np.isfinite(peak_lr) and peak_lr > 0):
        raise BadInput(f"--peak-lr is {peak_lr}, expected a positive number.")


def _range(peak_lr: np.ndarray) -> tuple[float, float]:
    """Both ends of the range of the peak LR, which are one where it is fixed."""
    if peak_lr.shape not in ((), (2,)):
        raise BadInput(f"peak_lr has the shape {peak_lr.shape}, expected one number or the two ends of a range.")
    low, high = np.broadcast_to(peak_lr, 2).tolist()
    return low, high


def _check(horizons: Sequence[int], knots: int | None, weights: np.ndarray, starts: int) -> None:
    if not horizons:
        raise BadInput("--steps holds no number, expected the steps of one horizon or more.")
    if starts < 1:
        raise BadInput(f"starts is {starts}, expected at least one.")
    if len(set(horizons)) < len(horizons):
        raise BadInput("--horizons names a number of steps twice, expected each once.")
    if knots is not None and not 1 <= knots <= 64:
        raise BadInput(f"--knots is {knots}, expected 1 to 64.")
    if weights.shape != (len(horizons),) or not weights.min() > 0:
        raise BadInput("--weights does not hold one positive number for each horizon.")
