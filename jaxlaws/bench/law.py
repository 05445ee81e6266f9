"""A law as a function of a schedule of 24,000 steps: its value, its gradient and its whole curve, warm."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np

from jaxlaws.bench import Row, median_seconds
from jaxlaws.fitting.predict import open_fit, predict
from jaxlaws.fitting.result import LossFit
from jaxlaws.laws.call import FittedLaw
from jaxlaws.laws.table import get
from jaxlaws.schedules.spec import ScheduleConfig, schedule_array

STEPS, WARMUP, PEAK = 24_000, 2160, 3e-4
_LAWS: dict[str, dict[str, float] | None] = {
    "multi_power:25M": None,
    "annealing:25M": None,
    "bound": {"L0": 2.8, "A": 0.5, "B": 3.0, "alpha": 0.4},
    "noise_memory": {
        **{"L0": 3.0, "A": 0.4, "alpha": 0.57, "B": 30.0, "kappa": 0.18, "zeta": 0.57, "C": 1500.0, "beta": 0.2}
    },
    "fsl": {"L0": 2.8, "c1": 0.5, "s": 0.6, "c2": 300.0, "c3": 1.0, "c4": 20.0, "gamma": 0.8},
}
#: Points for `predict`, whose cost grows with their number.
_POINTS = 200


def rows(repeats: int = 5) -> list[Row]:
    """Seconds of each law in float64, and how far its curve is from what `predict` takes from compressed events."""
    lr = schedule_array(ScheduleConfig(name="cosine", floor=0.1, warmup_steps=WARMUP), STEPS, PEAK)
    with jax.enable_x64(True):
        return [row for name, params in _LAWS.items() for row in _of(name, _fit(name, params), lr, repeats)]


def _of(name: str, fit: LossFit, lr: np.ndarray, repeats: int) -> list[Row]:
    one = FittedLaw(fit.model, fit.params, fit.convention)
    end = partial(one, warmup_steps=WARMUP)
    slope, at = jax.jit(jax.grad(end)), np.arange(STEPS)
    out = [
        Row(f"{name}, {STEPS:,} steps: {what}", _warm(work, repeats))
        for what, work in (("the loss at the end", lambda: end(lr)), ("its gradient", lambda: slope(lr)))
    ]
    some = np.linspace(WARMUP, STEPS - 1, _POINTS).astype(int)
    baseline_call = partial(predict, fit, lr=lr, at=some, warmup_steps=WARMUP)
    baseline, prediction = median_seconds(baseline_call, 1)
    curve = partial(one, lr, at=at, warmup_steps=WARMUP)
    gap = float(np.abs(np.asarray(curve())[some] - prediction.value).max())
    label = f"`predict` at {_POINTS} points"
    return [*out, Row(f"{name}: the loss at every step", _warm(curve, repeats), baseline, label, f"within {gap:.1e}")]


def _fit(name: str, params: dict[str, float] | None) -> LossFit:
    if params is None:
        return open_fit(name)
    return LossFit(law=name, convention=get(name).convention, noise="published", params=params)


def _warm(work: Callable[[], Any], repeats: int) -> float:
    """Median seconds, without those of compiling."""
    jax.block_until_ready(work())
    return median_seconds(lambda: jax.block_until_ready(work()), max(repeats, 10))[0]
