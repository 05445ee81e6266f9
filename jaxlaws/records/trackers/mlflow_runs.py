"""Runs of MLflow: of the server that MLFLOW_TRACKING_URI names, or of the folder mlruns or the file mlflow.db here."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pandas as pd

from jaxlaws.errors import BadInput, Failed
from jaxlaws.records.trackers import Progress, TrackerTables, package, row
from jaxlaws.records.trackers.history import from_cache, table_of
from jaxlaws.text import printable

FORM = "mlflow:EXPERIMENT by name or id, or mlflow: for all, where mlruns is or MLFLOW_TRACKING_URI says"
#: Runs that one search returns at most: what the API allows.
_RUNS = 50_000


def fetch(experiment: str, metrics: Callable[[str], bool] | None, progress: Progress) -> TrackerTables:
    """`fetch` of the package for one experiment, or for all of them."""
    mlflow = package("mlflow")
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # MLflow 3.7 and newer refuse to read a folder without it
    with _answers(mlflow):
        client = mlflow.MlflowClient()
        experiments = client.search_experiments()
        matches = [item for item in experiments if experiment in ("", item.name, item.experiment_id)]
        if not matches:
            names = ", ".join(printable(item.name) for item in experiments[:10]) or "none"
            raise BadInput(f"mlflow:{printable(experiment)} is no experiment of {_where(mlflow)}, which has {names}.")
        ids = [item.experiment_id for item in matches]
        order = ["attributes.start_time ASC"]
        runs = mlflow.search_runs(experiment_ids=ids, max_results=_RUNS, order_by=order, output_format="list")
    rows = [
        row(run.info.run_id, run.info.run_name, run.info.status, run.data.params, {} if metrics else run.data.metrics)
        for run in runs
    ]
    if metrics is None:
        return TrackerTables(pd.DataFrame(rows), None)
    parts = []
    for done, run in enumerate(runs):
        progress(done, len(runs))
        series = sorted(name for name in run.data.metrics if metrics(name))
        is_over = run.info.status != "RUNNING"
        key = f"{_where(mlflow)}/{run.info.run_id}/{run.info.end_time}/{series}" if is_over else None
        with _answers(mlflow):
            table = from_cache(key, partial(_history, client, run.info.run_id, series))
        parts.append(table.assign(run_id=run.info.run_id))
    progress(len(runs), len(runs))
    return TrackerTables(pd.DataFrame(rows), pd.concat(parts, ignore_index=True) if parts else None)


def _history(client: Any, run: str, names: list[str]) -> pd.DataFrame:
    """A row a logged step, a column a metric; of values with one step the last that was logged."""
    rows: dict[int, dict[str, object]] = {}
    for name in names:
        for metric in sorted(client.get_metric_history(run, name), key=lambda metric: metric.timestamp):
            rows.setdefault(metric.step, {"step": metric.step})[name] = metric.value
    return table_of(rows[step] for step in sorted(rows))


def _where(mlflow: Any) -> str:
    return printable(mlflow.get_tracking_uri())


@contextmanager
def _answers(mlflow: Any) -> Iterator[None]:
    """What MLflow raises as one sentence: a store that cannot be read, a server that does not answer."""
    try:
        yield
    except (mlflow.exceptions.MlflowException, OSError, ImportError) as error:
        reason = printable((str(error).strip().splitlines() or [type(error).__name__])[0])[:200].rstrip(".")
        raise Failed(
            f"MLflow at {_where(mlflow)} does not answer ({reason}): set MLFLOW_TRACKING_URI to the server or the "
            "folder of your runs, or start it."
        ) from None
