"""Pictures of sweeps, fits and their verification. A function draws one figure, and `picture` makes a file of it."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from jaxlaws.errors import BadInput
from jaxlaws.records.files import write_atomic
from jaxlaws.records.table import Curve, Runs
from jaxlaws.records.units import short

#: Formats of pictures, which are the endings of their files.
FORMATS = ("png", "svg", "pdf")
#: Largest number of curves that a legend names.
_MOST_NAMES = 12
STYLE = {"measured": "#1f4e79", "predicted": "#d1495b", "muted": "#9aa5b1"}


def basins(
    losses: Mapping[str, Sequence[tuple[float, float, float]]],
    best: Mapping[str, tuple[float, float]],
) -> Figure:
    """The loss over (LR, batch) in every cell: one panel a cell, excess loss as colour, the fitted optimum as a cross.

    Args:
      losses: cell → (peak LR, batch in tokens, loss) of each run.
      best: cell → fitted optimum (peak LR, batch in tokens).
    """
    columns = min(4, len(losses))
    rows = -(-len(losses) // columns)
    figure = Figure(figsize=(2.6 * columns, 2.4 * rows), layout="constrained")
    image = None
    for axes, (cell, points) in zip(figure.subplots(rows, columns, squeeze=False).flat, losses.items(), strict=False):
        lr, batch, loss = np.array(points).T
        excess = 100 * (loss / loss.min() - 1)
        image = axes.scatter(lr, batch, c=np.clip(excess, 0, 10), cmap="viridis_r", s=60, vmin=0, vmax=10)
        if cell in best:
            axes.plot(*best[cell], "x", color=STYLE["predicted"], markersize=9, markeredgewidth=2)
        axes.set(xscale="log", yscale="log", title=cell)
        axes.title.set_fontsize(9)
        _few_ticks(axes.xaxis, lr)
        _few_ticks(axes.yaxis, batch)
    for axes in figure.axes[len(losses) :]:
        axes.set_visible(False)
    figure.supxlabel("peak learning rate", fontsize=9)
    figure.supylabel("batch, tokens", fontsize=9)
    if image is not None:
        figure.colorbar(image, ax=figure.axes[: len(losses)], label="loss above the cell's best, %", extend="max")
    return figure


def prediction(
    cell: Mapping[str, float],
    neighbours: Sequence[tuple[str, float, float]],
    curves: Mapping[str, Curve],
    unseen: str,
    band: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> Figure:
    """Predictions beside measurements: a schedule on the left, a cell on the right.

    Args:
      cell: `value`, `low`, `high` of the predicted loss of the unseen cell.
      neighbours: (label, mean loss, half the spread of its seeds) of the recommendation, first, and its neighbours.
      curves: measured curves by name, the unseen one among them.
      unseen: its name.
      band: (value, low, high) along the evaluations of the unseen curve.
    """
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    schedule_axes, cell_axes = figure.subplots(1, 2, width_ratios=(1.5, 1))
    for name, curve in curves.items():
        if name != unseen:
            schedule_axes.plot(curve.at + 1, curve.loss, color=STYLE["muted"], lw=1)
    held_out = curves[unseen]
    value, low, high = band
    schedule_axes.fill_between(held_out.at + 1, low, high, color=STYLE["predicted"], alpha=0.2, lw=0)
    schedule_axes.plot(held_out.at + 1, value, color=STYLE["predicted"], label=f"predicted: {unseen}")
    schedule_axes.plot(held_out.at + 1, held_out.loss, ".", color=STYLE["measured"], label="measured")
    schedule_axes.plot([], [], color=STYLE["muted"], label="trained for the fit")
    late = held_out.loss[len(held_out.loss) // 4 :]
    schedule_axes.set(xlabel="step", ylabel="validation loss, nats", title="A schedule that the fit has not seen")
    schedule_axes.set_ylim(0.985 * min(late.min(), low[-1]), 1.02 * late.max())
    schedule_axes.legend(frameon=False, fontsize=8)
    place = np.arange(len(neighbours))
    cell_axes.axhspan(cell["low"], cell["high"], color=STYLE["predicted"], alpha=0.2, lw=0)
    cell_axes.axhline(cell["value"], color=STYLE["predicted"], label="predicted at the optimum")
    labels, means, spreads = zip(*neighbours, strict=True)
    cell_axes.errorbar(place, means, yerr=spreads, fmt="o", color=STYLE["measured"], label="measured, two seeds")
    cell_axes.set_xticks(place, [label.replace(" ", "\n", 1) for label in labels], fontsize=8)
    cell_axes.set(title="A cell that the fits have not seen", xlim=(-0.5, len(labels) - 0.5))
    top, bottom = np.nanmax([cell["high"], *means]), np.nanmin([cell["low"], *means])
    cell_axes.set_ylim(top=top + 0.35 * (top - bottom))
    cell_axes.legend(frameon=False, fontsize=8, loc="upper center")
    return figure


def schedules(curves: Sequence[tuple[str, np.ndarray, int]], unit: str = "tokens") -> Figure:
    """Learning rates over the tokens seen, one line for each curve that differs, one colour a schedule.

    Args:
      curves: (name of the schedule, lr[steps], tokens in a step) of each run.
      unit: what is counted instead of tokens.
    """
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    different = {(name, step, lr.tobytes()): lr for name, lr, step in curves}
    names = list(dict.fromkeys(name for name, _, _ in curves))
    for (name, step, _), lr in different.items():
        axes.plot(step * np.arange(1, len(lr) + 1), lr, color=f"C{names.index(name)}", lw=1, alpha=0.7)
    for i, name in enumerate(names):
        axes.plot([], [], color=f"C{i}", label=name)
    count = "one curve" if len(different) == 1 else f"{len(different)} different curves"
    axes.set(xlabel=unit, ylabel="learning rate", title=f"{len(curves)} runs, {count}" if len(curves) > 1 else None)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axes.legend(frameon=False, fontsize=8)
    return figure


def runs(data: Runs) -> Figure:
    """The loss over (LR, batch) in every cell of a sweep of both; otherwise the loss along every run.

    Raises:
      BadInput: the runs have neither LRs and batches nor curves.
    """
    axes_of = ["params_nonembedding", "tokens", "peak_lr", "batch_tokens"]
    table = data.finished().table
    if set(axes_of) <= set(table) and len(table.drop_duplicates(axes_of)) > len(table.drop_duplicates(axes_of[:2])):
        losses: dict[str, list[tuple[float, float, float]]] = {}
        for params, tokens, *point in table[[*axes_of, data.loss_column]].sort_values(axes_of).to_numpy(float):
            losses.setdefault(cell_name(params, tokens), []).append((point[0], point[1], point[2]))
        return basins(losses, {})
    if not data.curves:
        raise BadInput(f"{data.source} has neither several LRs or batches in a cell (N, D) nor curves to draw.")
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    for name, curve in data.curves.items():
        axes.plot(curve.at + 1, curve.loss, lw=1, label=name)
    axes.set(xlabel="step", ylabel="validation loss, nats")
    if len(data.curves) <= _MOST_NAMES:
        axes.legend(frameon=False, fontsize=8)
    return figure


def constants(values: Mapping[str, float], intervals: Mapping[str, Sequence[float]], title: str) -> Figure:
    """How well each constant is known: its interval as a deviation from its value, in percent.

    Args:
      values: constant → value; one that is 0 is left out.
      intervals: constant → [low, high], of those that have one.
      title: of the figure.
    """
    names = [name for name, value in values.items() if value]
    figure = Figure(figsize=(6, 0.9 + 0.35 * max(len(names), 1)), layout="constrained")
    axes = figure.subplots()
    for row, name in enumerate(names):
        value = values[name]
        edges = [100 * (edge - value) / abs(value) for edge in intervals.get(name, ())]
        if edges:
            axes.plot(edges, (row, row), color=STYLE["predicted"], lw=3, alpha=0.5, solid_capstyle="butt")
        axes.plot(0, row, "o", color=STYLE["measured"], markersize=4)
    axes.set_yticks(range(len(names)), [f"{name} = {values[name]:.4g}" for name in names], fontsize=8)
    axes.invert_yaxis()
    axes.set(xlabel="deviation from the fitted value, %", title=title)
    axes.set_xscale("symlog", linthresh=1)
    return figure


def picture_format(path: Path, option: str = "--plot") -> str:
    """The format, one of `FORMATS`, of a picture by the name of the file that an option gives."""
    if path.suffix.removeprefix(".").lower() not in FORMATS:
        endings = ", ".join(f".{name}" for name in FORMATS)
        raise BadInput(f"{option} is '{path}', expected a file that ends with {endings}.")
    return path.suffix.removeprefix(".").lower()


def write(path: str | os.PathLike[str] | None, draw: Callable[[], Figure]) -> Figure:
    """The figure that `draw` makes, in a file where one is named; `BadInput` for another ending, before it is drawn."""
    form = None if path is None else picture_format(Path(path), "path")
    figure = draw()
    if path is not None and form is not None:
        write_atomic(Path(path), picture(figure, form))
    return figure


def picture(figure: Figure, form: str) -> bytes:
    """A figure as the content of a file, in one of `FORMATS`."""
    file = io.BytesIO()
    figure.savefig(file, format=form, dpi=130)
    return file.getvalue()


def cell_name(params: float, tokens: float) -> str:
    """A cell for people: `N 25.2k, D 500k`."""
    return f"N {short(params)}, D {short(tokens)}"


def _few_ticks(axis: Axis, values: np.ndarray) -> None:
    """Ticks of a log axis at the lowest, the middle and the highest value of a grid."""
    grid = np.unique(values)
    ticks = grid[[0, len(grid) // 2, -1]]
    axis.set_major_locator(FixedLocator(list(ticks)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.2g}" if value < 1 else short(value)))
    axis.set_minor_locator(NullLocator())
    axis.set_tick_params(labelsize=7)
