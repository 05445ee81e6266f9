"""Errors of predictions: curve by curve, over a set of curves, and of the gaps between schedules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from jaxlaws.fitting.points import Points

METRICS = ("r2", "mae", "rmse", "pred_e", "worst_e")


def errors(loss: np.ndarray, prediction: np.ndarray, constant: np.ndarray | float | None = None) -> dict[str, float]:
    """R², mean and root mean square error in nats, mean and worst error relative to the loss.

    Of a metric that is not positive everywhere they are relative to its mean size.
    With `constant`, what one would say without a law (the mean of what was fitted), its root mean square error too.
    """
    off = prediction - loss
    size = loss if np.all(loss > 0) else np.mean(np.abs(loss))
    variation = float(np.sum((loss - loss.mean()) ** 2))
    return {
        "r2": 1 - float(np.sum(off**2)) / variation if variation > 0 else float("nan"),
        "mae": float(np.mean(np.abs(off))),
        "rmse": float(np.sqrt(np.mean(off**2))),
        "pred_e": float(np.mean(np.abs(off) / size)),
        "worst_e": float(np.max(np.abs(off) / size)),
        **({} if constant is None else {"constant_rmse": float(np.sqrt(np.mean((constant - loss) ** 2)))}),
    }


def by_curve(points: Points, prediction: np.ndarray, train: Sequence[str] | None) -> dict[str, dict]:
    """`errors` of every run with its split: `train`, `test`, or `-` where nothing was held out."""
    split = {name: "-" if train is None else "train" if name in train else "test" for name in points.names}
    return {
        name: {"split": split[name], **errors(points.loss[points.run == i], prediction[points.run == i])}
        for i, name in enumerate(points.names)
    }


def average(curves: Mapping[str, Mapping], split: str) -> dict[str, float]:
    """Every metric averaged over the curves of a split, as the papers do."""
    members = [curve for curve in curves.values() if curve["split"] == split]
    return {name: float(np.mean([curve[name] for curve in members])) for name in METRICS} if members else {}


def gaps(points: Points, prediction: np.ndarray, train: Sequence[str] | None, most: int = 60) -> dict:
    """Errors of predicted loss differences between two schedules at the last step of both.

    Pairs have at least one held-out curve where some are held out. Losses are means over the last three evaluations up
    to that step, so that the noise of one evaluation does not dominate.

    Returns:
      `pairs`, `mae` and `mean_measured` (nats), and `worst`: the pair with its measured and predicted gap.
    """
    test = [i for i, name in enumerate(points.names) if train is None or name not in train]
    rows = []
    for i in test[:most]:
        for j in range(len(points.names)):
            if j == i or (j in test and j < i):
                continue
            ends = [int(points.at[points.run == k][-1]) for k in (i, j)]
            step = min(ends)
            tail = [np.flatnonzero((points.run == k) & (points.at <= step))[-3:] for k in (i, j)]
            near = [len(rows_k) == 3 and points.at[rows_k[-1]] >= 0.98 * step for rows_k in tail]
            if not all(near):
                continue
            gap, guess = (
                float(np.mean(value[tail[0]]) - np.mean(value[tail[1]])) for value in (points.loss, prediction)
            )
            rows.append((points.names[i], points.names[j], step, gap, guess))
    if not rows:
        return {}
    off = [abs(row[4] - row[3]) for row in rows]
    worst = rows[int(np.argmax(off))]
    return {
        "pairs": len(rows),
        "mae": float(np.mean(off)),
        "mean_measured": float(np.mean([abs(row[3]) for row in rows])),
        "worst": dict(zip(("first", "second", "step", "measured", "predicted"), worst, strict=True)),
    }


def decay_ratio(points: Points, prediction: np.ndarray, train: Sequence[str] | None) -> dict[str, float]:
    """Measured over predicted gaps between schedules that both decay: below 1 the law exaggerates them.

    Pairs of curves that end within 2% of the same step with the LR below half its peak; at least one is held out where
    some are. Losses are means over the last three evaluations.

    Returns:
      `ratio` Σ mp/Σ p² of measured gaps m on predicted ones p, its standard error `se`, and `pairs`; empty below three
      pairs.
    """
    ends = []
    for i, name in enumerate(points.names):
        rows = np.flatnonzero(points.run == i)[-3:]
        if len(rows) == 3 and points.inputs["lr"][rows[-1]] < 0.5 * points.inputs["peak"][rows[-1]]:
            test = train is None or name not in train
            ends.append((int(points.at[rows[-1]]), test, points.loss[rows].mean(), prediction[rows].mean()))
    measurements, guess = [], []
    for i, (end, test, loss, value) in enumerate(ends):
        for other_end, other_test, other_loss, other_value in ends[:i]:
            if (test or other_test) and min(end, other_end) >= 0.98 * max(end, other_end):
                measurements.append(loss - other_loss)
                guess.append(value - other_value)
    m, p = np.array(measurements), np.array(guess)
    if len(m) < 3 or not np.any(p):
        return {}
    ratio = float(np.sum(m * p) / np.sum(p**2))
    return {"ratio": ratio, "se": float(np.sqrt(np.mean((m - ratio * p) ** 2) / np.sum(p**2))), "pairs": len(m)}
