"""Sentences on the cells of a law of LR and batch. No numpy, since `jaxlaws recommend` imports it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from jaxlaws.recommender.hyperfit import HyperFit
from jaxlaws.records.units import short

#: Axis of a grid → its name for people, and the format of its values.
_AXES = {"peak_lr": ("LR", "{:.3g}".format), "batch_tokens": ("batch", lambda value: f"{value:,.0f}")}
#: Most cells that an answer mentions, and the factor in N or D within which a cell is as near as the nearest.
_CELLS, _NEAR = 3, 2.0


def edge_words(edges: Mapping[str, Mapping[str, Any]]) -> str:
    """`LR best at the high edge, add 0.004, 0.008; one batch, add 65,536, 262,144`; empty where nothing is missing.

    Args:
      edges: of `jaxlaws.recommender.cells.edges`, as `HyperFit.cells` keeps them.
    """
    parts = []
    for name, (word, show) in _AXES.items():
        side, add = edges.get(name, {}).get("edge"), edges.get(name, {}).get("add", ())
        if side:
            what = f"one {word}" if side == "single" else f"{word} best at the {side} edge"
            parts.append(f"{what}, add {', '.join(show(value) for value in add)}")
    return "; ".join(parts)


def near(fit: HyperFit, params: float, tokens: float) -> list[str]:
    """A sentence for each of the cells nearest to a question if its grid does not bracket its best run.

    Args:
      fit: with its cells.
      params, tokens: N and D of the question.
    """

    def away(cell: Mapping[str, Any]) -> float:
        return max(abs(math.log(params / cell["params"])), abs(math.log(tokens / cell["tokens"])))

    nearest = sorted(fit.cells, key=away)[:_CELLS]
    close = [cell for cell in nearest if away(cell) <= away(nearest[0]) + math.log(_NEAR)]
    return [f"near the question, the cell {cell_name(cell)}: {words}." for cell in close if (words := _of(cell, fit))]


def cell_name(cell: Mapping[str, Any]) -> str:
    """`N 100M, D 2B`."""
    return f"N {short(cell['params'])}, D {short(cell['tokens'])}"


def _of(cell: Mapping[str, Any], fit: HyperFit) -> str:
    """What a cell's grid leaves open of the axes that the law measured."""
    edges = cell.get("edges", {})
    return edge_words(edges if fit.batch_measured else {"peak_lr": edges.get("peak_lr", {})})


#: Headers of `rows`.
HEADS = ("N", "D", "D/N", "runs", "diverged", "best LR", "batch", "loss", "its grid")


def rows(cells: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """A row for each cell of a fit, with the columns of `HEADS`."""
    return [
        [
            *(short(cell["params"]), short(cell["tokens"]), f"{cell['tokens'] / cell['params']:.3g}"),
            *(str(cell["runs"]), str(cell["diverged"] or "")),
            *(f"{cell['peak_lr']:.3g}", f"{cell['batch_tokens']:,.0f}", f"{cell['loss']:.4f}"),
            edge_words(cell.get("edges", {})),
        ]
        for cell in cells
    ]
