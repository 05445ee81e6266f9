"""The runs in training on one screen, read from the runs' own files, so that any process can show it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from jaxlaws.config import steps
from jaxlaws.sweep.plan import Planned

#: Largest number of runs on the screen.
_ROWS = 12
_BARS = "▁▂▃▄▅▆▇█"


def live_table(items: Sequence[Planned]) -> Table:
    """The runs that a process holds: the step, the last losses and norms, and the losses so far as bars."""
    table = Table(
        "run", "layers x width", "step", "peak LR", "train", "val", "‖gradient‖", "‖update‖", "val loss so far"
    )
    active = [item for item in items if (item.directory.path / "claim.json").exists()]
    for item in active[:_ROWS]:
        run, curve = item.run, read_curve(item.directory.path / "curve.csv")
        last = curve[-1] if curve else {}
        numbers = [f"{last[name]:.4g}" if name in last else "…" for name in _SHOWN]
        shape = f"{run.model.depth}x{run.model.width}"
        at = f"{int(last.get('step', 0)):,}/{steps(run):,}"
        bars = sparkline([row["val_loss"] for row in curve if "val_loss" in row][-32:])
        table.add_row(item.directory.name, shape, at, f"{run.optimizer.peak_lr:.3g}", *numbers, bars)
    if len(active) > _ROWS:
        table.caption = f"and {len(active) - _ROWS} more"
    return table


_SHOWN = ("train_loss", "val_loss", "gradient_norm", "update_norm")


def read_curve(path: Path) -> list[dict[str, float]]:
    """The complete rows of a curve.csv, to which a process may be writing, without their empty columns."""
    if not path.exists():
        return []
    rows: list[dict[str, Any]] = list(csv.DictReader(path.read_text().splitlines(keepends=True)))
    points = []
    for row in rows:
        try:
            points.append({name: float(value) for name, value in row.items() if value})
        except (TypeError, ValueError):
            continue
    return points


def sparkline(values: Sequence[float]) -> str:
    """Values as bars of eight heights, between their least and their largest."""
    if not values:
        return ""
    low, high = min(values), max(values)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[round((value - low) * scale)] for value in values)
