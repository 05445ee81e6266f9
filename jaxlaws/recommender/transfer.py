"""A recommended peak LR for another schedule than the one that its law was measured with."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from jaxlaws.design.bound import transfer
from jaxlaws.errors import BadInput
from jaxlaws.recommender.override import LONGEST_WARMUP, check_file
from jaxlaws.schedules.names import FROM_FILE
from jaxlaws.schedules.spec import ScheduleConfig, parse, schedule_array, spec_string

if TYPE_CHECKING:
    from jaxlaws.recommender.recommendation import Recommendation

#: Steps of the arrays that the bound is computed on: the ratio depends on shapes, hardly on the length.
_STEPS = 4000


def convert(answer: Recommendation, schedule: str) -> Recommendation:
    """The answer with its LR, interval and safe band multiplied by γ*(schedule)/γ*(its own).

    Args:
      answer: with a schedule that the bound can be computed for.
      schedule: `wsd(cooldown=0.2)`, `linear`, …; a warm-up that it does not name is kept from the law's.

    Raises:
      BadInput: a schedule cannot be parsed, or the law does not say which one it was measured with.
    """
    if answer.schedule is None or answer.peak_lr is None or answer.steps is None:
        raise BadInput(f"{answer.law} does not say a peak LR and its schedule, which a conversion needs.")
    source, target = (_schedule(spec, answer.steps) for spec in (answer.schedule, schedule))
    if not {"warmup_steps", "warmup_fraction"} & set(parse(schedule)):
        target = replace(target, warmup_steps=source.warmup_steps, warmup_fraction=source.warmup_fraction)
    peak = answer.peak_lr.value
    factor = transfer(_shape(source, answer.steps, peak), _shape(target, answer.steps, peak))
    lr = replace(
        answer.peak_lr,
        value=peak * factor,
        low=None if answer.peak_lr.low is None else answer.peak_lr.low * factor,
        high=None if answer.peak_lr.high is None else answer.peak_lr.high * factor,
    )
    band = answer.safe_band["peak_lr"]
    name = spec_string(target)
    return replace(
        answer,
        peak_lr=lr,
        safe_band={**answer.safe_band, "peak_lr": None if band is None else [value * factor for value in band]},
        schedule=name,
        final_lr=float(_shape(target, answer.steps, lr.value)[-1]),
        lr_factor=factor,
        warnings=[
            *answer.warnings,
            f"the LR was measured with {answer.schedule} and is converted to {name} by ×{factor:.3f}, the ratio of the "
            "base LRs that minimise the convex bound (arXiv 2501.18965), which the interval does not cover.",
        ],
    )


def _schedule(spec: str, steps: int) -> ScheduleConfig:
    config = ScheduleConfig(**parse(spec))
    if config.name == "power":
        raise BadInput(f"schedule '{spec}' says its LR itself, by a and b, and no other: expected another schedule.")
    if config.name in FROM_FILE:
        check_file({"name": config.name, "file": config.file or ""}, steps)
    return config


def _shape(config: ScheduleConfig, steps: int, peak: float):
    """The schedule at `_STEPS` steps, its warm-up and cooldown the same shares of the run."""
    if config.name in FROM_FILE:
        lr = schedule_array(config, steps, peak)
        return lr[np.linspace(0, steps - 1, min(steps, _STEPS)).round().astype(int)]
    if config.warmup_steps is not None:
        config = replace(config, warmup_steps=None, warmup_fraction=min(config.warmup_steps / steps, LONGEST_WARMUP))
    return schedule_array(config, min(steps, _STEPS), peak)
