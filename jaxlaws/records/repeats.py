"""Rows that are not runs of their own: checkpoints of one run, and runs of one config whose losses disagree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from jaxlaws.records.cells import PARAMS
from jaxlaws.records.columns import is_result
from jaxlaws.records.doubts import ask, noted
from jaxlaws.records.table import Runs
from jaxlaws.text import printable

#: Column of the training run that a row is of.
CLUSTER = "cluster"
#: Columns that grow along a run.
PROGRESS = ("tokens", "steps", "flops_6nd", "flops_budget", "final_lr")
#: Spread of ln loss within one config that is noise: with the seed equal, without a seed, and whatever the others show.
SAME_SEED, SAME_CONFIG, MOST = 0.02, 0.05, 0.15
#: Multiple of the other configs' median spread that a spread has to exceed.
TIMES_OTHERS = 5.0
#: Fewest checkpoints by which a run is recognised, and the largest relative difference of their distances.
MIN_CHECKPOINTS, EVEN = 5, 0.01
_STEP_IN_NAME = r"(?i)^(.*?)[-_./ :=]*(?:step|ckpt|chkpt|checkpoint|iter|iteration|update)[-_=: ]*(\d{1,18})\D*$"


def _keys(runs: Runs, without: tuple[str, ...]) -> np.ndarray:
    """[runs] a number a config: equal for equal settings, those of `without` excepted, and equal LRs of curves."""
    columns = [name for name in runs.table if not is_result(str(name)) and name not in (*without, CLUSTER)]
    key = pd.util.hash_pandas_object(runs.table[columns], index=False).to_numpy() if columns else None
    key = np.zeros(len(runs.table), np.uint64) if key is None else key
    if runs.curves:
        lrs = [hash(runs.curves[name].lr.tobytes()) if name in runs.curves else 0 for name in runs.table.index]
        key = key ^ np.array(lrs, np.int64).astype(np.uint64)
    return pd.factorize(key)[0]


def repeats(runs: Runs) -> Runs:
    """Runs whose every setting is equal and whose losses differ by more than noise: a setting is not in the table."""
    table = runs.finished().table if runs.in_nats else runs.table.iloc[:0]
    has_size = {"tokens", "steps"} & set(table.columns) and (runs.curves or set(PARAMS) & set(table.columns))
    if len(table) < 2 or not has_size:
        return runs
    has_seed = "seed" in table and table["seed"].notna().all()
    key = _keys(replace(runs, table=table), ())
    groups = pd.Series(np.log(table[runs.loss_column].to_numpy(float))).groupby(key)
    spread = (groups.max() - groups.min())[groups.size() > 1]
    if spread.empty:
        return runs
    limit = SAME_SEED if has_seed else float(np.clip(TIMES_OTHERS * spread.median(), SAME_CONFIG, MOST))
    if not spread.max() > limit:
        return runs
    names = table.index[key == spread.idxmax()]
    loss = table.loc[names, runs.loss_column]
    return ask(
        runs,
        "repeats",
        f"{len(names)} runs of one config{' and seed' if has_seed else ''} ({_some(names)}) end at {loss.min():.4g} to "
        f"{loss.max():.4g}, further apart than noise: a setting in which they differ is not among the columns, or one "
        "of them is another run",
        "name that column with --map (peak_lr, batch_tokens, seed, …), or leave out the wrong ones",
    )


def checkpoints(runs: Runs) -> Runs:
    """Asks about checkpoints of one run that look like runs: their names are numbered, or their tokens evenly spaced.

    With `--assume checkpoints=last` the last of each run is kept, with `--assume checkpoints` all, as one cluster.
    """
    table = runs.table
    progress = next((name for name in ("tokens", "steps") if name in table), None)
    if progress is None or runs.curves or len(table) < MIN_CHECKPOINTS:
        return runs
    done = table[progress].to_numpy(float)
    key = _keys(runs, PROGRESS)
    group = _by_name(table.index, key, done)
    how = "whose names count steps"
    if group is None:
        group, how = _even(key, done), "at evenly spaced tokens"
    if group is None:
        return runs
    first = table.index[group == np.flatnonzero(np.bincount(group[group >= 0]))[0]]
    what = (
        f"{np.sum(group >= 0)} rows look like checkpoints of {len(np.unique(group[group >= 0]))} runs, {how} "
        f"({_some(first)}): a loss before the LR has decayed is not what a run of that length ends at"
    )
    if runs.assume.get("checkpoints") == "last":
        order = np.lexsort((done, group))
        last = np.r_[group[order][1:] != group[order][:-1], True]
        keep = group < 0
        keep[order[last]] = True
        return noted(runs.at(keep), "checkpoints", f"{what}; the last of each is taken")
    runs = ask(runs, "checkpoints", what, _REMEDY)
    if "checkpoints" not in runs.assume or CLUSTER in table:
        return runs
    first_of = pd.Series(table.index.astype(str)).groupby(group).transform("first").to_numpy(str)
    return replace(runs, table=table.assign(**{CLUSTER: np.where(group < 0, table.index.astype(str), first_of)}))


_REMEDY = "take the last of each with --assume checkpoints=last"


def rows_of_a_run(runs: Runs) -> Runs:
    """Runs whose id several rows have, which differ in tokens or steps only: the last of each, or all as one cluster.

    `--assume checkpoints=last` and `--assume checkpoints` say which.
    """
    table = runs.table
    progress = next((name for name in ("tokens", "steps") if name in table), None)
    if progress is None or not table.index.has_duplicates:
        return runs
    done = pd.to_numeric(table[progress], errors="coerce").astype(float).reset_index(drop=True)
    what = f"{len(table)} rows are of {table.index.nunique()} runs"
    if runs.assume.get("checkpoints") == "last":
        order = done.sort_values(kind="stable").index
        keep = np.isin(np.arange(len(table)), pd.Series(order, table.index[order]).groupby(level=0).last())
        return noted(runs.at(keep), "checkpoints", f"{what}; the last of each is taken")
    names = table.index.astype(str)
    rows = pd.Index([f"{name}@{value:g}" for name, value in zip(names, done, strict=True)], name=table.index.name)
    if rows.has_duplicates or (pd.Series(_keys(runs, PROGRESS)).groupby(names).nunique() > 1).any():
        return runs
    what = f"{what}, {printable(names[names.duplicated()][0])} among them, each row at {progress} of its own"
    runs = ask(
        runs,
        "checkpoints",
        f"{what}: a loss before the LR has decayed is not what a run of that length ends at",
        f"{_REMEDY}, and of curves add the column step",
    )
    return replace(runs, table=table.assign(**{CLUSTER: names}).set_axis(rows))


def _by_name(names: pd.Index, key: np.ndarray, done: np.ndarray) -> np.ndarray | None:
    """[rows] the run of each row, −1 where it is no checkpoint; None where names number no steps in order of `done`."""
    several = np.flatnonzero(np.bincount(key)[key] >= 3)
    if not len(several):
        return None
    parts = pd.Series(names[several].astype(str)).str.extract(_STEP_IN_NAME)
    run = pd.factorize(parts[0].fillna(""))[0] * (int(key.max()) + 1) + key[several]
    rows = pd.DataFrame({"run": run, "number": pd.to_numeric(parts[1]), "done": done[several], "row": several})
    rows = rows.dropna(subset="number").sort_values(["run", "number"])
    groups = rows.groupby("run")["done"]
    falls = (groups.diff() < 0).groupby(rows["run"]).transform("any")
    along = rows[(groups.transform("nunique") >= 3) & ~falls]
    if along.empty:
        return None
    group = np.full(len(key), -1)
    group[along["row"]] = along["run"]
    return group


def _even(key: np.ndarray, done: np.ndarray) -> np.ndarray | None:
    """[rows] the config of each row if it has D = Δ, 2Δ, 3Δ, … as at least half of the configs do; None otherwise."""
    order = np.lexsort((done, key))
    sorted_key, sorted_done = key[order], done[order]
    first = np.r_[True, sorted_key[1:] != sorted_key[:-1]]
    place = np.arange(len(key)) - np.maximum.accumulate(np.where(first, np.arange(len(key)), 0))
    unit = sorted_done[np.maximum.accumulate(np.where(first, np.arange(len(key)), 0))]
    with np.errstate(over="ignore"):  # counts that no float holds are as far off as any
        off = pd.Series(np.abs(sorted_done / (unit * (place + 1)) - 1)).groupby(sorted_key)
    even = (off.max() < EVEN) & (off.size() >= MIN_CHECKPOINTS)
    if not even.any() or 2 * even.sum() < (off.size() >= MIN_CHECKPOINTS).sum():
        return None
    return np.where(np.isin(key, even.index[even]), key, -1)


def _some(names: pd.Index) -> str:
    text = ", ".join(printable(name)[:40] for name in names[:3])
    return f"{text}, …" if len(names) > 3 else text
