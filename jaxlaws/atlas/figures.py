"""Pictures of an atlas: errors of the laws on every table, and how often their intervals hold what they are to hold."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

from matplotlib import rc_context
from matplotlib.figure import Figure

from jaxlaws.atlas.rows import Row
from jaxlaws.figures import STYLE

#: Marks of the laws, one for every ten colours.
_MARKS = "osDvP*X"


def errors(rows: Sequence[Row], title: str) -> Figure:
    """A line a table, a mark a law: left-out errors as discs, forward errors as rings, relative to the loss."""
    tables = list(dict.fromkeys(row["table"] for row in rows))
    laws = sorted({row["law"] for row in rows})
    figure = Figure(figsize=(9, 1.2 + 0.28 * len(tables)), layout="constrained")
    axes = figure.subplots()
    for number, law in enumerate(laws):
        of_law = [row for row in rows if row["law"] == law]
        place = [tables.index(row["table"]) + 0.5 * ((number + 0.5) / len(laws) - 0.5) for row in of_law]
        colour = f"C{number % 10}"
        marker = _MARKS[number // 10 % len(_MARKS)]
        axes.plot([row["error"] for row in of_law], place, marker, color=colour, markersize=4, label=law)
        axes.plot([row["forward_error"] for row in of_law], place, marker, color=colour, markersize=5, fillstyle="none")
    axes.set_yticks(range(len(tables)), tables, fontsize=7)
    axes.invert_yaxis()
    axes.set(xscale="log", xlabel="mean |L − L̂|/L: left out (filled), largest runs from the rest (open)", title=title)
    axes.grid(axis="y", lw=0.4, alpha=0.5)
    if laws:
        figure.legend(loc="outside right upper", fontsize=7)
    return figure


def coverage(rows: Sequence[Row]) -> Figure:
    """A line a law, a dot a table: the share of held-out losses in their intervals; .9 is grey."""
    laws = sorted({row["law"] for row in rows})
    figure = Figure(figsize=(9, 1.2 + 0.22 * len(laws)), layout="constrained")
    for axes, column, title in zip(
        figure.subplots(1, 2, sharey=True),
        ("inside", "forward_inside"),
        ("left out", "largest runs from the rest"),
        strict=True,
    ):
        for kind, colour in (("point", "measured"), ("curve", "predicted"), ("lr_batch", "muted")):
            of_kind = [row for row in rows if row["kind"] == kind and math.isfinite(row[column])]
            place = [laws.index(row["law"]) for row in of_kind]
            axes.plot([row[column] for row in of_kind], place, "o", color=STYLE[colour], markersize=4, alpha=0.5)
        axes.axvline(0.9, color="0.6", lw=0.8)
        axes.set(xlim=(-0.03, 1.03), xlabel="share inside the intervals", title=title)
        axes.set_yticks(range(len(laws)), laws, fontsize=7)
        axes.grid(axis="y", lw=0.4, alpha=0.5)
    figure.axes[0].invert_yaxis()
    return figure


def svg(figure: Figure) -> str:
    """A figure as SVG whose text stays text, the same for the same figure."""
    file = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "jaxlaws"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"
