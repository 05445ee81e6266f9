"""Laws of points on the public tables: errors on held-out quarters beside the simplest rival, coverage of intervals.

    python experiments/laws/point_laws.py ../shared/data          # half an hour on two busy cores
    python experiments/laws/point_laws.py ../shared/data parallel  # the rows of one law

A table is split into four random quarters, each of which is predicted from the three others. Printed are the mean error
over the loss (over its mean size where it may be negative) of the law, of the rival and of a constant, the mean of what
was fitted; and which share of the held-out runs lies in the 90% intervals of law and rival.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxlaws.fitting.columns import columns_of
from jaxlaws.fitting.fit import fit
from jaxlaws.fitting.predict import predict
from jaxlaws.fitting.score import errors
from jaxlaws.inputs import INPUTS
from jaxlaws.laws.table import get
from jaxlaws.records.published import load
from jaxlaws.records.settings import comparable
from jaxlaws.records.table import Runs
from jaxlaws.records.where import where

QUARTERS = 4


class Row(NamedTuple):
    """A law on a table: format and path of it, the law to compare with, the family of runs and the target.

    `starts` and `bootstrap` are of the fits, the defaults where they are None. `x` is the column that a law of one
    variable reads; runs with 0 of it are left out.
    """

    law: str
    format: str
    path: str
    rival: str = ""
    group: str = ""
    target: str = ""
    starts: int | None = None
    bootstrap: int | None = None
    x: str = ""


_ROUTING, _MIXTURE, _STEP_LAW = (
    "routing/curves.csv.gz",
    "scalebench/domain_mixture.csv",
    "step_law/dense_lr_bs_loss.csv",
)
ROWS = (
    Row("chinchilla", "isoflop", "isoflops/chinchilla_figure4_epoch.csv", "kaplan"),
    Row("farseer", "farseer", "scalebench/farseer.csv", "chinchilla"),
    Row("data_constrained", "data_constrained", "data_constrained/runs.csv", "chinchilla"),
    Row("data_constrained", "data_constrained", "scalebench/data_constrained.csv", "chinchilla"),
    Row("parallel", "parallel", "scalebench/parallel.csv", "power_of_params", "stack"),
    Row("parallel", "parallel", "scalebench/parallel.csv", "power_of_params", "pile"),
    Row("vocabulary", "vocabulary", "scalebench/vocab.csv"),
    Row("routed", "moe", "scalebench/moe.csv", "power_of_params"),
    *(Row("mixing", "domain_mixture", "scalebench/domain_mixture.csv", "", "160M", f"domain_{i}") for i in range(1, 6)),
    Row("power_of_flops", "isoflop", "isoflops/chinchilla_figure4_epoch.csv", "power_of_params"),
    *(
        Row("routed", "routing", _ROUTING, "power_of_params", router, "", 64, 200)
        for router in ("S-Base", "RL-R", "Hash")
    ),
    Row("routed", "moe", "scalebench/moe.csv", "power_of_params", "", "", 64, 200),
    *(
        Row("mixing", "domain_mixture", _MIXTURE, "", size, f"domain_{i}", 16, 100)
        for size in ("70M", "410M")
        for i in (1, 3, 4, 5)
    ),
    *(
        Row("mixing", "regmix", "regmix", "", size, target, 16, 100)
        for size, target in (("1m", "pile_cc"), ("1m", "github"), ("60m", "pile_cc"))
    ),
    *(
        Row("rectified", "rectified", f"rectified/rectified_scaling_law_{task}.csv", "", model, "", 16, 100)
        for task in ("flan", "gigaword")
        for model in ("gpt2", "facebook/opt-1.3b")
    ),
    *(
        Row("rectified", "rectified", path, "broken_power", model, "", 16, 100, "finetune_examples")
        for path in (f"rectified/rectified_scaling_law_{task}.csv" for task in ("flan", "gigaword"))
        for model in ("gpt2", "facebook/opt-1.3b")
    ),
    Row("three_term", "step_law", _STEP_LAW, "critical_batch", starts=16, bootstrap=100),
    Row("mist_lr_batch", "step_law", _STEP_LAW, "chinchilla", starts=6, bootstrap=30),
)


def table(row: Row, folder: Path) -> Runs:
    """The finished runs of a row, whose settings the rival need not read, at the best LR where the law reads none."""
    runs = load(folder / row.path, row.format)
    if row.target:
        runs = replace(runs, target=row.target)
    if row.group:
        runs = where(runs, f"group=={row.group}")
    if row.x:
        at = runs.table[row.x].to_numpy(float)
        runs = replace(runs, table=runs.table.assign(x=at)).at(at > 0)
    runs = replace(runs, assume={"settings": "", "tuning": "best"})
    return comparable(runs, row.law, columns_of(get(row.law)))


class Score(NamedTuple):
    """Mean error of a law on what was held out, and which share of it lay in the intervals."""

    error: float
    inside: float


def score(law: str, runs: Runs, quarter: np.ndarray, starts: int | None, bootstrap: int | None) -> Score:
    """The score over all quarters [runs], each predicted from the others."""
    value, low, high = (np.full(len(quarter), np.nan) for _ in range(3))
    for part in range(QUARTERS):
        found = fit(law, runs.at(quarter != part), starts=starts, bootstrap=bootstrap)
        held = runs.at(quarter == part)
        answer = predict(found, **questions(found, held))
        value[quarter == part] = answer.value
        if answer.low is not None and answer.high is not None:
            low[quarter == part], high[quarter == part] = answer.low, answer.high
    loss = losses(law, runs)
    return Score(errors(loss, value)["pred_e"], float(np.mean((low <= loss) & (loss <= high))))


def questions(found, held: Runs) -> dict:
    """The inputs of the held-out runs as `predict` takes them; compute follows from model and tokens."""
    columns = held.table.rename(columns={found.convention.get("params", "params_total"): "params"})
    asked: dict = {}
    for key in found.model.inputs:
        row = INPUTS[key]
        if row.many:
            names = found.convention[row.column].split(",")
            asked[row.column] = {name: columns[f"{row.column}.{name}"].to_numpy(float) for name in names}
        else:
            for name in (row.column,) if row.column in columns else ("params", "tokens"):
                asked[name] = columns[name].to_numpy(float)
    return asked


def losses(law: str, runs: Runs) -> np.ndarray:
    """[runs] what the law is fitted to."""
    from jaxlaws.fitting.points import metric_of

    measured = runs.measuring(metric_of(get(law)))
    return measured.table[measured.loss_column].to_numpy(float)


def constant(law: str, runs: Runs, quarter: np.ndarray) -> float:
    """Mean error of the mean of what was fitted."""
    loss = losses(law, runs)
    means = np.array([loss[quarter != part].mean() for part in range(QUARTERS)])
    return errors(loss, means[quarter])["pred_e"]


def main(folder: Path, only: str = "") -> None:
    print("| law | table | runs | error | rival | its error | a constant | inside 90% | rival inside |")
    print("|---|---|---|---|---|---|---|---|---|")
    for row in ROWS:
        if only and row.law != only:
            continue
        runs = table(row, folder)
        quarter = np.random.default_rng(0).permutation(len(runs.table)) % QUARTERS
        own = score(row.law, runs, quarter, row.starts, row.bootstrap)
        other = score(row.rival, runs, quarter, row.starts, row.bootstrap) if row.rival else None
        name = " ".join(filter(None, (row.path, row.group, row.target)))
        told = f"{other.error:.2%}" if other else "–", f"{other.inside:.2f}" if other else "–"
        print(
            f"| {row.law} | {name} | {len(runs.table)} | {own.error:.2%} | {row.rival or '–'} | {told[0]} "
            f"| {constant(row.law, runs, quarter):.2%} | {own.inside:.2f} | {told[1]} |",
            flush=True,
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:3])
