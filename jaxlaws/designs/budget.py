"""Budget questions to a fitted law: which cooldown for a horizon, and whether to continue a run or to start again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxlaws.designs.family import best_of_family
from jaxlaws.designs.schedule import check, curve_law
from jaxlaws.errors import BadInput
from jaxlaws.extrapolation import Extrapolation
from jaxlaws.fitting.predict import predict
from jaxlaws.fitting.result import LossFit
from jaxlaws.schedules.spec import ScheduleConfig, schedule_array

#: Cooldowns of the table, as shares of the steps.
SHARES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0)

#: Last LR of an exponential cooldown as a share of the peak; the others end at 0.
FLOOR = 1e-3


class Way(NamedTuple):
    """A way to a model of T1 steps.

    Attributes:
      name: for people.
      loss: predicted at the end, nats a token.
      steps: that are still to be trained.
      lr: [T1] the schedule, the steps that are trained already included.
      extrapolation: how far it lies outside the data of the law.
    """

    name: str
    loss: float
    steps: int
    lr: np.ndarray
    extrapolation: Extrapolation


def cooldowns(
    fit: LossFit, horizons: Sequence[int], peak_lr: float, warmup_steps: int = 0, shape: str = "linear", **inputs: Any
) -> list[dict[str, Any]]:
    """The predicted final loss of WSD over the share of its cooldown (to 0), and the best share, for each horizon.

    The best share is found between those of the table, and is one of them where none between is better.

    Returns:
      for each horizon `steps`, `best` share, `loss` at it, its `extrapolation`, and `losses`: share → loss.
    """
    check(horizons, warmup_steps, peak_lr)
    curve_law(fit, inputs)
    out = []
    for steps in horizons:
        ways = _shares(fit, steps, peak_lr, warmup_steps, shape, inputs)
        losses = {share: way.loss for share, way in ways.items()}
        best = min(losses, key=losses.__getitem__)
        table = {share: losses[share] for share in SHARES}
        reach = ways[best].extrapolation
        out.append({"steps": steps, "best": best, "loss": losses[best], "losses": table, "extrapolation": reach})
    return out


def extend(fit: LossFit, lr: np.ndarray, longer: int, warmup_steps: int = 0, **inputs: Any) -> list[Way]:
    """Ways from a finished run of lr[T0] to a model of T1 steps, lowest predicted loss first.

    From the start: a new WSD run with the law's best cooldown. From the trunk: the checkpoint before the cooldown goes
    on at the peak to that cooldown. From the end: the finished model is warmed up again over 1% of T1 and cooled down
    over the rest.

    Raises:
      BadInput: T1 is not above T0, or a fit that no schedule can be designed with.
    """
    curve_law(fit, inputs)
    steps, peak = len(lr), float(lr.max())
    if longer <= steps:
        raise BadInput(f"the run has {steps} steps, it cannot be extended to {longer}: give more.")
    if not peak > 0:
        raise BadInput("the schedule of the finished run has no LR above zero.")
    check([longer], warmup_steps, peak)
    whole = min(_shares(fit, longer, peak, warmup_steps, "linear", inputs).values(), key=lambda way: way.loss).lr
    below = np.flatnonzero(lr[warmup_steps:] < peak * (1 - 1e-9))
    trunk = warmup_steps + int(below[0]) if len(below) else steps
    ways = [("from the start", longer, whole)]
    if trunk > warmup_steps:
        fork = min(trunk, int(np.argmax(whole[warmup_steps:] < peak)) + warmup_steps)
        ways.append(("from the trunk", longer - fork, whole))
    rest = longer - steps
    again = max(1, min(round(0.01 * longer), rest // 2))
    rise = lr[-1] + (peak - lr[-1]) * (np.arange(again) + 1) / again
    tail = schedule_array(_wsd(1.0, "linear", 0.0, 0), max(rest - again, 1), peak)[: rest - again]
    ways.append(("from the end", rest, np.concatenate([lr, rise, tail])))
    answers = [_way(fit, name, schedule, todo, warmup_steps, inputs) for name, todo, schedule in ways]
    return sorted(answers, key=lambda way: (way.loss, way.steps))


def _shares(
    fit: LossFit, steps: int, peak_lr: float, warmup_steps: int, shape: str, inputs: Mapping[str, Any]
) -> dict[float, Way]:
    """WSD by the share of its cooldown: those of `SHARES`, and the one that a search between them finds."""
    floor = FLOOR if shape == "exponential" else 0.0
    best = best_of_family(fit, f"wsd(shape={shape}, floor={floor})", steps, peak_lr, warmup_steps, **inputs).lr[0]
    schedules = {share: schedule_array(_wsd(share, shape, floor, warmup_steps), steps, peak_lr) for share in SHARES}
    schedules |= {float(np.sum(best[warmup_steps:] < peak_lr)) / steps: best}
    return {share: _way(fit, f"{share:.1%}", lr, steps, warmup_steps, inputs) for share, lr in schedules.items()}


def _way(fit: LossFit, name: str, lr: np.ndarray, todo: int, warmup_steps: int, inputs: Mapping[str, Any]) -> Way:
    answer = predict(fit, lr=lr, warmup_steps=warmup_steps, **inputs)
    return Way(name, float(answer.value), todo, lr, answer.extrapolation)


def _wsd(share: float, shape: str, floor: float, warmup_steps: int) -> ScheduleConfig:
    return ScheduleConfig(name="wsd", cooldown=share, shape=shape, floor=floor, warmup_steps=warmup_steps)
