"""Opening a SOURCE: a sweep directory, a table of runs or curves, a folder of them, a frame, or a published table."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from jaxlaws.errors import BadInput
from jaxlaws.records import published
from jaxlaws.records.aliases import is_loss
from jaxlaws.records.columns import WORDS
from jaxlaws.records.folder import read_folder
from jaxlaws.records.frame import finished, runs_of
from jaxlaws.records.naming import may_be
from jaxlaws.records.questions import parse_assume
from jaxlaws.records.table import Runs
from jaxlaws.records.tabular import read_table
from jaxlaws.records.trackers import Progress, fetch, scheme_of
from jaxlaws.records.understood import Reading, understood
from jaxlaws.text import printable


def open_runs(
    source: str | os.PathLike[str] | pd.DataFrame,
    format: str | None = None,
    where: str | Sequence[str] = (),
    map: Mapping[str, str] | None = None,
    assume: Sequence[str] = (),
    collect: bool = False,
    set: Mapping[str, object] | None = None,
    join: str | Path | pd.DataFrame | Sequence[str | Path | pd.DataFrame] = (),
    schedules: Mapping[str, np.ndarray] | None = None,
    name: str | None = None,
    target: str = "",
    curves: bool = False,
    progress: Progress = lambda done, total: None,
    every: int | None = None,
    from_step: float = 0.0,
) -> Runs:
    """The runs of a source, selected, checked and questioned.

    A table has one row a run, a row a step, or a column a run; its columns have our names (`COLUMNS`) or others that
    are known (`aliases.ALIASES`). `Runs.usage` says how it was understood.

        >>> import jaxlaws
        >>> runs = jaxlaws.open_runs("wandb.csv", set={"seq_len": 2048}, where="peak_lr < 1e-2")
        >>> len(runs.table)
        81

    Args:
      source: sweep directory, table (CSV, JSON, Parquet), folder with a table a run, frame, the file or folder of a
        published format, or runs that a tracker keeps, such as `wandb:ENTITY/PROJECT` (`trackers.fetch`).
      format: name of a published format, from `published.FORMATS`.
      where: which runs, such as `params_nonembedding<=4.3e8 and State==finished`; of several conditions all hold.
      map: our column name → the name in the file, such as {"loss": "val/ce"}.
      assume: `NAME` or `NAME=VALUE` of the questions of `questions.QUESTIONS` that the caller answers himself.
      collect: keep what a fit would refuse in `Runs.refusals` and leave out the rows that cannot be computed with.
      set: our column → a value that every run has, such as {"seq_len": 2048}.
      join: further tables, whose columns are added by run id.
      schedules: run id → [steps] LR of every step, for curves without a column of it.
      name: pattern of run ids such as `{params}-{}xC`, whose parts become columns.
      target: NAME of a column `val_loss.NAME` or `metric.NAME` that laws are fitted to in place of the main loss, and
        whose values along the runs are the curves.
      curves: whether the losses and LRs along the runs are asked of a tracker, which takes longer.
      progress: called with how many of how many runs a tracker has given.
      every: consecutive losses of a curve of which the mean is taken; 1 keeps all, also of long logs, which are thinned
        otherwise (`jaxlaws.records.thin`).
      from_step: losses before this step are left out; below 1 a share of the steps of each curve.

    Raises:
      Failed: a tracker does not answer.
      BadInput: nothing there, columns missing, ambiguous or in the wrong unit, values missing, negative or no numbers.
    """
    map, joins = map or {}, [join] if isinstance(join, str | Path | pd.DataFrame) else list(join)
    reading = Reading(
        map=map,
        set=set or {},
        where=[where] if isinstance(where, str) and where else list(where),
        assume=parse_assume([assume] if isinstance(assume, str) else assume),
        join=[_table(one, map, f"join {number}") for number, one in enumerate(joins, 1)],
        schedules=schedules or {},
        name=name,
        target=target,
        collect=collect,
        every=every,
        from_step=from_step,
    )
    if isinstance(source, pd.DataFrame):
        return runs_of(source, "the frame", reading)
    if scheme_of(source) and format is None:
        return _of_tracker(str(source), reading, curves, progress)
    path = Path(source)
    _require_present(path)
    if format is None and (path.is_file() or not path.is_dir() or not _is_sweep(path)):
        label, frame = _table(path, map, "")
        return runs_of(frame, label, reading)
    flags = [flag for flag, value in (("map", map), ("set", set), ("join", joins), ("name", name)) if value]
    if flags:
        what = f"--format {format} names its columns" if format else f"{printable(path)} is a sweep, which names them"
        raise BadInput(f"--{flags[0]} is for tables of your own, {what} itself: give one of them.")
    runs = published.table_of(path, format) if format else _sweep(path)
    return runs_of(runs, path.name, reading) if isinstance(runs, pd.DataFrame) else finished(runs, reading)


def _of_tracker(source: str, reading: Reading, curves: bool, progress: Progress) -> Runs:
    """The runs of a tracker: its histories, joined with what was configured, or one row a run."""
    along = ("lr", "step", "tokens")
    metrics = (lambda name: may_be(name, lambda ours: ours in along or is_loss(ours), reading.map)) if curves else None
    answer = fetch(source, metrics, progress)
    if answer.history is None:
        return runs_of(answer.runs, source, reading)
    join = [(f"the configs of {source}", answer.runs), *reading.join]
    return runs_of(answer.history, source, replace(reading, join=join))


def _require_present(path: Path) -> None:
    try:
        present = path.exists()
    except (OSError, ValueError) as error:
        raise BadInput(f"{printable(path)[:200]} cannot be read ({getattr(error, 'strerror', error)}).") from None
    if not present:
        raise BadInput(f"{printable(path)} does not exist, expected a sweep directory, a CSV, JSON or Parquet file.")


def _table(source: str | Path | pd.DataFrame, map: Mapping[str, str], label: str) -> tuple[str, pd.DataFrame]:
    """(name for people, frame) of a frame, a file, or a folder with a file a run."""
    if isinstance(source, pd.DataFrame):
        return label, source
    path = Path(source)
    _require_present(path)
    if not path.is_dir():
        return path.name, _file(path, map)
    return path.name, read_folder(path, lambda file: _file(file, map), lambda name: may_be(name, "run_id".__eq__, map))


def _is_sweep(path: Path) -> bool:
    """Whether jaxlaws wrote the folder: other trainers keep a config.yaml a run, but no array of learning rates."""
    return (path / "sweep.yaml").exists() or any(any(path.glob(f"*/{name}")) for name in ("lr.npy", "run.json"))


def _sweep(path: Path) -> Runs:
    from jaxlaws.records.run import collect

    return collect(path)


def _file(path: Path, map: Mapping[str, str]) -> pd.DataFrame:
    return read_table(
        path,
        words=lambda name: may_be(name, (*WORDS, "run_id").__contains__, map),
        losses=lambda name: may_be(name, is_loss, map),
        is_read=lambda name: may_be(name, lambda ours: True, map),
    )


def read_plan(path: Path) -> pd.DataFrame:
    """A table of planned runs with a row a run and our names."""
    name, frame = _table(path, {}, "")
    return understood(frame, name, Reading()).data
