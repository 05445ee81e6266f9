"""Progress with an ETA: a live bar on a terminal, a line now and then elsewhere; always on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from jaxlaws.cli.live import live_table
from jaxlaws.cli.screen import Screen
from jaxlaws.sweep.lanes import OnProgress
from jaxlaws.sweep.plan import Planned

_LINE_EVERY = 15.0


class FailFast(BaseException):
    """A run failed and ends the sweep; no `Exception`, so that no other run counts as failed."""


@contextmanager
def progress(plan: Sequence[Planned], title: str = "training", fail_fast: bool = False) -> Iterator[OnProgress]:
    """A callback for `train_sweep` that shows how much of a plan is done, by the FLOPs of the runs that have not ended.

    On a terminal it shows the runs that are being trained too, as `live_table` has them. It reports a run that
    fails at once.

    Args:
      plan: from `jaxlaws.sweep.plan.plan`.
      title: the word before the bar.
      fail_fast: whether the first failure raises `FailFast`.
    """
    from rich.console import Group
    from rich.live import Live
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    waiting = [item for item in plan if item.directory.state() == "pending"]
    runs, work = len(waiting), sum(item.work for item in waiting)
    flops_done, runs_ended = 0.0, 0
    began = last_print = time.monotonic()
    console = Screen(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[runs]}"),
        TextColumn("{task.fields[speed]}"),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=console, disable=not console.is_terminal)
    task = bar.add_task(title, total=work, runs=f"0/{runs} runs", speed="")

    directories = {item.directory.name: item.directory for item in plan}

    def tell(flops: float, names: Sequence[str]) -> None:
        nonlocal flops_done, runs_ended, last_print
        failures = [
            directories[name] for name in names if name in directories and directories[name].state() == "failed"
        ]
        for item in failures:
            console.print(f"run {item.name} failed: {item.reason()}", style="red", soft_wrap=True)
        if failures and fail_fast:
            raise FailFast
        flops_done, runs_ended = flops_done + flops, runs_ended + len(names)
        now = time.monotonic()
        speed = f"{flops_done / max(now - began, 1e-9) / 1e9:.3g} GFLOP/s"
        bar.update(task, completed=flops_done, runs=f"{runs_ended}/{runs} runs", speed=speed)
        if not console.is_terminal and now - last_print > _LINE_EVERY and 0 < flops_done < work:
            last_print = now
            eta = (now - began) * (work - flops_done) / flops_done
            print(
                f"{title}: {runs_ended}/{runs} runs, {flops_done / work:.0%}, ETA {eta:.0f} s",
                file=sys.stderr,
                flush=True,
            )

    if not console.is_terminal:
        yield tell
        return
    with Live(console=console, get_renderable=lambda: Group(bar, live_table(plan)), refresh_per_second=1):
        yield tell
