"""A table in its original form and with our columns, numbers as numbers and words as words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from jaxlaws.errors import BadInput
from jaxlaws.records.aliases import LOSSES, is_ours
from jaxlaws.records.columns import METRIC, TARGET, WORDS, word_of
from jaxlaws.records.naming import candidates, name_columns, normal
from jaxlaws.records.shape import reshaped
from jaxlaws.records.units import parse_number
from jaxlaws.text import printable

#: A plain number, and the words for an empty cell and for a loss that is no number.
_PLAIN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_EMPTY, _NO_NUMBER = ("", "none", "null", "na", "n/a", "<na>"), ("nan", "inf", "-inf", "infinity", "-infinity")
#: Columns of sizes: a table with a row a run has several values of one of them, a single curve one value.
_SIZES = ("params_nonembedding", "params_total", "params", "batch_sequences")


@dataclass(frozen=True)
class Reading:
    """How a table is to be read, beyond what its names say.

    Attributes:
      map: our column → the name in the file.
      set: our column → a value that every run has, number or text.
      where: conditions of which all hold.
      assume: question → value or "".
      join: (name, table) of further tables, whose columns are added by run id.
      schedules: run id → LR of every step, for curves without a column of it.
      name: pattern of run ids such as `{params_nonembedding}-{}xC`, whose parts become columns.
      target: which of several losses is the one that counts, the main one where empty.
      collect: keep what a fit would refuse in `Runs.refusals` and leave out the rows that cannot be computed with.
      every, from_step: of `jaxlaws.records.thin.thinned`.
    """

    map: Mapping[str, str] = field(default_factory=dict)
    set: Mapping[str, object] = field(default_factory=dict)
    where: Sequence[str] = ()
    assume: Mapping[str, str] = field(default_factory=dict)
    join: Sequence[tuple[str, pd.DataFrame]] = ()
    schedules: Mapping[str, np.ndarray] = field(default_factory=dict)
    name: str | None = None
    target: str = ""
    collect: bool = False
    every: int | None = None
    from_step: float = 0.0


@dataclass
class Table:
    """A table whose columns are ours.

    Attributes:
      data: columns of ours (`aliases.is_ours`), a row a run or a step.
      raw: the columns as they came, with the same rows.
      along: whether it has a row a step.
      origins: ours → what it was made of, where the name is not ours.
      nan_loss: [rows] whether the loss is written as NaN, which is no empty cell.
      notes: sentences about what was decided for the user.
      ids: columns of `raw` that may be the run id.
      unknown: columns of `raw` that nothing reads.
      source: for people.
    """

    data: pd.DataFrame
    raw: pd.DataFrame
    along: bool
    origins: dict[str, str]
    nan_loss: np.ndarray
    notes: list[str]
    ids: list[str]
    unknown: list[str]
    source: str


def understood(frame: pd.DataFrame, source: str, reading: Reading) -> Table:
    """The table with our names; `BadInput` where two columns are equally good, or a cell is no number."""
    if frame.empty:
        raise BadInput(f"{source} has no rows, expected one row a run or a step.")
    raw, note = reshaped(_with_index(frame))
    twice = [name for name in map(str, raw.columns[raw.columns.duplicated()]) if candidates(name, along=False)]
    if twice:
        raise BadInput(f"{source} has the column '{printable(twice[0])}' twice: keep one of them.")
    raw = raw.loc[:, ~raw.columns.duplicated()]
    mapping = {ours: name for ours, theirs in reading.map.items() if (name := place(theirs, raw)) is not None}
    readable = [name for name in map(str, raw) if candidates(name, True) or candidates(name, False)]
    readable = [name for name in readable if raw[name].notna().any() or is_ours(name)]
    ids = [name for name in readable if any(ours == "run_id" for ours, *_ in candidates(name, along=False))]
    along = _along(raw, readable, ids, mapping)
    naming = name_columns(
        readable, along, mapping, lambda a, b: _same(raw[a], raw[b]), lambda name: raw[name].is_unique, source
    )
    data: dict[str, Any] = {}
    origins: dict[str, str] = {}
    nan_loss = np.zeros(len(raw), bool)
    losses = _losses(reading.target)
    for ours, theirs in naming.columns.items():
        if not along and ours in ("step", "lr", "loss"):
            ours = {"step": "steps", "lr": "peak_lr", "loss": "loss_nats"}[ours]
        if ours in (*WORDS, "run_id"):
            data[ours] = words(raw[theirs])
            if ours in ("optimizer", "schedule"):
                data[ours] = data[ours].map({word: word_of(ours, word) for word in data[ours].unique()})
        else:
            values, nan_cells = numbers(raw[theirs], f"{source}: {ours}")
            data[ours] = values * naming.times.get(ours, 1.0)
            nan_loss |= nan_cells if ours in losses else False
        if normal(theirs) != normal(ours) and (ours, theirs) != ("loss_nats", "loss"):
            times = f" × {naming.times[ours]:g}" if ours in naming.times else ""
            origins[ours] = printable(theirs)[:60] + times
    return Table(
        pd.DataFrame(data, index=raw.index),
        raw,
        along,
        origins,
        nan_loss,
        [f"{source} is read as {note}."] if note else [],
        ids,
        [name for name in map(str, raw) if name not in naming.columns.values()],
        source,
    )


def _losses(target: str) -> tuple[str, ...]:
    """Columns of losses, of which one decides how a run ended."""
    return (TARGET + target, METRIC + target) if target else tuple(set(LOSSES) - {"train_loss_nats"})


def place(theirs: str, raw: pd.DataFrame) -> str | None:
    """The column of this name, else the only one whose name differs just in case and separators."""
    if theirs in raw:
        return theirs
    alike = [name for name in map(str, raw) if normal(name) == normal(theirs)]
    return alike[0] if len(alike) == 1 else None


def _with_index(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with a plain index: a named index, or one of text, becomes a column."""
    if frame.index.names != [None]:
        frame = frame.reset_index()
    elif not isinstance(frame.index, pd.RangeIndex) and frame.index.dtype.kind not in "iufb":
        frame = frame.rename_axis("run_id" if "run_id" not in frame else None).reset_index()
    names = ["/".join(map(str, name)) if isinstance(name, tuple) else str(name) for name in frame.columns]
    return frame.reset_index(drop=True).set_axis(names, axis=1)


