"""Runs of Weights & Biases through its public API, one request for many runs and one history a run."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import pandas as pd

from jaxlaws.errors import BadInput, Failed
from jaxlaws.records.folder import scalars
from jaxlaws.records.trackers import Progress, TrackerTables, package, row
from jaxlaws.records.trackers.history import from_cache, table_of
from jaxlaws.text import printable

FORM = "wandb:ENTITY/PROJECT or wandb:ENTITY/PROJECT/sweep/ID, as in the address of the project's page"
_PATH = re.compile(
    r"(?:https?://[^/]+/|//)?([^/?#]+)/([^/?#]+)(?:/(?:sweeps?)/([^/?#]+))?(?:/workspace|/table)?/?(?:[?#].*)?"
)
#: Runs in one request of their configs and summaries, rows in one of a history.
_RUNS, _ROWS = 200, 10_000
#: Columns that count optimiser steps, best first: trainers log their own, and W&B counts calls of its `log`.
_STEPS = ("train/global_step", "trainer/global_step", "global_step", "_step")


def fetch(path: str, metrics: Callable[[str], bool] | None, progress: Progress) -> TrackerTables:
    """`fetch` of the package for ENTITY/PROJECT, ENTITY/PROJECT/sweep/ID, or the address of either's page."""
    match = _PATH.fullmatch(path)
    if match is None:
        raise BadInput(f"wandb:{printable(path)} is no project, expected {FORM}.")
    entity, project, sweep = match.groups()
    wandb = package("wandb")
    with _answers(wandb, path):
        # Loaded lazily, every config is a request of its own, and in some versions a string (wandb/wandb#10647).
        pages = wandb.Api().runs(
            f"{entity}/{project}", filters={"sweep": sweep} if sweep else {}, per_page=_RUNS, lazy=False
        )
        runs = list(pages)
    rows = pd.DataFrame([_row(run, metrics is not None) for run in runs])
    if metrics is None:
        return TrackerTables(rows, None)
    parts = []
    for done, run in enumerate(runs):
        progress(done, len(runs))
        summary = _mapping(run.summary)
        key = (
            None if run.state in ("running", "pending") else f"{entity}/{project}/{run.id}/{summary.get('_timestamp')}"
        )
        with _answers(wandb, path):
            table = from_cache(key, partial(_history, run))
        step = next((name for name in _STEPS if name in table), None)
        if step is not None:
            names = [name for name in map(str, table) if name not in _STEPS and metrics(name)]
            rows_with_it = table[table[step].notna()]
            parts.append(rows_with_it[names].assign(step=rows_with_it[step], run_id=run.id))
    progress(len(runs), len(runs))
    return TrackerTables(rows, pd.concat(parts, ignore_index=True) if parts else None)


def _history(run: Any) -> pd.DataFrame:
    """Every logged step; a request of single metrics would leave out the steps that lack one of them."""
    return table_of(run.scan_history(page_size=_ROWS))


def _row(run: Any, along: bool) -> dict[str, object]:
    config = {name: value for name, value in scalars(_mapping(run.config)) if not name.startswith("_")}
    summary = {name: value for name, value in scalars(_mapping(run.summary)) if not name.startswith("_")}
    return row(run.id, run.name, run.state, config, {} if along else summary)


def _mapping(value: Any) -> Mapping[str, Any]:
    """A config or summary as a mapping, whatever the version of the API makes of it."""
    if isinstance(value, str):
        value = json.loads(value)
    return dict(getattr(value, "_json_dict", value))


@contextmanager
def _answers(wandb: Any, path: str) -> Iterator[None]:
    """What W&B raises, as one sentence: nobody logged in, nothing there, no answer."""
    where = f"wandb:{printable(path)}"
    try:
        yield
    except wandb.errors.UsageError as error:
        raise BadInput(f"{where} cannot be read ({_brief(error)}): run wandb login, or set WANDB_API_KEY.") from None
    except (ValueError, wandb.errors.CommError) as error:
        text = str(error)
        if re.search(r"not find|not found|404|permission|403", text, re.IGNORECASE):
            raise BadInput(f"{where} cannot be read ({_brief(error)}), expected {FORM} that you may read.") from None
        raise Failed(
            f"W&B does not answer for {where} ({_brief(error)}): try again later; what was read is kept."
        ) from None
    except OSError as error:
        raise Failed(
            f"W&B does not answer for {where} ({_brief(error)}): try again later; what was read is kept."
        ) from None


def _brief(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return printable(lines[0])[:200].rstrip(".")
