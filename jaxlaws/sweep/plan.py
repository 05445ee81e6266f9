"""The plan of a sweep: which runs are asked for, where each goes, and which of them share a program. No JAX."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jaxlaws import config
from jaxlaws.config import RunConfig
from jaxlaws.data.config import DataConfig
from jaxlaws.model.shape import flops_per_token
from jaxlaws.records.run import RunDir, ask, run_id
from jaxlaws.schedules.spec import schedule_array


@dataclass(frozen=True)
class Planned:
    """A run that is asked for, and its directory."""

    run: RunConfig
    directory: RunDir

    @property
    def shape(self) -> tuple[Any, ...]:
        """What runs must share to be lanes of one program."""
        run = self.run
        return (
            *asdict(run.model).values(),
            *(str(value) for value in asdict(run.data).values()),
            run.eval.sequences,
            config.batch_sequences(run),
        )

    @property
    def work(self) -> float:
        """Training FLOPs."""
        run = self.run
        tokens = config.steps(run) * config.batch_sequences(run) * run.data.seq_len
        return flops_per_token(run.model, run.data.seq_len)[1] * tokens


def plan(
    runs: Iterable[RunConfig], sweep: Path, digest: Callable[[DataConfig], str], asked: Sequence[str] = ()
) -> list[Planned]:
    """Check every run, give each its directory in the sweep, and record there that it is asked for.

    Runs that are equal in everything that decides their result become one. Nothing is written unless all are possible.

    Args:
      runs: the runs.
      sweep: directory of the sweep.
      digest: the digest of a data set.
      asked: the question in words, for sweep.yaml.
    """
    planned: dict[str, Planned] = {}
    for run in runs:
        config.check(run)
        name = run_id(config.identity(run, digest(run.data)))
        planned[name] = Planned(run, RunDir(sweep / name))
    for item in planned.values():
        lr = schedule_array(item.run.schedule, config.steps(item.run), item.run.optimizer.peak_lr)
        item.directory.ask(asdict(item.run), lr)
    ask(sweep, asked, len(planned))
    return list(planned.values())


def groups(planned: Sequence[Planned]) -> list[list[Planned]]:
    """The runs by shape, the group with the most work first, and the longest runs first in each."""
    by_shape: dict[tuple[Any, ...], list[Planned]] = {}
    for item in planned:
        by_shape.setdefault(item.shape, []).append(item)
    for group in by_shape.values():
        group.sort(key=lambda item: -config.steps(item.run))
    return sorted(by_shape.values(), key=lambda group: -sum(item.work for item in group))
