"""Curves whose loss falls before their learning rate does: the two columns belong to different steps."""

from __future__ import annotations

import numpy as np

from jaxlaws.records.doubts import ask
from jaxlaws.records.table import Curve, Runs
from jaxlaws.text import printable

#: Share of the LR's plateau whose line is the trend, and where the shares at its end begin for the comparison.
TREND, ENDS = (0.4, 0.75), (0.85, 0.92, 0.96)
#: Fewest losses of each part.
MIN_POINTS = 5
#: How far the end has to lie below the line, in standard errors, and as a share of the fall that follows.
ERRORS, SHARE = 5.0, 0.08


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
    """Whether the loss at the end of a plateau of the LR lies below the line through its middle.

    A loss along a constant LR falls ever more slowly, so that it ends above that line.
    """
    start, stop = max(curve.warmup_steps, 1), _plateau_end(curve)
    length = stop - start
    if length < 0.2 * len(curve.lr) or curve.lr[-1] > 0.5 * curve.lr.max():
        return False
    share, on = (curve.at - start) / length, curve.at < stop
    middle = (share >= TREND[0]) & (share < TREND[1])
    ends = [part for begin in ENDS if (part := (share >= begin) & on).sum() >= MIN_POINTS]
    if not ends or middle.sum() < MIN_POINTS:
        return False
    x, y = share[middle] - share[middle].mean(), curve.loss[middle]
    slope = float(x @ y / (x @ x))
    residual = y - np.polyval(np.polyfit(x, y, 2), x)
    correlation = float(np.clip(residual[1:] @ residual[:-1] / max(residual @ residual, 1e-300), 0.0, 0.9))
    sd = np.sqrt(residual @ residual / (len(x) - 3) * (1 + correlation) / (1 - correlation))
    for part in ends:
        away = share[part].mean() - share[middle].mean()
        below = y.mean() + slope * away - curve.loss[part].mean()
        error = sd * np.sqrt(1 / part.sum() + 1 / len(x) + away**2 / (x @ x))
        if below > max(ERRORS * error, SHARE * (curve.loss[part].mean() - curve.loss[-1]), 1e-9):
            return True
    return False


def _plateau_end(curve: Curve) -> int:
    """The first step after the warm-up whose LR is below 98% of the peak."""
    low = np.flatnonzero(curve.lr[curve.warmup_steps :] < 0.98 * curve.lr.max())
    return curve.warmup_steps + int(low[0]) if len(low) else len(curve.lr)
