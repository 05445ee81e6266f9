"""A schedule as a config: the dataclass that names a family and its numbers, and the array that it stands for."""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from jaxlaws.errors import BadInput, unknown
from jaxlaws.schedules import families


@dataclass
class ScheduleConfig:
    """A schedule by name, relative to the peak LR that the optimizer config holds.

    Attributes:
      name: a name of `FAMILIES`.
      warmup_fraction: linear warm-up as a share of the steps.
      warmup_steps: the same as a number of steps; wins where given.
      floor: last LR as a share of the peak; by default the family's own, of `FLOORS`.
      floor_lr: the same as a learning rate, such as Step Law's 1e-5; wins where given.
      cooldown: share of the steps in the decay (wsd).
      shape: shape of the decay (wsd): linear, 1-sqrt, exponential, cosine.
      file: a CSV with columns step,lr (table); its largest LR is scaled to the peak.
    """

    name: str = "cosine"
    warmup_fraction: float = 0.05
    warmup_steps: int | None = None
    floor: float | None = None
    floor_lr: float | None = None
    cooldown: float = 0.2
    shape: str = "linear"
    file: str | None = None


def _constant(c: ScheduleConfig, steps: int, warmup: int, floor: float) -> np.ndarray:
    return families.constant(steps, warmup)


def _cosine(c: ScheduleConfig, steps: int, warmup: int, floor: float) -> np.ndarray:
    return families.cosine(steps, warmup, floor)


def _linear(c: ScheduleConfig, steps: int, warmup: int, floor: float) -> np.ndarray:
    return families.linear(steps, warmup, floor)


def _wsd(c: ScheduleConfig, steps: int, warmup: int, floor: float) -> np.ndarray:
    return families.wsd(steps, warmup, c.cooldown, c.shape, floor)


def _table(c: ScheduleConfig, steps: int, warmup: int, floor: float) -> np.ndarray:
    lr = read_table(_file(c))
    if len(lr) != steps:
        raise BadInput(f"{c.file} has {len(lr)} steps, the run has {steps}: set steps={len(lr)}.")
    return lr / lr.max()


#: Family name → (config, steps, warm-up steps, floor) → lr[steps] relative to the peak.
FAMILIES: dict[str, Callable[[ScheduleConfig, int, int, float], np.ndarray]] = {
    "constant": _constant,
    "cosine": _cosine,
    "linear": _linear,
    "wsd": _wsd,
    "table": _table,
}
#: The floor of a family where none is given.
FLOORS = {"cosine": 0.1, "linear": 0.0, "wsd": 0.0, "constant": 1.0, "table": 0.0}
#: The fields that each family reads, besides its name: those of other families are no part of a run's identity.
READS: dict[str, tuple[str, ...]] = {
    "constant": ("warmup_fraction", "warmup_steps"),
    "cosine": ("warmup_fraction", "warmup_steps", "floor", "floor_lr"),
    "linear": ("warmup_fraction", "warmup_steps", "floor", "floor_lr"),
    "wsd": ("warmup_fraction", "warmup_steps", "floor", "floor_lr", "cooldown", "shape"),
    "table": (),
}


def warmup_steps(config: ScheduleConfig, steps: int) -> int:
    """W, the number of warm-up steps in a run of `steps` steps (0 for a table: its own first steps say)."""
    if config.name == "table":
        return 0
    return round(config.warmup_fraction * steps) if config.warmup_steps is None else config.warmup_steps


def schedule_array(config: ScheduleConfig, steps: int, peak_lr: float) -> np.ndarray:
    """lr[steps], float64: the learning rate of every step.

    Raises:
      BadInput: an unknown name, a warm-up longer than the run, a floor outside [0, 1], or any LR that makes no sense.
    """
    if config.name not in FAMILIES:
        raise unknown("schedule", config.name, FAMILIES)
    if steps < 1:
        raise BadInput(f"steps is {steps}, expected at least one.")
    if not peak_lr > 0:
        raise BadInput(f"optimizer.peak_lr is {peak_lr}, expected more than zero.")
    warmup = warmup_steps(config, steps)
    if not 0 <= warmup <= steps:
        raise BadInput(f"the warm-up has {warmup} steps, the run has {steps}: shorten schedule.warmup_steps.")
    floor = _floor(config) if config.floor_lr is None else config.floor_lr / peak_lr
    if not 0 <= floor <= 1:
        raise BadInput(f"the floor of the schedule is {floor:.3g} of the peak, expected a share between 0 and 1.")
    if config.name == "wsd":
        if not 0 <= config.cooldown <= 1:
            raise BadInput(f"schedule.cooldown is {config.cooldown}, expected a share of the steps between 0 and 1.")
        if config.shape == "exponential" and floor == 0:
            raise BadInput("an exponential decay cannot end at zero: set schedule.floor above 0.")
    return peak_lr * FAMILIES[config.name](config, steps, warmup, floor)


