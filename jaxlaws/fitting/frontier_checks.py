"""Checks of the N*(C) of approaches 1 and 2 by their profiles: findings on plain numbers, as for a fitted law."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from jaxlaws.fitting.resample import rounding
from jaxlaws.status import Finding

if TYPE_CHECKING:
    from jaxlaws.fitting.isoflop import Profile

#: Factors between a stated budget and 6ND: above the first the count of FLOP differs, above the second it is no FLOP.
SAME_FLOPS, WRONG = 1.25, 2.5
#: Standard errors by which a profile must curve upwards to have a minimum.
MINIMUM = 3.0
#: Ratio of a loss to the median of its budget above which it is an outlier.
OUTLIER = 2.0
#: Share of the variance of ln N* that its power law in C must explain.
FOLLOWS = 0.5
_COLUMNS = "check the columns and the losses"
_GRID = "widen the grid of N at each budget, or use approach 3 (jaxlaws fit chinchilla)"


def of_profiles(profiles: Sequence[Profile]) -> list[Finding]:
    """Findings on budgets that differ from 6ND, on outliers, and on profiles without a minimum beyond their noise."""
    out = []
    ratio = np.concatenate([6 * p.params * p.tokens / p.flops for p in profiles])
    middle = float(np.exp(np.median(np.log(ratio))))
    off = float(np.exp(np.max(np.abs(np.log(ratio / middle)))))
    if max(middle, 1 / middle, off) > SAME_FLOPS:
        what = f"6ND is {middle:.3g} times flops_budget, and within a budget differs from that by up to ×{off:.3g}"
        status = "misfit" if max(middle, 1 / middle, off) > WRONG else "weak"
        out.append(Finding(status, what, "check the units of N, D and flops_budget, or leave flops_budget out"))
    far = sum(int(np.sum(p.loss > OUTLIER * np.median(p.loss))) for p in profiles)
    if far:
        what = f"{far} losses are more than {OUTLIER:g} times the median of their budget"
        out.append(Finding("misfit", what, "drop runs that diverged, and check the losses"))
    unit = rounding(np.concatenate([p.loss for p in profiles]))
    scores = [minimum_beyond_noise(np.log(p.params), p.loss, unit) for p in profiles]
    count = sum(value >= MINIMUM for value in scores)
    if count < max(2, len(profiles) / 2):
        what = f"{count} of {len(profiles)} budgets show a minimum of the loss beyond their noise"
        out.append(Finding("misfit", what, f"{_COLUMNS}, or {_GRID}"))
    elif count < len(profiles):
        what = f"{len(profiles) - count} of {len(profiles)} budgets show no minimum of the loss beyond their noise"
        out.append(Finding("weak", what, _GRID))
    return out


def minimum_beyond_noise(x: np.ndarray, y: np.ndarray, unit: float) -> float:
    """By how many standard errors the least-squares parabola through (x, y) opens upwards.

    Losses are known to `unit` at best; with three points the noise is not seen and `unit` stands for it.
    """
    basis = np.vander(x - x.mean(), 3)
    if np.linalg.matrix_rank(basis) < 3:
        return 0.0
    coefficients, *_ = np.linalg.lstsq(basis, y, rcond=None)
    dof = max(len(x) - 3, 1)
    sd = max(float(np.sqrt(np.sum((y - basis @ coefficients) ** 2) / dof)), unit)
    return float(coefficients[0] / (sd * np.sqrt(np.linalg.inv(basis.T @ basis)[0, 0])))


def of_frontier(flops: np.ndarray, best_params: np.ndarray, best_loss: np.ndarray, exponent: float) -> list[Finding]:
    """Findings where N* follows no possible power law in C, or the lowest loss does not fall with C."""
    out, x, y = [], np.log(flops), np.log(best_params)
    x = x - x.mean()
    if len(np.unique(flops)) < 3:
        out.append(Finding("weak", "N* rests on two budgets", "add runs at a third budget"))
    if not 0 < exponent < 1:
        what = f"N* would grow as C^{exponent:.3g}, and N and D both grow with C where the exponent is between 0 and 1"
        out.append(Finding("misfit", what, f"{_COLUMNS}, or {_GRID}"))
    falls = float(x @ np.log(best_loss))
    if falls >= 0 or np.ptp(best_loss) <= 1.5 * rounding(best_loss):
        out.append(Finding("misfit", "the lowest loss does not fall as compute grows", _COLUMNS))
    total = float(np.sum((y - y.mean()) ** 2))
    rest = float(np.sum((y - y.mean() - x * (x @ y) / (x @ x)) ** 2)) if np.any(x) else total
    if len(y) > 2 and rest > (1 - FOLLOWS) * total:
        what = f"a power law in C explains {1 - rest / max(total, 1e-300):.0%} of the variance of ln N*"
        out.append(Finding("misfit", what, f"{_COLUMNS}, or {_GRID}"))
    return out