def _along(raw: pd.DataFrame, readable: Sequence[str], ids: Sequence[str], mapping: Mapping[str, str]) -> bool:
    """Whether the table has a row a step: it has steps, and either a run id twice, or neither run ids nor two sizes."""
    ids = [mapping["run_id"]] if "run_id" in mapping else list(ids)
    step = "step" in mapping or any(ours == "step" for name in readable for ours, *_ in candidates(name, along=True))
    if not step:
        return False
    sizes = [name for name in readable if any(ours in _SIZES for ours, *_ in candidates(name, along=False))]
    if {"step", "lr", "loss"} <= set(raw) and not sizes:
        return True
    if ids:
        return not any(raw[name].is_unique for name in ids)
    return not any(raw[name].nunique() > 1 for name in [*sizes, *(mapping[o] for o in _SIZES if o in mapping)])


def _same(left: pd.Series, right: pd.Series) -> bool:
    """Whether two columns agree wherever both have a value."""
    both = (left.notna() & right.notna()).to_numpy()
    return bool(both.any() and (left[both].astype(str).to_numpy() == right[both].astype(str).to_numpy()).all())


def words(values: pd.Series) -> pd.Series:
    """The column as text, with empty text for an empty cell."""
    return pd.Series([value if isinstance(value, str) else str(value) for value in values.astype(object).fillna("")])


def numbers(values: pd.Series, name: str) -> tuple[np.ndarray, np.ndarray]:
    """([rows] numbers, NaN where there is none; [rows] whether the cell says that it is no number).

    Raises:
      BadInput: a cell is neither a number such as 7e9 or 7B, nor empty.
    """
    if isinstance(values.dtype, np.dtype) and values.dtype.kind in "iuf":
        return values.to_numpy(float), np.zeros(len(values), bool)
    if values.dtype.kind in "iuf":
        return values.to_numpy(float, na_value=np.nan), np.zeros(len(values), bool)
    text = values.astype(object).where(values.notna(), "")
    strings = np.array([cell if isinstance(cell, str) else "" for cell in text], dtype=object)
    plain = np.array([_PLAIN.fullmatch(cell) is not None for cell in strings], bool)
    result = np.full(len(values), np.nan)
    result[plain] = strings[plain].astype(float)
    nan_cells = np.zeros(len(values), bool)
    for row in np.flatnonzero(~plain | np.isinf(result)):
        cell = text.iloc[row]
        word = cell.strip().lower() if isinstance(cell, str) else None
        if word in _NO_NUMBER:
            nan_cells[row] = True
        elif word not in _EMPTY:
            result[row] = cell if isinstance(cell, float) else parse_number(cell, f"{name} in row {row + 1}")
    return result, nan_cells
