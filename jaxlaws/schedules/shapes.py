"""Parts of schedules: forms of a warm-up and of a decay, and the two pieces that place them among the steps.

Everything is written over an array namespace `xp`: numpy (float64, whole steps) by default, or `jax.numpy`, where a
schedule is traced, differentiable in its numbers and vmappable, and a boundary may lie between two steps.

k = t+1 counts the steps up to and including step t. A warm-up of W steps is k/W, so step W−1 is at the peak. Inside a
decay of n steps that begins at step s, u = (k−s)/n, so its last step is at the floor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from jaxlaws.errors import unknown

Array = Any
#: (u in (0, 1], floor f, namespace) → multiplier: 1 at u = 0 and f at u = 1.
Form = Callable[[Array, Array, Any], Array]

#: Forms of a decay, by name.
SHAPES: dict[str, Form] = {
    "linear": lambda u, f, xp: f + (1 - f) * (1 - u),
    "1-sqrt": lambda u, f, xp: f + (1 - f) * (1 - xp.sqrt(u)),
    "exponential": lambda u, f, xp: f**u,
    "power-1.5": lambda u, f, xp: f + (1 - f) * (1 - u) ** 1.5,
    "square": lambda u, f, xp: f + (1 - f) * (1 - u**2),
    "cosine": lambda u, f, xp: f + (1 - f) * 0.5 * (1 + xp.cos(np.pi * u)),
    "rex": lambda u, f, xp: f + (1 - f) * (1 - u) / (0.5 + 0.5 * (1 - u)),
}
#: Forms of a warm-up, by name: (v = k/W in (0, 1], namespace) → multiplier, 1 at v = 1.
WARMUPS: dict[str, Callable[[Array, Any], Array]] = {
    "linear": lambda v, xp: v,
    "cosine": lambda v, xp: 0.5 * (1 - xp.cos(np.pi * v)),
    "sqrt": lambda v, xp: xp.sqrt(v),
}


def shape_of(name: str) -> Form:
    """The form of a decay by name; `BadInput` names the valid ones."""
    if name not in SHAPES:
        raise unknown("decay shape", name, SHAPES)
    return SHAPES[name]


def count(steps: int, xp: Any) -> Array:
    """k = 1 … T as floats."""
    return xp.arange(1, steps + 1, dtype=float)


def whole(length: Array, xp: Any) -> Array:
    """A length in steps: the nearest whole number under numpy, as it is under a namespace that traces."""
    return np.rint(length) if xp is np else length


def warm_up(k: Array, warmup_steps: Array, after: Array, shape: str, xp: Any) -> Array:
    """The warm-up before its last step, then `after`."""
    if shape not in WARMUPS:
        raise unknown("warm-up shape", shape, WARMUPS)
    inside = k < warmup_steps
    v = xp.where(inside, k / xp.where(warmup_steps > 0, warmup_steps, 1), 1.0)
    return xp.where(inside, WARMUPS[shape](v, xp), after)


def decay(k: Array, start: Array, length: Array, form: Form, floor: Array, level: Array, xp: Any) -> Array:
    """`level` up to `start`, from there level · form(u, floor/level) over `length` steps, then the floor."""
    inside = k > start
    u = xp.where(inside, (k - start) / xp.where(length > 0, length, 1), 1.0)
    return xp.where(inside, level * form(xp.minimum(u, 1.0), floor / level, xp), level)
