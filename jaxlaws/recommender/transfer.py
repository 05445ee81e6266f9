"""A peak LR for another schedule or warm-up than the one that its law was measured with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from jaxlaws.designs.bound import transfer
from jaxlaws.errors import BadInput
from jaxlaws.recommender.case import Case, Change, Refusal
from jaxlaws.recommender.override import LONGEST_WARMUP, check_file
from jaxlaws.schedules.config import family
from jaxlaws.schedules.names import FROM_FILE
from jaxlaws.schedules.spec import ScheduleConfig, identity, parse, reads, schedule_array, spec_string
from jaxlaws.text import printable

#: Steps of the arrays for the bound: the ratio depends on the shapes and hardly on the length.
_STEPS = 4000
#: rms error of the ln of the factor over the 60 pairs of `experiments/lr_transfer.py`.
SD = 0.11


def change(case: Case) -> Change | Refusal | None:
    """γ*(schedule asked for)/γ*(schedule of the law) of the convex bound; the warm-up is the law's unless asked for.

    Raises:
      BadInput: the schedule that is asked for cannot be parsed, or does not go with the warm-up or the run.
    """
    source = _law_schedule(case)
    target = _target(case, source)
    if source is None:
        spec = case.convention.get("schedule")
        what = "does not state its schedule" if spec is None else f"was measured with '{printable(spec)}'"
        return Refusal(f"{case.law} {what}, and the bound needs one shape to convert from", _arguments(target))
    if case.steps is None:
        reason = f"{case.law} gives no batch here, so no number of steps, which the bound needs for the warm-up"
        return Refusal(reason, _arguments(target))
    if identity(source) == identity(target):
        return None
    peak = case.peak_lr
    factor = transfer(_shape(source, case.steps, peak), _shape(target, case.steps, peak))
    name = spec_string(target)
    return Change(
        f"the LR was measured with {spec_string(source)} and is converted to {name} by ×{factor:.3f}, the ratio of "
        "the base LRs that minimise the convex bound (arXiv 2501.18965), ×/÷1.12 where that was measured.",
        factor,
        SD,
        {
            "schedule": name,
            "final_lr": float(_shape(target, case.steps, peak * factor)[-1]),
            "warmup_steps": target.warmup_steps,
        },
    )


def _law_schedule(case: Case) -> ScheduleConfig | None:
    """The law's schedule with its warm-up, None where it names none."""
    spec, steps = case.convention.get("schedule"), case.convention.get("warmup_steps")
    try:
        fields = parse(str(spec))
    except BadInput:
        return None
    if fields["name"] in ("power", "optax"):  # one has no shape of its own, the other would run a program
        return None
    if fields["name"] in FROM_FILE and case.steps is not None:
        check_file({"name": fields["name"], "file": fields.get("file", "")}, case.steps)
    warm = "warmup_steps" in reads(fields["name"]) and not {"warmup_steps", "warmup_fraction"} & set(fields)
    if warm and steps is not None:
        fields["warmup_steps"] = int(steps)
    return ScheduleConfig(**fields)


def _target(case: Case, source: ScheduleConfig | None) -> ScheduleConfig:
    """The schedule of the question, or the law's own, with the warm-up of the question, or the law's own."""
    spec, warmup = case.request.get("schedule"), case.request.get("warmup")
    if spec is None:
        if source is None:
            raise BadInput(f"{case.law} does not state its schedule: give --schedule with --warmup.")
        config, own = source, False
    else:
        fields = parse(spec)
        config = _convertible(spec, ScheduleConfig(**fields), case.steps)
        own = bool({"warmup_steps", "warmup_fraction"} & set(fields)) or config.name in FROM_FILE
    if own:
        if warmup is not None:
            raise BadInput(f"--warmup and the schedule '{printable(spec)}' both give a warm-up: leave one out.")
        return config
    if warmup is None and source is not None:
        warmup = {"warmup_steps": source.warmup_steps, "warmup_fraction": source.warmup_fraction}
    if warmup is None:
        return config
    steps = warmup.get("warmup_steps")
    if "warmup" in case.request and steps is not None and case.steps is not None and steps >= case.steps:
        raise BadInput(f"warmup is {steps} steps, and the run has {case.steps}: give fewer, or a share such as 0.05.")
    return replace(config, **{"warmup_steps": None, **warmup})


def _convertible(spec: str, config: ScheduleConfig, steps: int | None) -> ScheduleConfig:
    """The schedule, if the bound can choose its LR in a run of `steps` steps; otherwise `BadInput`."""
    if config.name == "power":
        raise BadInput(f"schedule '{spec}' says its LR itself, by a and b, and no other: expected another schedule.")
    if config.name in FROM_FILE and steps is not None:
        check_file({"name": config.name, "file": config.file or ""}, steps)
    return config


def _arguments(config: ScheduleConfig) -> list[str]:
    """Arguments of `jaxlaws train` for the schedule without its warm-up."""
    own = {name: getattr(config, name) for name in (*family(config.name).fields, "floor_lr")}
    values = {name: value for name, value in own.items() if value is not None}
    if "floor_lr" in values:
        values.pop("floor", None)
    return [f"schedule={config.name}", *(f"schedule.{name}={value}".replace(" ", "") for name, value in values.items())]


def _shape(config: ScheduleConfig, steps: int, peak: float) -> np.ndarray:
    """The schedule at `_STEPS` steps, with its warm-up and cooldown at the same shares of the run."""
    if config.name in FROM_FILE:
        lr = schedule_array(config, steps, peak)
        return lr[np.linspace(0, steps - 1, min(steps, _STEPS)).round().astype(int)]
    if config.warmup_steps is not None:
        config = replace(config, warmup_steps=None, warmup_fraction=min(config.warmup_steps / steps, LONGEST_WARMUP))
    return schedule_array(config, min(steps, _STEPS), peak)
