"""Computing the rows of an atlas: which there are, in processes beside one another, each into the CSV when ready."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import UTC, datetime
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

from jaxlaws.atlas import hyper, rows
from jaxlaws.atlas.applies import hyper_obstacle, obstacle
from jaxlaws.atlas.score import EFFORTS, Effort, score
from jaxlaws.atlas.tables import Table
from jaxlaws.errors import BadInput
from jaxlaws.fits import versions
from jaxlaws.laws.table import LAWS, of_module
from jaxlaws.plugins import load
from jaxlaws.records.table import Runs


class Task(NamedTuple):
    """One row to compute: a law on a table of a folder, after plug-ins are loaded."""

    law: str
    kind: str
    table: Table
    folder: Path
    effort: Effort
    plugins: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """What the row is named by."""
        return self.table.name, self.law


def plan(
    tables: Sequence[Table], folder: Path, efforts: Mapping[str, Effort] = EFFORTS, plugins: Sequence[str] = ()
) -> tuple[list[Task], dict[tuple[str, str], str]]:
    """The rows of every law on every table that is one for it, and of the other pairs the reasons, (table, law) → one.

    A table that cannot be read is in the reasons once, with no law.
    """
    tasks: list[Task] = []
    reasons: dict[tuple[str, str], str] = {}
    for table in tables:
        try:
            runs = table.open(folder)
        except BadInput as error:
            reasons[table.name, ""] = str(error)
            continue
        of_losses = [(name, law.kind, obstacle(law, runs, table.metric)) for name, law in LAWS.items()]
        of_settings = [(name, "lr_batch", hyper_obstacle(runs)) for name in hyper.names()]
        for name, kind, reason in (*of_losses, *of_settings):
            if reason:
                reasons[table.name, name] = reason
            else:
                tasks.append(Task(name, kind, table, folder, efforts[kind], tuple(plugins)))
    return tasks, reasons


def compute(tasks: Sequence[Task], jobs: int) -> Iterator[dict[str, Any]]:
    """The rows of tasks as they are ready, from `jobs` processes; from this one where it is 1."""
    if jobs == 1:
        yield from map(row_of, tasks)
        return
    context = get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        for done in as_completed([pool.submit(row_of, task) for task in tasks]):
            yield done.result()


def row_of(task: Task) -> dict[str, Any]:
    """The row of a task, without the commit and the command; one that is refused or fails says why."""
    load_laws(task.plugins)
    begin = time.process_time()
    own: dict[str, Any] = {}
    try:
        runs = _opened(task.table, task.folder)
        own = {"digest": runs.digest[:12]}
        own |= (hyper.score if task.kind == "lr_batch" else score)(task.law, runs, task.effort)
    except BadInput as error:
        own |= {"status": "refused", "note": str(error)}
    except Exception as error:
        own |= {"status": "failed", "note": f"{type(error).__name__}: {error}"}
    import jax
    import numpy as np

    return {
        "law": task.law,
        "table": task.table.name,
        "kind": task.kind,
        "source": task.table.source,
        "starts": task.effort.starts,
        "bootstrap": task.effort.bootstrap,
        **own,
        "note": " ".join(str(own.get("note", "")).split()),
        "cpu_row": time.process_time() - begin,
        "versions": ", ".join(f"{name} {version}" for name, version in versions(jax, np).items()),
        "date": datetime.now(UTC).date().isoformat(),
    }


@lru_cache(maxsize=1)
def _opened(table: Table, folder: Path) -> Runs:
    """The runs of a table, which several laws read in turn; no program serves two tables, whose shapes differ."""
    import jax

    jax.clear_caches()
    return table.open(folder)


def load_laws(plugins: Sequence[str]) -> None:
    """Add the laws of plug-ins to the table of laws."""
    for file in plugins:
        LAWS.update(of_module(load(file)))


def fill(
    path: Path,
    tasks: Sequence[Task],
    again: bool,
    order: Sequence[str],
    jobs: int,
    about: Mapping[str, str],
    progress: Callable[[int, int, Mapping[str, Any]], None] = lambda done, total, row: None,
) -> Sequence[rows.Row]:
    """Compute the rows of tasks that the CSV lacks, or all of them, each into the file as soon as it is ready.

    Args:
      path: of the CSV, which need not exist.
      tasks: rows that it is to have.
      again: whether those that are there are computed too.
      order: of the tables.
      jobs: processes.
      about: columns that all new rows have, such as the commit.
      progress: called with how many of how many rows are ready, and the last.

    Returns:
      All rows of the file.
    """
    every: Sequence[rows.Row] = rows.read(path)
    present = {(row["table"], row["law"]) for row in every}
    missing = [task for task in tasks if again or task.key not in present]
    for number, row in enumerate(compute(missing, jobs), 1):
        row |= about
        every = rows.merged(every, [row], order)
        rows.write(path, every)
        progress(number, len(missing), row)
    return rows.read(path)
