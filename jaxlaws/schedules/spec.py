"""The array and the identity of a schedule's config, and its short string `wsd(cooldown=0.2)`, both ways."""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import fields
from typing import Any

import numpy as np

from jaxlaws.errors import BadInput, unknown
from jaxlaws.numeric import number, whole
from jaxlaws.schedules.config import SHARE, WINS, ScheduleConfig, family, numbers
from jaxlaws.schedules.exchange import MOST_LR
from jaxlaws.schedules.names import MOST_STEPS
from jaxlaws.text import brief

_KINDS = {item.name: str(item.type) for item in fields(ScheduleConfig) if item.name != "name"}


def warmup_steps(config: ScheduleConfig, steps: int) -> int:
    """W, the number of warm-up steps in a run of `steps` steps (0 for a file, which has its own warm-up)."""
    if not family(config.name).warmup:
        return 0
    if config.warmup_steps is not None:
        return config.warmup_steps
    if not 0 <= config.warmup_fraction <= 1:
        raise BadInput(f"schedule.warmup_fraction is {config.warmup_fraction}, expected {SHARE}.")
    return round(config.warmup_fraction * steps)


def schedule(spec: str, steps: int, peak_lr: float, warmup_steps: int | None = None) -> np.ndarray:
    """lr[steps], float64: the learning rate of every step of a schedule by name, with the peak `peak_lr`.

        >>> import jaxlaws
        >>> lr = jaxlaws.schedule("wsd(cooldown=0.2)", steps=1000, peak_lr=3e-4, warmup_steps=50)
        >>> [round(float(x / lr.max()), 3) for x in lr[[0, 49, 799, 899, 999]]]
        [0.02, 1.0, 1.0, 0.5, 0.0]

    Args:
      spec: NAME or NAME(key=value, …), as `jaxlaws schedule` lists them.
      steps: T.
      peak_lr: largest LR.
      warmup_steps: W; without it that of the spec, or else a twentieth of the steps.

    Raises:
      BadInput: an unknown name or key, or a number that makes no sense.
    """
    if not isinstance(spec, str):
        raise BadInput(f"the schedule is {brief(repr(spec))}, expected NAME or NAME(key=value, …).")
    config = ScheduleConfig(**parse(spec))
    if warmup_steps is not None:
        if not family(config.name).warmup:
            raise BadInput(f"schedule {config.name} has its warm-up in its file: leave out warmup_steps.")
        config.warmup_steps = whole("warmup_steps", warmup_steps)
    return schedule_array(config, whole("steps", steps), number("peak_lr", peak_lr))


def schedule_array(config: ScheduleConfig, steps: int, peak_lr: float) -> np.ndarray:
    """lr[steps], float64: the learning rate of every step.

    Raises:
      BadInput: an unknown name, a warm-up longer than the run, a floor outside [0, 1], or any number that makes no
        sense.
    """
    entry = family(config.name)
    if not 1 <= steps <= MOST_STEPS:
        raise BadInput(f"steps is {steps}, expected at least one and at most {MOST_STEPS:,}.")
    if not 0 < peak_lr <= MOST_LR:
        raise BadInput(f"optimizer.peak_lr is {peak_lr}, expected a finite number above zero, at most {MOST_LR:.0e}.")
    values = numbers(config)
    if not entry.warmup:
        lr = entry.array(steps=steps, **values)
        return lr * (peak_lr / lr.max())
    warmup = warmup_steps(config, steps)
    if not 0 <= warmup <= steps:
        raise BadInput(f"the warm-up has {warmup} steps, the run has {steps}: shorten schedule.warmup_steps.")
    if "floor" in values:
        values["floor"] = values["floor"] if config.floor_lr is None else config.floor_lr / peak_lr
    _check_together(config.name, values, steps - warmup)
    if config.name == "power":
        values["peak_lr"] = peak_lr
    return peak_lr * entry.array(steps, warmup, warmup_shape=config.warmup_shape, **values)