def identity(config: ScheduleConfig) -> dict[str, object]:
    """What of the config decides the array: the fields that its family reads, a table by its content, not its path."""
    if config.name not in FAMILIES:
        raise unknown("schedule", config.name, FAMILIES)
    settings: dict[str, object] = {"name": config.name} | {name: getattr(config, name) for name in READS[config.name]}
    if "floor" in settings:
        settings["floor"] = _floor(config)
    if config.name == "table":
        settings["sha256"] = hashlib.sha256(read_table(_file(config)).tobytes()).hexdigest()
    return settings


def parse(text: str) -> dict[str, Any]:
    """The fields of `name` or `name(key=value, …)`, as `spec_string` writes it: `ScheduleConfig(**parse(text))`.

    Raises:
      BadInput: an unknown name or key, or a value of the wrong type.
    """
    match = re.fullmatch(r"\s*([\w-]+)\s*(?:\((.*)\))?\s*", text)
    if match is None:
        raise BadInput(f"schedule is '{text}', expected NAME or NAME(key=value, …) such as wsd(cooldown=0.2).")
    if match[1] not in FAMILIES:
        raise unknown("schedule", match[1], FAMILIES)
    kinds = {item.name: str(item.type) for item in fields(ScheduleConfig) if item.name != "name"}
    given: dict[str, Any] = {"name": match[1]}
    for part in filter(None, (part.strip() for part in (match[2] or "").split(","))):
        key, _, value = (piece.strip() for piece in part.partition("="))
        if key not in kinds:
            raise unknown("field of the schedule", key, kinds)
        try:
            given[key] = int(value) if "int" in kinds[key] else float(value) if "float" in kinds[key] else value
        except ValueError:
            raise BadInput(f"schedule '{text}' has '{value}' for {key}, expected a number.") from None
    return given


def spec_string(config: ScheduleConfig) -> str:
    """The schedule as one short string, such as `wsd(cooldown=0.2, floor=0.0, shape=linear, warmup_fraction=0.05)`."""
    if config.name == "table":
        return f"table({_file(config).name})"
    numbers = {name: getattr(config, name) for name in READS[config.name] if getattr(config, name) is not None}
    if "floor" in READS[config.name]:
        numbers["floor"] = _floor(config)
    for given, default in (("warmup_steps", "warmup_fraction"), ("floor_lr", "floor")):
        if given in numbers:
            del numbers[default]
    return f"{config.name}({', '.join(f'{name}={value}' for name, value in sorted(numbers.items()))})"


def read_table(path: Path) -> np.ndarray:
    """lr[steps] from a CSV with the columns step,lr: every step once, in order, counted from its first."""
    if not path.is_file():
        raise BadInput(f"schedule.file '{path}' is not a file, expected a CSV with the columns step,lr.")
    with path.open(newline="") as stream:
        reader = csv.DictReader(stream)
        if not {"step", "lr"} <= set(reader.fieldnames or ()):
            raise BadInput(f"{path} has the columns {reader.fieldnames}, expected step,lr.")
        try:
            rows = [(int(row["step"]), float(row["lr"])) for row in reader]
        except (TypeError, ValueError) as error:
            raise BadInput(f"{path} has a row that is not a step and a learning rate ({error}).") from None
    if not rows or [step for step, _ in rows] != list(range(rows[0][0], rows[0][0] + len(rows))):
        raise BadInput(f"{path} does not hold every step once and in order.")
    lr = np.array([value for _, value in rows])
    if not np.all(np.isfinite(lr)) or lr.min() < 0 or lr.max() <= 0:
        raise BadInput(f"{path} has a learning rate that is negative or not a number, or none above zero.")
    return lr


def _floor(config: ScheduleConfig) -> float:
    return FLOORS[config.name] if config.floor is None else config.floor


def _file(config: ScheduleConfig) -> Path:
    if config.file is None:
        raise BadInput("schedule=table needs schedule.file=PATH, a CSV with the columns step,lr.")
    return Path(config.file)
