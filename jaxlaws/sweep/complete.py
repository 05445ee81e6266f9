"""A sweep is over when every run has ended, whoever trains it: waiting for others, and taking over what they lose."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from jaxlaws.sweep.lanes import Summary
from jaxlaws.sweep.plan import Planned

#: Seconds between two looks at runs that another process holds.
POLL_SECONDS = 2.0

log = logging.getLogger(__name__)


def complete(planned: Sequence[Planned], train: Callable[[Sequence[Planned]], Summary], wait: bool = True) -> Summary:
    """Train the runs of a plan that have not ended; where others hold some, wait until those have ended too.

    Args:
      planned: the runs.
      train: `jaxlaws.sweep.lanes.train_sweep` with its settings; given some of the runs.
      wait: whether to wait; otherwise runs that others hold are listed as busy.
    """
    summary = train(planned)
    told: set[str] = set()
    while summary.busy and wait:
        names = set(summary.busy)
        held = [item for item in planned if item.directory.name in names and item.directory.state() == "running"]
        holders = {holder.owner: holder.says for item in held if (holder := item.directory.holder())}
        if not holders.keys() <= told:
            log.warning("waiting for %d runs held by %s", len(held), ", ".join(sorted(holders.values())))
            told = set(holders)
        if free := [item for item in planned if item.directory.name in names and item not in held]:
            more = train(free)
            summary.trained += more.trained
            summary.skipped += more.skipped
            summary.failed |= more.failed
            summary.busy = [*more.busy, *(item.directory.name for item in held)]
        if summary.busy:
            time.sleep(POLL_SECONDS)
    return summary


def so_far(planned: Sequence[Planned], pending: set[str]) -> Summary:
    """What became of a plan's runs by now.

    Args:
      planned: the runs.
      pending: names of those that had not ended before.
    """
    states = {item.directory.name: item.directory.state() for item in planned}
    ended = [name for name, state in states.items() if state in ("ok", "diverged")]
    return Summary(
        trained=[name for name in ended if name in pending],
        skipped=[name for name in ended if name not in pending],
        busy=[name for name, state in states.items() if state == "running"],
        failed={
            item.directory.name: item.directory.reason() for item in planned if states[item.directory.name] == "failed"
        },
    )
