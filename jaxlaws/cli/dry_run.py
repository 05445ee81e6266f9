"""`jaxlaws train … --dry-run`: what a sweep would train and what that costs, a table and a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jaxlaws.records.files import Output
from jaxlaws.records.units import short, short_bytes
from jaxlaws.sweep.cost import costs, is_remembered, remembered
from jaxlaws.sweep.plan import Planned

if TYPE_CHECKING:
    from jaxlaws.cli.screen import Screen

_ROWS = 20


def dry_run(out: Path, items: Sequence[Planned], device: str, picture: Path | None, notes: Sequence[str]) -> None:
    """Print the cost of a plan and draw its LR curves; the picture is all that is written.

    Args:
      out: directory of the sweep.
      items: from `jaxlaws.sweep.plan.lay_out`.
      device: kind of device that would train it.
      picture: file to draw into, `dry_run.png` in the sweep's directory where none is given.
      notes: sentences to print as well.
    """
    from jaxlaws import config, figures
    from jaxlaws.cli.screen import Screen

    console, path = Screen(), picture or out / "dry_run.png"
    with Output(path) as file:
        form = figures.picture_format(path, "-o")
        _show(console, out, items, device, notes)
        curves = [
            (item.run.schedule.name, item.lr, config.batch_sequences(item.run) * item.run.data.seq_len)
            for item in items
        ]
        file.write(figures.picture(figures.schedules(curves), form))
    console.print(f"LR curves: {path}")


def _show(console: Screen, out: Path, items: Sequence[Planned], device: str, notes: Sequence[str]) -> None:
    from rich.table import Table

    from jaxlaws import config
    from jaxlaws.model.shape import count_params

    cost = costs(items, device, remembered())
    table = Table("layers x width", title=f"{out}: one row a program", pad_edge=False)
    for name in ("N", "batch", "steps", "runs", "tokens", "FLOPs", "a run", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    for group in cost[:_ROWS]:
        run, (least, most) = group.first, group.steps
        table.add_row(
            f"{run.model.depth}x{run.model.width}",
            short(count_params(run.model)[0]),
            f"{config.batch_sequences(run)}x{run.data.seq_len}",
            str(most) if least == most else f"{least}–{most}",
            str(group.runs),
            short(group.tokens),
            short(group.flops),
            short_bytes(group.memory),
            duration(group.seconds),
        )
    console.print(table)
    if len(cost) > _ROWS:
        console.print(f"… and {len(cost) - _ROWS} more programs")
    runs = sum(group.runs for group in cost)
    basis = "measured here before" if is_remembered(device) else "a guess: nothing was measured on this device yet"
    console.print(
        f"{len(items)} runs, {len(items) - runs} of them ended before; {runs} to train in {len(cost)} programs: "
        f"{short(sum(group.tokens for group in cost))} tokens, {short(sum(group.flops for group in cost))} FLOPs, "
        f"about {duration(sum(group.seconds for group in cost))} on {device} (speed: {basis})",
    )
    for note in notes:
        console.print(note)


def duration(seconds: float) -> str:
    """A time for people: 42 s, 7 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
