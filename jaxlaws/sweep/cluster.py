"""A sweep on a cluster: each shard of its plan is a job of submitit, which runs the same command with sweep.shard=i/n.

The ledger makes this safe: a shard that is sent twice, or again after its node was lost, trains only what is missing.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxlaws.errors import BadInput
from jaxlaws.sweep.complete import so_far
from jaxlaws.sweep.lanes import OnProgress, Summary
from jaxlaws.sweep.plan import Planned, shard

#: Seconds between two looks at the jobs and at the ledger.
POLL_SECONDS = 1.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ShardCommand:
    """The job of one shard, as submitit pickles it; sent again as it is after a timeout or a preemption."""

    command: tuple[str, ...]

    def __call__(self) -> int:
        return subprocess.run(self.command, check=False).returncode

    def checkpoint(self) -> Any:
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def train_on_cluster(
    planned: Sequence[Planned],
    arguments: Sequence[str],
    folder: Path,
    executor: str,
    shards: int,
    parameters: Mapping[str, Any],
    tell: OnProgress,
) -> Summary:
    """Submit the shards of a plan that have runs to train, wait for them, and say what became of each run.

    Args:
      planned: the whole plan.
      arguments: of `jaxlaws train`, without a launcher and a shard.
      folder: for submitit's files and the jobs' output.
      executor: auto, slurm, local or debug, as submitit has them.
      shards: n, parts that the plan is cut into.
      parameters: for submitit's executor, such as timeout_min or slurm_partition.
      tell: called as runs end.

    Raises:
      BadInput: submitit is not installed, or refuses the executor or a parameter.
    """
    pending = {item.directory.name: item for item in planned if item.directory.state() == "pending"}
    jobs = _submit(planned, pending.keys(), arguments, folder, executor, shards, parameters) if pending else []
    before, waiting = set(pending), dict(pending)
    while waiting:
        over = all(job.done() for job in jobs)
        ended = [name for name, item in waiting.items() if item.directory.state() in ("ok", "diverged", "failed")]
        for name in ended:
            tell(waiting.pop(name).work, [name])
        if over:
            break
        time.sleep(POLL_SECONDS)
    for job in jobs:
        _say_if_lost(job)
    return so_far(planned, before)


def _submit(
    planned: Sequence[Planned],
    pending: Any,
    arguments: Sequence[str],
    folder: Path,
    executor: str,
    shards: int,
    parameters: Mapping[str, Any],
) -> list[Any]:
    try:
        import submitit
    except ImportError:
        raise BadInput("jobs on a cluster need submitit: pip install 'jaxlaws[slurm]'.") from None
    if shards < 1:
        raise BadInput(f"hydra.launcher.shards is {shards}, expected at least 1.")
    command = (sys.executable, "-m", "jaxlaws", "train", *arguments)
    work = []
    for i in range(1, shards + 1):
        part = [item.directory.name for item in shard(planned, f"{i}/{shards}")]
        if not pending.isdisjoint(part):
            work.append(ShardCommand((*command, f"sweep.shard={i}/{shards}")))
    try:
        pool = submitit.AutoExecutor(folder=folder, cluster=None if executor == "auto" else executor)
        pool.update_parameters(**{name: value for name, value in parameters.items() if value is not None})
    except (AssertionError, NameError, RuntimeError, TypeError, ValueError) as error:
        raise BadInput(f"submitit refuses its settings: {str(error).splitlines()[0]}.") from None
    with pool.batch():
        jobs = [pool.submit(item) for item in work]
    log.warning("submitted %d jobs (%s), output in %s", len(jobs), ", ".join(job.job_id for job in jobs), folder)
    return jobs


def _say_if_lost(job: Any) -> None:
    """A job that did not get as far as recording its runs says so itself."""
    error = job.exception()
    code = None if error else job.result()
    if error or code not in (0, 1):
        text = (job.stderr() or "").strip().splitlines()
        last = text[-1] if text else str(error or f"exit code {code}").strip().splitlines()[0]
        log.error("job %s ended before its runs: %s", job.job_id, last)
