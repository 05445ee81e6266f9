"""Figures of a loss law beside measured losses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxlaws.figures import STYLE
from jaxlaws.fitting.columns import metric_of
from jaxlaws.fitting.points import Points, points
from jaxlaws.fitting.predict import evaluate
from jaxlaws.fitting.result import LossFit
from jaxlaws.records.arrays import Data, as_runs

#: Number of curves with a colour and a label of their own.
_MOST_LABELS = 10


def residuals(fit: LossFit, runs: Data) -> Figure:
    """Measured and predicted losses on the left, their residuals on the right.

    Args:
      fit: of a loss law.
      runs: whatever holds the columns, or the curves, that the law reads.

    Raises:
      BadInput: something that the law reads is missing, or it has no finite loss there.
    """
    convention, law = fit.convention, fit.model
    table = as_runs(runs, law.kind == "curve", metric_of(law))
    data = points(law, table, convention.get("params"), convention.get("warmup_ld", "included"))
    prediction = evaluate(replace(fit, draws={}), data.inputs)[0]
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    along = _along_curves if law.kind == "curve" else _by_runs
    along(left, right, data, prediction)
    right.axhline(0, color=STYLE["muted"], lw=1)
    unit = "measured over predicted, %" if not data.signed else "measured − predicted, % of the mean size"
    right.set(ylabel=unit)
    figure.suptitle(f"{fit.law}: {fit.status.replace('_', ' ')}, rms {_rms(data, prediction):.2%}", fontsize=10)
    return figure


def _rms(data: Points, prediction: np.ndarray) -> float:
    return float(np.sqrt(np.mean(data.residual(prediction) ** 2)))


def _by_runs(left: Axes, right: Axes, data: Points, prediction: np.ndarray) -> None:
    """One point a run: measured against predicted, and the residual by the predicted loss."""
    both = np.concatenate([data.loss, prediction])
    ends = (both.min(), both.max())
    left.plot(ends, ends, color=STYLE["muted"], lw=1)
    left.plot(prediction, data.loss, ".", color=STYLE["measured"])
    left.set(xlabel="predicted", ylabel="measured")
    right.plot(prediction, 100 * data.residual(prediction), ".", color=STYLE["measured"])
    right.set(xlabel="predicted")


def _along_curves(left: Axes, right: Axes, data: Points, prediction: np.ndarray) -> None:
    """A curve for each run, measured as points and predicted as lines, by the step."""
    residual = 100 * data.residual(prediction)
    for i, name in enumerate(data.names):
        rows, color = data.run == i, f"C{i}" if i < _MOST_LABELS else STYLE["muted"]
        steps = data.at[rows] + 1
        left.plot(steps, data.loss[rows], ".", color=color, markersize=3)
        left.plot(steps, prediction[rows], color=color, lw=1, label=name if i < _MOST_LABELS else None)
        right.plot(steps, residual[rows], color=color, lw=1)
    left.set(xlabel="step", ylabel="loss")
    left.legend(frameon=False, fontsize=7)
    right.set(xlabel="step")
