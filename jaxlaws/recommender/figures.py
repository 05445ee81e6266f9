"""A law of LR and batch beside the optima of its cells."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from jaxlaws.figures import STYLE
from jaxlaws.recommender.hyperfit import AXES, MEANINGS, HyperFit
from jaxlaws.recommender.student import student
from jaxlaws.records.units import short

#: Axis → field of a cell with its best value, and of its standard error in logs.
_FIELDS = {"lr": ("peak_lr", "se_ln_lr"), "batch": ("batch_tokens", "se_ln_batch")}
#: Lines of the law that are drawn, one a model size.
_LINES = 6


def optima(fit: HyperFit) -> Figure:
    """The best LR on the left and the best batch on the right, by D, with a line of the law for each of some sizes N.

    Cells are points of the colour of their size, with intervals at the level of the fit.
    """
    axis_names = AXES if fit.batch_measured else AXES[:1]
    figure = Figure(figsize=(5 * len(axis_names), 3.8), layout="constrained")
    sizes = _sizes(fit)
    for axes, axis in zip(figure.subplots(1, len(axis_names), squeeze=False).flat, axis_names, strict=True):
        for i, params in enumerate(sizes):
            _line(axes, fit, axis, params, f"C{i}")
        for cell in fit.cells:
            nearest = int(np.argmin(np.abs(np.log(np.array(sizes) / cell["params"]))))
            _cell(axes, fit, axis, cell, f"C{nearest}")
        axes.set(xscale="log", yscale="log", xlabel="tokens", ylabel=MEANINGS[axis])
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    figure.axes[0].legend(frameon=False, fontsize=7, title="N", title_fontsize=7)
    figure.suptitle(f"{fit.law}: {fit.status.replace('_', ' ')}, {fit.level:.0%} intervals", fontsize=10)
    return figure


def _sizes(fit: HyperFit) -> list[float]:
    """Model sizes to draw: those of the cells, or some of the range of the data."""
    sizes = sorted({float(cell["params"]) for cell in fit.cells})
    if not sizes:
        low, high = fit.ranges.get("params", (1e8, 1e10))
        sizes = np.geomspace(low, high, 3).tolist()
    return [sizes[i] for i in np.unique(np.linspace(0, len(sizes) - 1, _LINES).round().astype(int))]


def _line(axes: Axes, fit: HyperFit, axis: str, params: float, color: str) -> None:
    """The law over the tokens of the data at one size, with the interval of a new cell."""
    low, high = fit.ranges.get("tokens", (1e9, 1e11))
    tokens = np.geomspace(low, high, 40)
    centre = np.array([fit.optimum(params, float(d))[AXES.index(axis)] for d in tokens])
    half = np.array([fit.half_width(axis, params, float(d)) for d in tokens])
    axes.plot(tokens, np.exp(centre), color=color, lw=1, label=short(params))
    axes.fill_between(tokens, np.exp(centre - half), np.exp(centre + half), color=color, alpha=0.08, lw=0)


def _cell(axes: Axes, fit: HyperFit, axis: str, cell: Mapping[str, Any], color: str) -> None:
    """The optimum of a cell with its interval; a muted mark where its grid does not bracket it."""
    value, error = (float(cell[name]) for name in _FIELDS[axis])
    half = error * student(fit.level, math.inf)
    inside = cell["edges"][_FIELDS[axis][0]]["edge"] is None
    edges = [[value - value * math.exp(-half)], [value * math.exp(half) - value]]
    axes.errorbar(
        cell["tokens"], value, yerr=edges, fmt="o", markersize=4, color=color if inside else STYLE["muted"], lw=1
    )
