"""The tables of an atlas: a list with one row each says where a table is and what of it is read."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path

import pandas as pd

from jaxlaws.errors import BadInput, unknown
from jaxlaws.records.questions import QUESTIONS
from jaxlaws.records.source import open_runs
from jaxlaws.records.table import Runs

#: Name of the list in a folder that brings its own.
LIST = "tables.csv"
#: What is answered for: a table of the atlas is published or chosen, and a law that cannot see a setting is worth what
#: it predicts all the same.
ASSUME = tuple("tuning=best" if question == "tuning" else question for question in QUESTIONS)


@dataclass(frozen=True)
class Table:
    """One row of the list.

    Attributes:
      name: of the table in the atlas.
      path: in the folder.
      format: name from `jaxlaws.records.published.FORMATS`; empty for a table that is read by the names of its columns.
      where: which runs, as `--where` says it; empty for all.
      target: NAME of `val_loss.NAME` or `metric.NAME`, in place of the main loss.
      metric: what the target is, as the laws name it; `nats`, the default, stands for any loss.
      columns: `OURS=COLUMN` of columns that are read under another name too, separated by blanks.
    """

    name: str
    path: str
    format: str = ""
    where: str = ""
    target: str = ""
    metric: str = "nats"
    columns: str = ""

    def open(self, folder: Path) -> Runs:
        """The runs of the table; `BadInput` as of `open_runs`, or where `columns` names one that it lacks."""
        path = folder / self.path
        runs = open_runs(path, self.format or None, self.where, assume=ASSUME, target=self.target)
        for pair in self.columns.split():
            ours, _, theirs = pair.partition("=")
            runs = replace(runs, table=runs.need(theirs).assign(**{ours: runs.table[theirs]}))
        return runs

    @property
    def source(self) -> str:
        """Where it is from, for people."""
        return " ".join(filter(None, (self.path, self.where, self.target)))


def tables(folder: Path, usual: Path) -> list[Table]:
    """The tables of a folder that are there, by its own `tables.csv` or, where it has none, by the usual list.

    Raises:
      BadInput: the list lacks a column, names a table twice, or none of its tables is in the folder.
    """
    path = folder / LIST if (folder / LIST).exists() else usual
    rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    names = [field.name for field in fields(Table)]
    if missing := [name for name in ("name", "path") if name not in rows]:
        raise BadInput(f"{path} has no column {', '.join(missing)}, expected {', '.join(names)}.")
    if strange := [str(name) for name in rows if name not in names]:
        raise unknown(f"column of {path.name}", strange[0], names)
    lines = rows.to_dict("records")
    listed = [Table(**{str(key): str(value) for key, value in line.items() if value}) for line in lines]
    if twice := [table.name for i, table in enumerate(listed) if table.name in {other.name for other in listed[:i]}]:
        raise BadInput(f"{path} has two tables of the name {twice[0]}: give one of them another name.")
    present = [table for table in listed if (folder / table.path).exists()]
    if not present:
        raise BadInput(f"{folder} has none of the {len(listed)} tables of {path.name}: give their folder with --data.")
    return present
