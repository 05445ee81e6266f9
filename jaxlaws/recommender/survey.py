"""A table of runs as `jaxlaws inspect` shows it: its columns, its grid cell by cell, its curves. No JAX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from jaxlaws.fitting.design_checks import distinct, on_a_line
from jaxlaws.recommender.cells import AXES, Cell, edges, grids, levels, seq_len_of
from jaxlaws.records.cells import PARAMS, swept
from jaxlaws.records.columns import WORDS, meaning_of
from jaxlaws.records.files import finite
from jaxlaws.records.table import Curve, Runs

#: Number of values of a column of words that a report lists.
_EXAMPLES = 6


def columns(runs: Runs) -> dict[str, dict[str, Any]]:
    """Column → its origin, its unit, how many values differ, and the lowest and highest or some of them."""
    origins = runs.usage.columns if runs.usage else {}
    answer = {}
    for name in runs.table.columns:
        values = runs.table[name].dropna()
        about: dict[str, Any] = {
            "from": origins.get(name, name),
            "unit": meaning_of(name),
            "distinct": values.nunique(),
        }
        if name in WORDS:
            about["values"] = [str(value) for value in values.value_counts().index[:_EXAMPLES]]
        else:
            numbers = pd.to_numeric(values, errors="coerce").to_numpy(float)
            about |= {"low": numbers.min(), "high": numbers.max()} if len(numbers) else {}
        answer[name] = about
    return finite(answer)


def cells(runs: Runs) -> tuple[list[dict[str, Any]], list[str]]:
    """(every (N, D) of the table with its LRs, batches, best measured run and edges, sentences on what is left out).

    A cell has `params`, `tokens`, `tokens_per_param`, `runs` that ended, `diverged`, `lrs` and `batches` (how many
    values), `peak_lr`, `batch_tokens` and `loss` of its best run, and `edges` as `jaxlaws.recommender.cells.edges` has
    them, which is empty where the table sweeps no LR and no batch, or states no N or D. What it does not state is None.
    There is none of a table without a loss in nats.
    """
    if not runs.in_nats:
        return [], []
    usable = replace(runs, table=runs.table.dropna(subset=[name for name in AXES if name in runs.table]))
    grid_cells, notes = grids(usable)
    sweeps, seq_len = swept(usable), seq_len_of(usable)
    return [_cell(cell, runs.table, sweeps, seq_len) for cell in grid_cells], notes


def _cell(cell: Cell, table: pd.DataFrame, sweeps: bool, seq_len: int) -> dict[str, Any]:
    has = {"params": bool(set(PARAMS) & set(table.columns)), "tokens": "tokens" in table}
    n, d = (getattr(cell, name) if has[name] else None for name in ("params", "tokens"))
    about: dict[str, Any] = {
        "params": n,
        "tokens": d,
        "tokens_per_param": None if n is None or d is None else d / n,
        "runs": len(cell.y),
        "diverged": len(cell.diverged),
    }
    best = [float(f"{value:.12g}") for value in np.exp(cell.x[cell.best])] if len(cell.y) else []
    several = np.concatenate([cell.x, cell.diverged])
    for k, (name, count) in enumerate(zip(AXES, ("lrs", "batches"), strict=True)):
        about[count] = len(levels(several[:, k])) if name in table else None
        about[name] = best[k] if name in table and best else None
    about["loss"] = float(np.exp(cell.y[cell.best])) if len(cell.y) else None
    best_edges = edges(cell, seq_len) if sweeps and all(has.values()) and len(cell.y) > 1 else {}
    about["edges"] = {name: edge for name, edge in best_edges.items() if name in table}
    return about


def curves(runs: Runs) -> list[dict[str, Any]]:
    """A row for each curve: its steps, losses and largest gap between them, warm-up, LRs, decay, last loss."""
    schedules = runs.table["schedule"].to_dict() if "schedule" in runs.table else {}
    return [{"run": str(name), "schedule": schedules.get(name), **_curve(curve)} for name, curve in runs.curves.items()]


def _curve(curve: Curve) -> dict[str, Any]:
    peak = float(curve.lr.max())
    after = curve.lr[curve.warmup_steps :]
    low = np.flatnonzero(after < 0.98 * peak)
    return {
        "steps": len(curve.lr),
        "losses": len(curve.at),
        "largest_gap": int(np.diff(curve.at, prepend=-1).max()),
        "warmup_steps": curve.warmup_steps,
        "peak_lr": peak,
        "final_lr": float(curve.lr[-1]),
        "decay_begins": curve.warmup_steps + int(low[0]) if len(low) else None,
        "loss": float(curve.loss[-1]),
    }


def additions(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Runs to add: N and D of a cell, and lists of `peak_lr` and `batch_tokens` to multiply in it.

    First the cells without which no law of N and D is identified, at the best LR of the smallest cell and its
    neighbours. Then LRs beyond an edge at the best batch of their cell, and batches beyond one at its best LR and the
    neighbours of that, since the best LR moves with the batch.
    """
    edges = [
        {**_at(cell), **(_best(cell) if name == "peak_lr" else _lists(cell)), name: cell["edges"][name]["add"]}
        for cell in rows
        for name in AXES
        if cell["edges"].get(name, {}).get("edge")
    ]
    return [*_cells_to_add(rows), *edges]


def _cells_to_add(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Cells until there are three sizes and three budgets, and some off the line that all others lie on."""
    complete = [cell for cell in rows if cell["params"] and cell["tokens"] and cell["loss"]]
    if not complete or (len(complete) == 1 and not complete[0]["edges"]):
        return []
    n, d = (np.array([cell[name] for cell in complete]) for name in ("params", "tokens"))
    small, large = complete[int(np.argmin(n * d))], complete[int(np.argmax(n))]
    sizes, budgets = (3 - distinct(np.log(values)) for values in (n, d))
    add = [_at({"params": large["params"] * 2**k, "tokens": small["tokens"]}) for k in range(1, sizes + 1)]
    add += [_at({"params": small["params"], "tokens": d.max() * 4**k}) for k in range(1, budgets + 1)]
    if not add and on_a_line(np.log(n), np.log(d)):
        add = [_at({"params": small["params"], "tokens": small["tokens"] * 4**k}) for k in (1, 2)]
    return [{**cell, **_lists(small)} for cell in add]


def _at(cell: dict[str, Any]) -> dict[str, Any]:
    return {name: None if cell[name] is None else float(f"{cell[name]:.6g}") for name in ("params", "tokens")}


def _best(cell: dict[str, Any]) -> dict[str, list[float]]:
    return {name: [cell[name]] for name in AXES if cell[name] is not None}


def _lists(cell: dict[str, Any]) -> dict[str, list[float]]:
    """The best LR and its neighbours, at the best batch, of what the table states."""
    best = _best(cell)
    if "peak_lr" in best and cell["lrs"] > 1:
        best["peak_lr"] = [float(f"{lr:.4g}") for lr in cell["peak_lr"] * np.array([0.5, 1, 2]) if lr < 1]
    return best
