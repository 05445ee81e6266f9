"""A schedule family: linear decays from the peak to the floor, several times over."""

import numpy as np

from jaxlaws.schedules.config import FAMILIES, Family
from jaxlaws.schedules.shapes import warm_up


def sawtooth(steps, warmup_steps=0, floor=0.1, cycles=4, warmup_shape="linear", xp=np):
    """Warm-up, then `cycles` equal decays 1 − (1 − f)·u from the peak to the floor f."""
    k = xp.arange(1, steps + 1, dtype=float)
    u = (k - warmup_steps) * cycles / max(steps - warmup_steps, 1)
    body = 1 - (1 - floor) * xp.where(u > 0, u - xp.ceil(u) + 1, 0)
    return warm_up(k, warmup_steps, body, warmup_shape, xp)


FAMILIES["sawtooth"] = Family(sawtooth, {"floor": 0.1, "cycles": 4})
