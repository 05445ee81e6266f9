"""Adding the columns of one table to another by run id, and by step where both have a row a step."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from jaxlaws.errors import BadInput
from jaxlaws.records.aliases import is_loss
from jaxlaws.records.tabular import names_of
from jaxlaws.records.understood import Table, words
from jaxlaws.text import printable


def joined(left: Table, right: Table) -> Table:
    """The left table with the columns of the right one that it lacks.

    Run ids are matched by the columns of both that may hold them and share the most values. A table with a row a run
    is added to each row of the other; if only the right table has a row a step, the two
    change places.

    Raises:
      BadInput: no id of one is in the other.
    """
    if right.along and not left.along:
        left, right = right, left
    mine, theirs = _ids(left, right)
    if left.along and right.along:
        return _by_step(left, right, mine, theirs)
    if right.data.index.size and theirs.duplicated().any():
        twice = printable(theirs[theirs.duplicated()].iloc[0])
        raise BadInput(f"{right.source} has the run '{twice}' twice, expected one row a run to join.")
    place = pd.Series(range(len(theirs)), index=theirs.to_numpy()).reindex(mine.to_numpy()).to_numpy()
    rows = place.astype(float)
    for name in right.data:
        final = left.along and (name == "steps" or is_loss(str(name)))
        if name not in left.data and name != "run_id" and not final:
            left.data[name] = right.data[name].reindex(rows).to_numpy()
            if name in right.origins:
                left.origins[name] = right.origins[name]
    extra = right.raw[[name for name in right.raw if name not in left.raw]].reindex(rows).set_axis(left.raw.index)
    left.raw = pd.concat([left.raw, extra], axis=1)
    left.data["run_id"] = mine.to_numpy()
    left.notes += right.notes
    unmatched = theirs[~theirs.isin(mine)]
    if len(unmatched):
        left.notes.append(
            f"{len(unmatched)} runs of {right.source} are not in {left.source} and are left out (first: "
            f"'{printable(unmatched.iloc[0])}')."
        )
    return left


def _ids(left: Table, right: Table) -> tuple[pd.Series, pd.Series]:
    """The id columns of both, as text, that share the most values."""
    best, most = None, 0
    for mine in _candidates(left):
        values = set(mine.unique())
        for theirs in _candidates(right):
            shared = len(values & set(theirs.unique()))
            if shared > most:
                best, most = (mine, theirs), shared
    if best is None:
        raise BadInput(
            f"{right.source} has no run of {left.source} to join (columns {names_of(right.raw.columns)} and "
            f"{names_of(left.raw.columns)}): name the run id of both with --map run_id=NAME."
        )
    return best


def _candidates(table: Table) -> list[pd.Series]:
    stated_ids = [table.data["run_id"]] if "run_id" in table.data else []
    return [*stated_ids, *(words(table.raw[name]) for name in table.ids)]


def _by_step(left: Table, right: Table, mine: pd.Series, theirs: pd.Series) -> Table:
    """The rows of both tables: a curve reads its losses from some of them and its LRs from others."""
    more = right.data.assign(run_id=theirs.to_numpy())
    more = more[[name for name in more if name in ("run_id", "step") or name not in left.data]]
    data = pd.concat([left.data.assign(run_id=mine.to_numpy()), more], ignore_index=True)
    nan_loss = pd.Series(left.nan_loss).reindex(range(len(data)), fill_value=False).to_numpy(bool)
    raw = pd.concat([left.raw, right.raw.iloc[:0]]).reindex(range(len(data)))
    origins, notes = {**right.origins, **left.origins}, left.notes + right.notes
    return replace(left, data=data, raw=raw, origins=origins, nan_loss=nan_loss, notes=notes)
