"""Settings that change the loss and that a law cannot see: it is fitted to runs that agree in them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import pandas as pd

from jaxlaws.records.cells import PARAMS, TUNED, cell_of, swept
from jaxlaws.records.columns import WORDS, settings_in
from jaxlaws.records.doubts import ask, noted
from jaxlaws.records.smooth import outliers
from jaxlaws.records.table import Runs
from jaxlaws.text import printable, quoted

#: Columns that change the loss and are no variable of most laws; those that laws declare are others.
SETTINGS = (
    *("corpus", "group", "vocab", "seq_len", "parameterisation", "optimizer", "weight_decay", "beta1", "beta2", "clip"),
    *("schedule", "cooldown_fraction"),
)
#: Settings that a law of curves reads off the curve.
ON_THE_CURVE = ("schedule", "cooldown_fraction")
#: Largest relative difference of numbers that count as one setting.
_SAME = 1e-3
#: Largest number of settings in a sentence.
_SHOWN = 6
#: Spread of ln loss within one (N, D) up to which its runs count as equally well tuned.
_TUNED = 0.02


def comparable(runs: Runs, law: str, reads: Collection[str], curves: bool = False) -> Runs:
    """The runs of one setting at the best LR and batch of each (N, D), to which a law of the loss is fitted.

    Args: see `one_setting`.
    """
    runs = one_setting(runs, law, reads, curves)
    return runs if curves else tuned(runs, law, reads)


def one_setting(runs: Runs, law: str, reads: Collection[str], curves: bool = False) -> Runs:
    """The runs, if they agree in every setting that the law cannot tell apart.

    Args:
      runs: those that are fitted.
      law: its name, for people.
      reads: columns that it reads, which may differ.
      curves: whether it explains whole curves: their schedules may differ, while N and the batch may not unless read.

    Raises:
      BadInput: a setting differs; the sentence has the selection of the most frequent one.
    """
    usable = runs.table[runs.table["status"] != "failed"] if "status" in runs.table else runs.table
    if curves:
        usable = usable[usable.index.isin(list(runs.curves))]
    free = {*reads, *(ON_THE_CURVE if curves else ())}
    free |= set(PARAMS) if set(PARAMS) & free else set()
    names = [*SETTINGS, *(name for name in settings_in(usable) if not _follows(name, free, usable))]
    names += [*PARAMS, "batch_tokens"] if curves else []
    accepted = set(filter(None, runs.assume.get("settings", "").split(",")))
    subset, parts, differ = usable, [], {}
    for name in names:
        if name in free or name not in usable or f"{name.partition('.')[0]}." in free:
            continue
        values = _values(usable[name])
        if _differ(values):
            differ[name] = f"{name} ({_words(values)})"
        values = _values(subset[name])
        if _differ(values) and name not in accepted:
            value = values.mode().iloc[0]
            parts.append(f"{name}=={value if name in WORDS else repr(float(value))}")
            subset = subset[_equal(subset[name], value)]
    if not differ:
        return runs
    words = [*list(differ.values())[:_SHOWN], *([f"{len(differ) - _SHOWN} more"] if len(differ) > _SHOWN else [])]
    what = f"the runs differ in {', '.join(words)}, which {law} cannot tell apart"
    if accepted >= set(differ):
        return noted(runs, "settings", what)
    select = " ".join(f"--where {quoted(part)}" for part in parts)
    return ask(
        replace(runs, assume={}) if accepted else runs,
        "settings",
        what,
        f"select one with {select} ({len(subset)} of {len(usable)} runs)"
        if len(parts) <= _SHOWN
        else "select runs with --where, or fit a law that reads them",
    )


def _follows(name: str, reads: Collection[str], table: pd.DataFrame) -> bool:
    """Whether a column is a multiple of one that the law reads, as unique tokens are where no token is repeated."""
    values = table[name].to_numpy(float)
    columns = (table[column].to_numpy(float) for column in reads if column in table and len(table))
    with np.errstate(divide="ignore", invalid="ignore"):  # a value of 0 is no multiple
        return any(np.ptp(values / column) <= _SAME * np.abs(values / column).max() for column in columns)


def _values(column: pd.Series) -> pd.Series:
    """The values of the column without its empty cells, which are no other setting."""
    if column.name in WORDS:
        return column[column.notna()].astype(str)[lambda words: words != ""]
    return pd.to_numeric(column, errors="coerce").dropna()


def _differ(values: pd.Series) -> bool:
    if values.empty or values.name in WORDS:
        return values.nunique() > 1
    return bool(values.max() - values.min() > _SAME * np.abs(values).max())


def _equal(column: pd.Series, value: object) -> pd.Series:
    return column.astype(str) == value if column.name in WORDS else (column - float(str(value))).abs() <= 1e-9


def _words(values: pd.Series) -> str:
    names = [
        printable(value if values.name in WORDS else f"{value:.4g}")[:40] for value in values.value_counts().index[:3]
    ]
    return ", ".join(names) + (", …" if values.nunique() > 3 else "")


def tuned(runs: Runs, law: str, reads: Collection[str]) -> Runs:
    """The runs of a law of the loss at the best LR and batch, if each (N, D) has one of them.

    With `--assume tuning=best` the lowest loss of each (N, D) is taken; of each (N, D, batch) for a law of the batch.
    Runs of a metric stay as they are, since less of it may be worse.

    Raises:
      BadInput: runs of one of them differ in LR or batch, so that most of them are badly tuned.
    """
    if not runs.in_nats:
        return runs
    results = runs.finished()
    axes = [name for name in TUNED if name in reads]
    cell = cell_of(results.table, axes)
    loss = pd.Series(np.log(np.maximum(results.table[results.loss_column].to_numpy(float), 1e-300)))
    groups = loss.groupby(cell)
    if not swept(results, axes) or (groups.max() - groups.min()).max() <= _TUNED:
        return runs
    which = f"({', '.join(['N', 'D', *(TUNED[name] for name in axes)])})"
    free = [word for name, word in TUNED.items() if name not in axes]
    if runs.assume.get("tuning") != "best":
        return ask(
            runs,
            "tuning",
            f"runs of one {which} differ in {' or '.join(free)}: {law} would take each badly tuned one as measured",
            f"take the lowest loss of each {which} with --assume tuning=best, or select one {' and '.join(free)} with "
            "--where",
        )
    best = np.sort(groups.idxmin().to_numpy())
    winners = results.at(np.isin(np.arange(len(loss)), best))
    return outliers(
        noted(winners, "tuning", f"of {len(loss)} runs the lowest loss of each of {len(best)} {which} is taken")
    )
