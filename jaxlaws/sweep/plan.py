"""The plan of a sweep: which runs are asked for, where each goes, and which of them share a program. No JAX."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from jaxlaws import config
from jaxlaws.config import RunConfig
from jaxlaws.data.config import DataConfig
from jaxlaws.errors import BadInput
from jaxlaws.model.shape import flops_per_token
from jaxlaws.records.files import append
from jaxlaws.records.read import read_bytes
from jaxlaws.records.run import RunDir, run_id
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
            run.optimizer.name,
            run.optimizer.ema > 0,
            run.eval.sequences,
            config.batch_sequences(run),
        )

    @property
    def lr(self) -> np.ndarray:
        """lr[steps], the LR of every step."""
        return schedule_array(self.run.schedule, config.steps(self.run), self.run.optimizer.peak_lr)

    @property
    def work(self) -> float:
        """Training FLOPs."""
        run = self.run
        tokens = config.steps(run) * config.batch_sequences(run) * run.data.seq_len
        return flops_per_token(run.model, run.data.seq_len)[1] * tokens


def plan(
    runs: Iterable[RunConfig], sweep: Path, digest: Callable[[DataConfig], str], asked: Sequence[str] = ()
) -> list[Planned]:
    """`lay_out`, and record in the sweep that its runs are asked for; nothing is written unless all are possible.

    Args:
      runs, sweep, digest: see `lay_out`.
      asked: the question in words, for sweep.yaml.
    """
    planned = lay_out(runs, sweep, digest)
    for item in planned:
        item.directory.ask(asdict(item.run), item.lr)
    ask(sweep, asked, len(planned))
    return planned


def ask(sweep: str | Path, what: Sequence[str], runs: int) -> None:
    """Record in sweep.yaml what was asked of a sweep and how many runs that made; the same question only once."""
    path = Path(sweep) / "sweep.yaml"
    entry = yaml.safe_dump([{"asked": list(what), "runs": runs}], sort_keys=False, width=1000)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        said = read_bytes(path)
    except FileNotFoundError:
        said = b""
    if entry.encode() not in said:
        append(path, entry if not said or said.endswith(b"\n") else f"\n{entry}")


def lay_out(runs: Iterable[RunConfig], sweep: Path, digest: Callable[[DataConfig], str]) -> list[Planned]:
    """Check every run and give each its directory in the sweep. Writes nothing.

    Runs that are equal in everything that decides their result become one.

    Args:
      runs: the runs.
      sweep: directory of the sweep.
      digest: the digest of a data set.
    """
    planned: dict[str, Planned] = {}
    for run in runs:
        config.check(run)
        name = run_id(config.identity(run, digest(run.data)))
        planned[name] = Planned(run, RunDir(sweep / name))
    return list(planned.values())


def repeats(planned: Sequence[Planned], sequences: Callable[[DataConfig], int | None]) -> list[str]:
    """A sentence where runs read their data more than once.

    Args:
      planned: the runs.
      sequences: how many sequences a data set has before it repeats; None where it never does.
    """
    most: dict[tuple[Any, ...], tuple[DataConfig, list[int]]] = {}
    for item in planned:
        wanted = config.steps(item.run) * config.batch_sequences(item.run)
        most.setdefault(tuple(asdict(item.run.data).values()), (item.run.data, []))[1].append(wanted)
    times = [n / has for data, wanted in most.values() if (has := sequences(data)) for n in wanted if n > has]
    if not times:
        return []
    return [
        f"{len(times)} of {len(planned)} runs read their training data more than once, up to {max(times):.3g} times."
    ]


def shard(planned: Sequence[Planned], part: str) -> list[Planned]:
    """The i-th of n parts of a plan, i = 1 … n: about equal work, and runs of one shape together.

    The groups are laid end to end and cut into n stretches of equal work, so that the parts compile no more than
    n − 1 programs twice. Which run belongs where follows from the plan alone, never from what has been trained.

    Args:
      planned: the whole plan.
      part: `i/n`.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", part)
    i, n = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= i <= n:
        raise BadInput(f"sweep.shard is '{part}', expected i/n with i from 1 to n, such as 1/4.")
    line = [item for group in groups(planned) for item in group]
    total, before, kept = sum(item.work for item in line), 0.0, []
    for item in line:
        if int((before + item.work / 2) / total * n) + 1 == i:
            kept.append(item)
        before += item.work
    return kept


def groups(planned: Sequence[Planned]) -> list[list[Planned]]:
    """The runs by shape, the group with the most work first, and the longest runs first in each."""
    by_shape: dict[tuple[Any, ...], list[Planned]] = {}
    for item in planned:
        by_shape.setdefault(item.shape, []).append(item)
    for group in by_shape.values():
        group.sort(key=lambda item: -config.steps(item.run))
    return sorted(by_shape.values(), key=lambda group: -sum(item.work for item in group))
