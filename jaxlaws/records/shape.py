"""Tables as trackers export charts and metrics, brought to one row a step: `run_id, step` and a column a metric."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from jaxlaws.records.naming import candidates, normal

#: Separator of run and metric in a chart that W&B exports, and endings of the columns that are bounds.
_DASH, _BOUNDS = " - ", ("__MIN", "__MAX")
#: Names of the axis of a chart, a column that is no run.
_AXIS = re.compile(r"^(?:relative time.*|wall ?time|.*timestamp|time)$", re.IGNORECASE)
#: Names of the columns of a table with a row a metric and step.
_KEY, _VALUE = ("key", "metric", "metricname", "tag"), ("value", "metricvalue")


def reshaped(raw: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """(the table with a row a step or a run, its former shape in words) of a chart or a table with a row a metric."""
    for shape in (_chart, _metrics):
        table = shape(raw)
        if table is not None:
            return table
    return raw, ""


def _first(raw: pd.DataFrame, column: str) -> str | None:
    """The first column that may be one of ours."""
    return next((name for name in map(str, raw) if any(ours == column for ours, *_ in candidates(name, True))), None)


def _chart(raw: pd.DataFrame) -> tuple[pd.DataFrame, str] | None:
    """`Step, "RUN - val/loss", "RUN - val/loss__MIN", …`: a column a run and metric."""
    step = _first(raw, "step")
    series = [name for name in map(str, raw) if _DASH in name]
    extra = [name for name in map(str, raw) if _DASH not in name and name != step and not _AXIS.match(name)]
    if step is None or not series or extra:
        return None
    runs: dict[str, dict[str, pd.Series]] = {}
    for name in series:
        run, _, metric = name.rpartition(_DASH)
        if not metric.endswith(_BOUNDS) and normal(metric) != normal("_step"):
            runs.setdefault(run, {})[metric] = raw[name]
    parts = []
    for run, metrics in runs.items():
        rows = pd.DataFrame({"step": raw[step], **metrics}).dropna(subset=list(metrics), how="all")
        parts.append(rows.assign(run_id=run))
    return pd.concat(parts, ignore_index=True), f"{len(runs)} runs, a column each"


def _metrics(raw: pd.DataFrame) -> tuple[pd.DataFrame, str] | None:
    """`run_id, key, value, step`: a row a metric and step, as MLflow and Comet export them."""
    names = {normal(name): name for name in map(str, raw)}
    key = next((names[name] for name in _KEY if name in names), None)
    value = next((names[name] for name in _VALUE if name in names), None)
    step = _first(raw, "step")
    if key is None or value is None or step is None or raw[key].dtype.kind in "iuf":
        return None
    run = _first(raw, "run_id")
    rows = pd.DataFrame(
        {
            "run_id": "curve" if run is None else raw[run].astype(str).to_numpy(),
            "step": raw[step].to_numpy(),
            "key": raw[key].astype(str).to_numpy(),
            "value": raw[value].to_numpy(),
        }
    )
    rows = rows.drop_duplicates(["run_id", "step", "key"], keep="last")
    table = rows.pivot(index=["run_id", "step"], columns="key", values="value").reset_index()
    table.columns = pd.Index([str(name) for name in table.columns])
    constant = [name for name in raw if name not in (run, key, value, step) and raw[name].dtype.kind in "iufO"]
    if run is not None and constant:
        by_run = raw.groupby(raw[run].astype(str), sort=False)[constant]
        single = by_run.nunique(dropna=True).max() <= 1
        first = by_run.first()
        for name in single.index[single]:
            if name not in table:
                table[name] = table["run_id"].map(first[name])
    return table, f"rows of {len(np.unique(rows['key']))} metrics"
