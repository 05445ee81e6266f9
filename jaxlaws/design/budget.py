"""Budget questions to a fitted law: which cooldown for a horizon, and whether to continue a run or to start again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxlaws.design.family import best_of_family
from jaxlaws.design.schedule import check, curve_law
from jaxlaws.errors import BadInput
from jaxlaws.fitting.predict import final_losses
from jaxlaws.fitting.result import Fit
from jaxlaws.schedules.spec import ScheduleConfig, schedule_array

#: Shares of the steps that the table of cooldowns has.
SHARES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0)


class Way(NamedTuple):
    """A way to a model of T1 steps.

    Attributes:
      name: for people.
      loss: predicted at the end, nats a token.
      steps: that are still to be trained.
      lr: [T1] the schedule, the steps that are trained already included.
    """

    name: str
    loss: float
    steps: int
    lr: np.ndarray


def cooldowns(
    fit: Fit, horizons: Sequence[int], peak_lr: float, warmup_steps: int = 0, shape: str = "linear", params=None
) -> list[dict[str, Any]]:
    """The predicted final loss of WSD over the share of its cooldown (to 0), and the best share, for each horizon.

    Returns:
      for each horizon `steps`, `best` share, `loss` at it, and `losses`: share → loss.
    """
    check(horizons, warmup_steps, peak_lr)
    curve_law(fit, params)
    floor = 1e-3 if shape == "exponential" else 0.0
    out = []
    for steps in horizons:
        table = {}
        for share in SHARES:
            lr = schedule_array(_wsd(share, shape, floor, warmup_steps), steps, peak_lr)
            table[share] = float(final_losses(fit, lr, warmup_steps, params)[0])
        found = best_of_family(fit, f"wsd(shape={shape}, floor={floor})", steps, peak_lr, warmup_steps, params)
        fell = int(np.sum(found.lr[0][warmup_steps:] < found.peak_lr))
        loss = float(final_losses(fit, found.lr[0], warmup_steps, params)[0])
        out.append({"steps": steps, "best": fell / steps, "loss": loss, "losses": table})
    return out


def extend(fit: Fit, lr: np.ndarray, longer: int, warmup_steps: int = 0, params: float | None = None) -> list[Way]:
    """Ways from a finished run of lr[T0] to a model of T1 steps, lowest predicted loss first.

    From the start: a new WSD run with the law's best cooldown. From the trunk: the checkpoint before the cooldown goes
    on at the peak to that cooldown. From the end: the finished model is warmed up again over 1% of T1 and cooled down
    over the rest.

    Raises:
      BadInput: T1 is not above T0, or a fit that no schedule can be designed with.
    """
    curve_law(fit, params)
    steps, peak = len(lr), float(lr.max())
    if longer <= steps:
        raise BadInput(f"the run has {steps} steps, it cannot be extended to {longer}: give more.")
    whole = best_of_family(fit, "wsd(shape=linear, floor=0)", longer, peak, warmup_steps, params).lr[0]
    below = np.flatnonzero(lr[warmup_steps:] < peak * (1 - 1e-9))
    trunk = warmup_steps + int(below[0]) if len(below) else steps
    ways = [("from the start", longer, whole)]
    if trunk > warmup_steps:
        fork = min(trunk, int(np.argmax(whole[warmup_steps:] < peak)) + warmup_steps)
        ways.append(("from the trunk", longer - fork, whole))
    left = longer - steps
    again = max(1, min(round(0.01 * longer), left // 2))
    rise = lr[-1] + (peak - lr[-1]) * (np.arange(again) + 1) / again
    tail = schedule_array(_wsd(1.0, "linear", 0.0, 0), max(left - again, 1), peak)[: left - again]
    ways.append(("from the end", left, np.concatenate([lr, rise, tail])))
    scored = [Way(name, float(final_losses(fit, x, warmup_steps, params)[0]), n, x) for name, n, x in ways]
    return sorted(scored, key=lambda way: (way.loss, way.steps))


def _wsd(share: float, shape: str, floor: float, warmup_steps: int) -> ScheduleConfig:
    return ScheduleConfig(name="wsd", cooldown=share, shape=shape, floor=floor, warmup_steps=warmup_steps)
