"""From any table to `Runs`: derives columns, decides how each run ended, and selects runs."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pandas as pd

from jaxlaws.errors import BadInput, unknown
from jaxlaws.records import published
from jaxlaws.records.aliases import is_ours, our_names, remedy
from jaxlaws.records.check import POSITIVE, check
from jaxlaws.records.columns import MAIN_LOSSES, declared_in, is_column, no_loss, target_of
from jaxlaws.records.doubts import ask
from jaxlaws.records.ends import ended
from jaxlaws.records.join import joined
from jaxlaws.records.long import curves_of, last_rows
from jaxlaws.records.made import derive, name_parts, ours_of, set_columns
from jaxlaws.records.table import Curve, Runs
from jaxlaws.records.tabular import names_of
from jaxlaws.records.thin import thinned
from jaxlaws.records.understood import Reading, Table, place, understood
from jaxlaws.records.usage import Usage, usage_of
from jaxlaws.records.where import where as select_where
from jaxlaws.text import printable

#: Name of a column that holds something other than a loss in nats a token.
_NO_NATS = re.compile(r"(?:^|[^a-z])(ppl|perplexity|bpb|bpc|bits?|acc|accuracy)(?:$|[^a-z])", re.IGNORECASE)


def runs_of(frame: pd.DataFrame, source: str = "table", reading: Reading | None = None) -> Runs:
    """The runs of a table of any tracker, selected, checked and questioned.

    Args:
      frame: a row a run, a row a step, a row a step and metric, or a chart with a column a run.
      source: for people.
      reading: what the user says about it.

    Raises:
      BadInput: columns are missing, ambiguous or in the wrong unit; values are missing, negative or not numbers.
    """
    reading = reading or Reading()
    for ours in reading.map:
        if not is_ours(ours):
            raise unknown("column in --map", ours, our_names())
    table = understood(frame, source, reading)
    others = [understood(other, name, reading) for name, other in reading.join]
    for ours, theirs in reading.map.items():
        if all(place(theirs, one.raw) is None for one in (table, *others)):
            raise BadInput(
                f"--map {ours}={printable(theirs)}: {source} has no column '{printable(theirs)}'; it has "
                f"{names_of(table.raw.columns)}."
            )
    for other in others:
        table = joined(table, other)
    name_parts(table, reading.name)
    set_columns(table, reading.set)
    derive(table)
    runs = _runs(table, reading)
    return finished(runs, reading, lambda name: _theirs(table, runs, name))


def finished(runs: Runs, reading: Reading, theirs: Callable[[str], pd.Series | None] = lambda name: None) -> Runs:
    """The runs that `--where` selects, checked, questioned and thinned, with their `usage`."""
    runs = replace(runs, assume=reading.assume, refusals=() if reading.collect else None, target=reading.target)
    if reading.target:
        runs = replace(runs, notes=(*runs.notes, f"The loss is {runs.loss_column}, as --target {reading.target} says."))
    selection = _ask_loss_unit(select_where(runs, reading.where, theirs) if reading.where else runs, reading)
    remainder = check(_without_incomplete(selection))
    remainder = replace(remainder, usage=usage_of(runs, selection, remainder))
    return thinned(remainder, reading.every, reading.from_step)


def _runs(table: Table, reading: Reading) -> Runs:
    table = replace(table, data=_with_loss(table, reading.target))
    data, curves = table.data, dict[str, Curve]()
    if table.along and ("lr" in data or reading.schedules or not {*_SIZES} & set(data)):
        _need_steps(table, bool(reading.schedules))
        frame, curves = curves_of(data, table.source, table.nan_loss, reading.schedules)
    elif table.along:
        _need_steps(table, schedules=True)
        frame = last_rows(data, table.source, table.nan_loss)
        table.notes.append(f"{table.source} has no learning rates: the last row of each of {len(frame)} runs is taken.")
    else:
        frame = _rows(table)
    if reading.target and table.along:
        frame = frame.drop(columns="loss_nats")
    nan_loss = frame.pop("nan_loss").to_numpy(bool)
    if table.along and "status" not in frame:
        frame["status"] = ""
    loss = next(frame[name].to_numpy(float) for name in _losses(reading.target, frame) if name in frame)
    status, reason = ended(frame, loss, nan_loss)
    exclusions: dict[str, list[str]] = {}
    diverged: dict[str, list[str]] = {}
    if status is not None:
        for name, state, why in zip(frame.index, status, reason, strict=True):
            if why:
                (diverged if state == "diverged" else exclusions).setdefault(why, []).append(str(name))
        frame["status"] = status
        curves = {name: curves[name] for name in frame.index[status == "ok"] if name in curves}
        if (status == "ok").all() and not table.data.columns.isin(["status"]).any():
            frame = frame.drop(columns="status")
    usage = Usage(len(frame), _origins(table, frame), exclusions, diverged, table.unknown)
    ours = frame[[name for name in frame if is_column(str(name))]]
    return Runs(ours, curves, source=table.source, notes=tuple(table.notes), usage=usage)


#: Columns of which a law of final losses needs one in a table of curves.
_SIZES = ("params_nonembedding", "params_total", "tokens")
#: Columns whose origin a fit states, since it may read them; other settings are left out.
_STATED = (*POSITIVE, "val_loss_nats", "loss_nats", "lr", "loss", "warmup_steps", "status")


def _origins(table: Table, frame: pd.DataFrame) -> dict[str, str]:
    names = (*_STATED, *declared_in(frame), *(name for name in map(str, frame) if target_of(name)))
    origins = {ours: origin for ours in names if (origin := table.origins.get(ours)) is not None}
    if "lr" in origins or ("loss_nats" in origins and "val_loss_nats" in frame):
        origins.pop("peak_lr" if "lr" in origins else "loss_nats", None)
    inside = " ".join(origins.get("batch_tokens", "").split("(")[:1])
    return {ours: origin for ours, origin in origins.items() if ours != "batch_sequences" or origin not in inside}


def _targets(target: str, table: pd.DataFrame) -> list[str]:
    """The columns of the target, or of all of them."""
    return [name for name in map(str, table) if (label := target_of(name)) and target in ("", label)]


def _losses(target: str, table: pd.DataFrame) -> list[str]:
    """Columns of final losses; the first one in the table decides how a run ended."""
    return [*([] if target else MAIN_LOSSES), *_targets(target, table)]


def _with_loss(table: Table, target: str) -> pd.DataFrame:
    """The rows, with the target as the loss along a run; `BadInput` if the table lacks the target."""
    columns = _targets(target, table.data)
    if (target and not columns) or (columns and not target and table.along and "loss" not in table.data):
        raise no_loss(table.source, target, table.data)
    return table.data.assign(loss=table.data[columns[0]]) if target and table.along else table.data


def _need_steps(table: Table, schedules: bool) -> None:
    """Raises `BadInput` where a table with a row a step lacks the loss or the LR."""
    missing = [name for name in ("lr", "loss") if name not in table.data and not (name == "lr" and schedules)]
    if missing:
        raise BadInput(
            f"{table.source} has steps and no column {', '.join(missing)}; it has {names_of(table.raw.columns)}: "
            f"{'; '.join(remedy(name, table.data.columns, table.unknown) for name in missing)}"
            + ("; or give the schedule of each run with --schedules." if "lr" in missing else ".")
        )


def _rows(table: Table) -> pd.DataFrame:
    """The table of runs of a table with a row a run."""
    data = table.data.copy()
    if not any(name in data for name in _losses("", data)):
        other = next((name for name in ("smooth_loss_nats", "train_loss_nats") if name in data), None)
        if other is None:
            raise BadInput(
                f"{table.source} has no column val_loss_nats or loss_nats (it has {names_of(table.raw.columns)}): "
                f"{remedy('loss', data.columns, table.unknown)}, or a published table with --format "
                f"{'|'.join(published.FORMATS)}."
            )
        data = data.rename(columns={other: "loss_nats"})
        table.origins["loss_nats"] = table.origins.pop(other, other)
        table.notes.append(f"The loss is read from '{table.origins['loss_nats']}', for want of one of validation.")
    if "run_id" not in data:
        data["run_id"] = [f"row_{row}" for row in range(1, len(data) + 1)]
    return data.assign(nan_loss=table.nan_loss).set_index("run_id")


def _theirs(table: Table, runs: Runs, name: str) -> pd.Series | None:
    """[runs] a column of the file by its own name, None where it has none."""
    column = place(name, table.raw)
    if column is None:
        ours = ours_of(name, table.along)
        return None if ours is None else runs.table.get(ours)
    if not table.along:
        return table.raw[column].set_axis(runs.table.index)
    values = table.raw[column].groupby(table.data.get("run_id", pd.Series("curve", table.raw.index)).to_numpy())
    if (values.nunique() > 1).any():
        raise BadInput(f"--where {printable(name)}: the column changes along a run, expected one value for each.")
    return values.first().reindex(runs.table.index)


def _without_incomplete(runs: Runs) -> Runs:
    """The runs without failed ones that lack a required value, as crashed runs often do."""
    if "status" not in runs.table:
        return runs
    required = [name for name in POSITIVE if name in runs.table]
    incomplete = (runs.table["status"] == "failed").to_numpy() & runs.table[required].isna().any(axis=1).to_numpy()
    return runs.at(~incomplete) if incomplete.any() and not incomplete.all() else runs


def _ask_loss_unit(runs: Runs, reading: Reading) -> Runs:
    for ours in ("loss", "loss_nats", "val_loss_nats"):
        if _NO_NATS.search(reading.map.get(ours, "")):
            runs = ask(
                runs,
                "loss-unit",
                f"the loss is read from the column '{printable(reading.map[ours])}', whose name is not that of nats a "
                "token",
                "convert it first (ln of a perplexity; bits times ln 2, and per token)",
            )
    return runs