def _check_together(name: str, values: dict[str, Any], rest: int) -> None:
    """Raises `BadInput` for numbers that contradict each other; `rest` steps follow the warm-up."""
    floor = values.get("floor", 1.0)
    if not 0 <= floor <= 1:
        raise BadInput(f"the floor of the schedule is {floor:.3g} of the peak, expected a share between 0 and 1.")
    if floor == 0 and (name == "infinite" or values.get("shape") == "exponential"):
        raise BadInput("an exponential decay cannot end at zero: set schedule.floor above 0.")
    if floor > values.get("level", 1.0):
        raise BadInput(f"the floor is {floor:.3g}, above schedule.level {values['level']:.3g}: lower it.")
    if values.get("cycles", 1) > max(rest, 1):
        raise BadInput(f"schedule.cycles is {values['cycles']}, and {rest} steps follow the warm-up: ask for fewer.")
    if abs(math.log(values.get("growth", 1.0))) * values.get("cycles", 1) > 600:
        raise BadInput(
            f"schedule.growth is {values['growth']}, over {values['cycles']} cycles no number: bring it near 1."
        )
    if "values" in values and len(values["values"]) != len(values["milestones"]):
        raise BadInput(f"schedule.values has {len(values['values'])} numbers, milestones {len(values['milestones'])}.")


def identity(config: ScheduleConfig) -> dict[str, object]:
    """The parts of the config that determine the array: the fields of its family, a file by its content."""
    entry, settings = family(config.name), {"name": config.name, **numbers(config)}
    if entry.warmup:
        settings |= {"warmup_fraction": config.warmup_fraction, "warmup_steps": config.warmup_steps}
        if config.warmup_shape != "linear":
            settings["warmup_shape"] = config.warmup_shape
    if "floor" in entry.fields:
        settings["floor_lr"] = config.floor_lr
    if entry.content is not None:
        settings["sha256"] = hashlib.sha256(entry.content(settings.pop("file"))).hexdigest()
    return settings


def parse(text: str) -> dict[str, Any]:
    """The fields of `name` or `name(key=value, …)`, as `spec_string` writes it: `ScheduleConfig(**parse(text))`.

    Raises:
      BadInput: an unknown name, a key that the family does not read, or a value of the wrong type.
    """
    match = re.fullmatch(r"\s*([\w-]+)\s*(?:\((.*)\))?\s*", text)
    if match is None:
        raise BadInput(f"schedule is '{brief(text)}', expected NAME or NAME(key=value, …) such as wsd(cooldown=0.2).")
    valid = reads(match[1]) - {"name"}
    values: dict[str, Any] = {"name": match[1]}
    for part in filter(None, (part.strip() for part in re.split(r",(?![^\[]*\])", match[2] or ""))):
        key, _, value = (piece.strip() for piece in part.partition("="))
        if key not in valid:
            raise unknown(f"field of {match[1]}", key, valid)
        if key in values:
            raise BadInput(f"schedule '{brief(text)}' has {key} twice: leave one out.")
        values[key] = _value(value, key)
    for key, wins in WINS.items():
        if key in values and wins in values:
            raise BadInput(f"schedule '{brief(text)}' has both {key} and {wins}: leave one out.")
    return values


def spec_string(config: ScheduleConfig) -> str:
    """The schedule as one short string, such as `wsd(cooldown=0.2, floor=0.0, shape=linear, warmup_fraction=0.05)`."""
    values = numbers(config)
    if family(config.name).warmup:
        name = "warmup_fraction" if config.warmup_steps is None else "warmup_steps"
        values[name] = getattr(config, name)
        if config.warmup_shape != "linear":
            values["warmup_shape"] = config.warmup_shape
    if "floor" in values and config.floor_lr is not None:
        del values["floor"]
        values["floor_lr"] = config.floor_lr
    inside = ", ".join(f"{name}={value}" for name, value in sorted(values.items()))
    return f"{config.name}({inside})"


def reads(name: str) -> set[str]:
    """The fields that a family reads; `BadInput` names the valid families."""
    entry = family(name)
    warmup = {"warmup_fraction", "warmup_steps", "warmup_shape"} if entry.warmup else set()
    return {"name"} | set(entry.fields) | warmup | ({"floor_lr"} if "floor" in entry.fields else set())


def _value(text: str, key: str) -> Any:
    kind, name = _KINDS[key], f"schedule.{key}"
    if "list" in kind:
        return [_number(part, name) for part in text.strip("[]").split(",")]
    if "int" in kind and not _number(text, name).is_integer():
        raise BadInput(f"{name} is {brief(text)}, expected a whole number.")
    return int(_number(text, name)) if "int" in kind else _number(text, name) if "float" in kind else text


def _number(text: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) <= 1e15:
        raise BadInput(f"{name} is '{brief(text)}', expected a number of at most 10¹⁵.")
    return value
