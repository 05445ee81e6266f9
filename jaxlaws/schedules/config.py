"""A schedule as a config: the dataclass that names a family and its numbers, and the table of families."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from jaxlaws.errors import BadInput, unknown
from jaxlaws.plugins import Table
from jaxlaws.schedules import families, refine
from jaxlaws.schedules.exchange import optax_from, read_table


@dataclass
class ScheduleConfig:
    """A schedule by name, relative to the peak LR that the optimizer config holds.

    A family reads the fields that `FAMILIES` gives it, with a default where one is not given, and ignores the others.

    Attributes:
      name: a name of `FAMILIES`.
      warmup_fraction: warm-up as a share of the steps.
      warmup_steps: the same as a number of steps; wins where given.
      warmup_shape: linear, cosine or sqrt.
      floor: last LR as a share of the peak.
      floor_lr: the same as a learning rate, such as Step Law's 1e-5; wins where given.
      cooldown: share of the steps in the last decay, cut to what the phases before it leave.
      shape: of that decay: linear, 1-sqrt, exponential, power-1.5, square, cosine, rex.
      cycles, growth: cycles of a family that returns to the peak, and each one's length over the one's before it.
      descent, level: share of the steps in the first decay, and the level it reaches (infinite).
      phi: φ of UBA.
      milestones, values: shares of the steps, and the level from each on (step).
      a, b, batch_sequences, seq_len: constants of the power law, and the run's batch and sequence length.
      file: of a table: .csv with step,lr, .npy or .json; of refined: .csv with grad_norm; of optax: PATH.py:NAME,
        which is run as a Python program. The largest LR of a file is scaled to the peak.
      smooth, exponent: window of the norms' running median as a share of the steps, and the exponent (refined).
    """

    name: str = "cosine"
    warmup_fraction: float = 0.05
    warmup_steps: int | None = None
    warmup_shape: str = "linear"
    floor: float | None = None
    floor_lr: float | None = None
    cooldown: float | None = None
    shape: str | None = None
    cycles: int | None = None
    growth: float | None = None
    descent: float | None = None
    level: float | None = None
    phi: float | None = None
    milestones: list[float] | None = None
    values: list[float] | None = None
    a: float | None = None
    b: float | None = None
    batch_sequences: int | None = None
    seq_len: int | None = None
    file: str | None = None
    smooth: float | None = None
    exponent: float | None = None


@dataclass(frozen=True)
class Family:
    """A function of the steps and of some fields of the config.

    Attributes:
      array: (steps, …the fields) → [steps], relative to the peak; from a file, in any unit.
      fields: field → its default, None where it has to be given; no part of a run's identity are the others.
      warmup: has warm-up steps too; otherwise the array says them itself.
      content: file → what identifies it, of a family that reads one.
    """

    array: Callable[..., np.ndarray]
    fields: dict[str, Any] = field(default_factory=dict)
    warmup: bool = True
    content: Callable[[str], bytes] | None = None

    def __post_init__(self) -> None:
        names = {item.name for item in fields(ScheduleConfig)}
        for name in self.fields:
            if name not in names:
                raise unknown("field of a schedule", name, names)


def _table(steps: int, file: str) -> np.ndarray:
    """The learning rates of a file with one row a step, its largest one scaled to the peak."""
    lr = read_table(Path(file))
    if len(lr) != steps:
        raise BadInput(f"{file} has {len(lr)} steps, the run has {steps}: set steps={len(lr)}.")
    return lr


def _source(file: str) -> bytes:
    path, _, name = file.rpartition(":")
    if not Path(path).is_file():
        raise BadInput(f"schedule.file is '{file}', expected PATH.py:NAME, a file and the optax schedule in it.")
    return Path(path).read_bytes() + name.encode()


_DECAY = {"floor": 0.0, "cooldown": 0.2, "shape": "linear"}
_POWER = {"a": None, "b": None, "batch_sequences": None, "seq_len": None}
_OURS: dict[str, Family] = {
    "constant": Family(families.constant),
    "cosine": Family(families.cosine, {"floor": 0.1}),
    "linear": Family(families.linear, {"floor": 0.0}),
    "wsd": Family(families.wsd, _DECAY),
    "cosine_restarts": Family(families.cosine_restarts, {"floor": 0.0, "cycles": 2, "growth": 1.0}),
    "wsd_cycles": Family(families.wsd_cycles, _DECAY | {"cycles": 2, "growth": 1.0}),
    "inverse_sqrt": Family(families.inverse_sqrt, _DECAY | {"cooldown": 0.0}),
    "step": Family(families.step, {"milestones": [0.8, 0.9], "values": [0.316, 0.1]}),
    "rex": Family(families.rex, {"floor": 0.0}),
    "uba": Family(families.uba, {"floor": 0.0, "phi": 1.0}),
    "infinite": Family(families.infinite, {"floor": 0.01, "descent": 0.3, "level": 0.3, "cooldown": 0.1}),
    "power": Family(families.power, _POWER | _DECAY | {"cooldown": 0.1}),
    "refined": Family(
        refine.refined_from,
        {"file": None, "smooth": 0.1, "exponent": 2.0},
        warmup=False,
        content=lambda file: refine.read_norms(Path(file)).tobytes(),
    ),
    "table": Family(_table, {"file": None}, False, lambda file: read_table(Path(file)).tobytes()),
    "optax": Family(optax_from, {"file": None}, False, _source),
}
#: Name → family.
FAMILIES = Table("schedule", "jaxlaws.schedules", _OURS)

#: Field → the field that has precedence over it.
WINS = {"warmup_fraction": "warmup_steps", "floor": "floor_lr"}
SHARE = "a share of the steps between 0 and 1"
#: Field → (its domain in words, whether a value lies in it).
_VALID: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "cooldown": (SHARE, lambda x: 0 <= x <= 1),
    "descent": (SHARE, lambda x: 0 <= x <= 1),
    "smooth": (SHARE, lambda x: 0 <= x <= 1),
    "level": ("a share of the peak above 0 and at most 1", lambda x: 0 < x <= 1),
    "cycles": ("at least one", lambda x: x >= 1),
    "milestones": ("shares of the steps in increasing order", lambda x: [0, *x, 1] == sorted({0, *x, 1})),
    "values": ("shares of the peak between 0 and 1", lambda x: all(0 <= value <= 1 for value in x)),
    **dict.fromkeys(
        ("growth", "phi", "a", "exponent", "batch_sequences", "seq_len"),
        ("a finite number above zero", lambda x: 0 < x < math.inf),
    ),
    "b": ("a negative number", lambda x: -math.inf < x < 0),
}


def family(name: str) -> Family:
    """The family by name; `BadInput` names the valid ones."""
    if name not in FAMILIES:
        raise FAMILIES.unknown(name)
    return FAMILIES[name]


def numbers(config: ScheduleConfig) -> dict[str, Any]:
    """The fields that the family reads, or else their defaults; the floor is a share of the peak."""
    values = {}
    for name, default in family(config.name).fields.items():
        value = getattr(config, name)
        values[name] = default if value is None else value
        if values[name] is None:
            raise BadInput(f"schedule={config.name} needs schedule.{name}.")
        if name in _VALID and not _VALID[name][1](values[name]):
            raise BadInput(f"schedule.{name} is {values[name]}, expected {_VALID[name][0]}.")
    return values
