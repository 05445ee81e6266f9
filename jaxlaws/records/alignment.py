"""Curves whose loss falls before their learning rate does: the two columns belong to different steps."""

from __future__ import annotations

import numpy as np

from jaxlaws.records.doubts import ask
from jaxlaws.records.table import Curve, Runs
from jaxlaws.text import printable

#: Share of the plateau of the LR whose slope is the trend, and the share at its end whose slope is compared.
TREND, END = (0.5, 0.8), 0.88
#: Losses that each needs.
MIN_POINTS = 6
#: How much steeper the end has to be, in multiples of the trend and in standard errors beyond.
STEEPER, ERRORS = 3.0, 8.0
#: Share of the fall from the plateau's end to the last loss that the end has to have of its own.
SHARE = 0.15


def aligned(runs: Runs) -> Runs:
    """Asks about curves whose loss bends down at the end of the LR's plateau, where nothing has changed yet."""
    early = [name for name, curve in runs.curves.items() if falls_early(curve)]
    if not early:
        return runs
    return ask(
        runs,
        "alignment",
        f"the loss of {len(early)} of {len(runs.curves)} curves falls while the learning rate is still constant "
        f"(first: '{printable(early[0])}'): the steps of the LR and of the loss may be shifted or counted differently",
        "give the LR of the step whose loss is in the same row",
    )


def falls_early(curve: Curve) -> bool:
    """Whether the loss falls much faster at the end of a plateau of the LR than in its middle."""
    start, stop = max(curve.warmup_steps, 1), _plateau_end(curve)
    length = stop - start
    if length < 0.2 * len(curve.lr) or curve.lr[-1] > 0.5 * curve.lr.max():
        return False
    share = (curve.at - start) / length
    trend = (share >= TREND[0]) & (share < TREND[1])
    end = (share >= END) & (curve.at < stop)
    if trend.sum() < MIN_POINTS or end.sum() < MIN_POINTS:
        return False
    (slope, error), (steep, steep_error) = (_slope(share[part], curve.loss[part]) for part in (trend, end))
    excess = STEEPER * min(slope, 0.0) - steep
    fall = curve.loss[end][0] - curve.loss[-1]
    return bool(excess > ERRORS * np.hypot(STEEPER * error, steep_error) and excess * (1 - END) > SHARE * abs(fall))


def _plateau_end(curve: Curve) -> int:
    """The first step after the warm-up whose LR is below 98% of the peak."""
    low = np.flatnonzero(curve.lr[curve.warmup_steps :] < 0.98 * curve.lr.max())
    return curve.warmup_steps + int(low[0]) if len(low) else len(curve.lr)


def _slope(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Least-squares slope and its standard error."""
    x, y = x - x.mean(), y - y.mean()
    slope = float(x @ y / (x @ x))
    return slope, float(np.sqrt(np.sum((y - slope * x) ** 2) / max(len(x) - 2, 1) / (x @ x)))
