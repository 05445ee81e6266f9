"""Laws of points on the public tables: errors on held-out quarters beside the simplest rival, coverage of intervals.

    python experiments/laws/point_laws.py ../shared/data          # half an hour on two busy cores
    python experiments/laws/point_laws.py ../shared/data parallel  # the rows of one law

A table is split into four random quarters, each of which is predicted from the three others. Printed are the mean error
over the loss (over its mean size where it may be negative) of the law, of the rival and of a constant, the mean of what
was fitted; and which share of the held-out runs lies in the 90% intervals of law and rival.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from jaxlaws.atlas.score import inputs_of, losses
from jaxlaws.fitting.columns import columns_of, metric_of
from jaxlaws.fitting.fit import fit
from jaxlaws.fitting.predict import predict
from jaxlaws.fitting.score import errors
from jaxlaws.laws.table import get
from jaxlaws.records.columns import METRIC
from jaxlaws.records.settings import comparable
from jaxlaws.records.source import open_runs
from jaxlaws.records.table import Runs

QUARTERS = 4


class Row(NamedTuple):
    """A law on a table: format and path of it, the law to compare with, which runs, and the target.

    `starts` and `bootstrap` are of the fits, the defaults where they are None. `columns` are those that the laws read,
    each a column of the table or a formula of columns; without it the table stays as it is.
    """

    law: str
    format: str
    path: str
    rival: str = ""
    where: str = ""
    target: str = ""
    starts: int | None = None
    bootstrap: int | None = None
    columns: Mapping[str, str] = {}


_ROUTING, _MIXTURE, _STEP_LAW = (
    "routing/curves.csv.gz",
    "scalebench/domain_mixture.csv",
    "step_law/dense_lr_bs_loss.csv",
)
#: Answers of questions to the tables: their families are named, the best LR counts, points of one run are points.
_ASSUME = ("settings", "tuning=best", "checkpoints")
#: Cells of the step-law table, sizes of Farseer's: the first, the middle and the last of each.
_CELLS = ((214663680, 100e9), (268304384, 14.2e9), (536872960, 50e9))
_SIZES = (99620352, 798470400, 6369572352)
#: Tasks of OLMo's ladder.
_TASKS = ("arc_easy_test", "arc_challenge_test", "hellaswag_val")


def _of_one(column: str) -> dict[str, str]:
    """Columns of a law of one variable and of the power law of tokens in its place."""
    return {"x": column, "tokens": column}


def _of_task(task: str) -> dict[str, str]:
    """Columns of the laws of a task of OLMo's ladder."""
    bits, accuracy = (f"`metric.{task}_rc_5shot_{name}`" for name in ("bpb", "len_norm"))
    return {
        **{name: name for name in ("params_nonembedding", "tokens")},
        **{"val_loss_nats": "`val_loss.c4_en`", "task_bpb": bits},
        **{"metric.bits_per_byte": bits, "metric.accuracy": accuracy, "metric.error": f"1 - {accuracy}"},
    }


ROWS = (
    Row("chinchilla", "isoflop", "isoflops/chinchilla_figure4_epoch.csv", "kaplan"),
    Row("farseer", "farseer", "scalebench/farseer.csv", "chinchilla", target="bits_per_character"),
    Row("data_constrained", "data_constrained", "data_constrained/runs.csv", "chinchilla"),
    Row("data_constrained", "data_constrained", "scalebench/data_constrained.csv", "chinchilla"),
    Row("parallel", "parallel", "scalebench/parallel.csv", "power_of_params", "group==stack"),
    Row("parallel", "parallel", "scalebench/parallel.csv", "power_of_params", "group==pile"),
    Row("vocabulary", "vocabulary", "scalebench/vocab.csv"),
    Row("routed", "moe", "scalebench/moe.csv", "power_of_params"),
    *(Row("mixing", "domain_mixture", _MIXTURE, "", "group==160M", f"domain_{i}") for i in range(1, 6)),
    Row("power_of_flops", "isoflop", "isoflops/chinchilla_figure4_epoch.csv", "power_of_params"),
    *(
        Row("routed", "routing", _ROUTING, "power_of_params", f"group=={router}", "", 64, 200)
        for router in ("S-Base", "RL-R", "Hash")
    ),
    Row("routed", "moe", "scalebench/moe.csv", "power_of_params", "", "", 64, 200),
    *(
        Row("mixing", "domain_mixture", _MIXTURE, "", f"group=={size}", f"domain_{i}", 16, 100)
        for size in ("70M", "410M")
        for i in (1, 3, 4, 5)
    ),
    *(
        Row("mixing", "regmix", "regmix", "", f"group=={size}", target, 16, 100)
        for size, target in (("1m", "pile_cc"), ("1m", "github"), ("60m", "pile_cc"))
    ),
    *(
        Row("rectified", "rectified", f"rectified/rectified_scaling_law_{task}.csv", "", f"group=={model}", "", 16, 100)
        for task in ("flan", "gigaword")
        for model in ("gpt2", "facebook/opt-1.3b")
    ),
    *(
        Row(law, "rectified", path, rival, f"group=={model} and finetune_examples>0", "", 16, 100, columns)
        for law, rival, columns in (
            ("rectified", "broken_power", {"finetune_examples": "finetune_examples", "x": "finetune_examples"}),
            ("broken_power", "power_of_tokens", _of_one("finetune_examples")),
        )
        for path in (f"rectified/rectified_scaling_law_{task}.csv" for task in ("flan", "gigaword"))
        for model in ("gpt2", "facebook/opt-1.3b")
    ),
    Row("three_term", "step_law", _STEP_LAW, "critical_batch", starts=16, bootstrap=100),
    Row("mist_lr_batch", "step_law", _STEP_LAW, "chinchilla", starts=6, bootstrap=30),
    *(
        Row(
            "broken_power", "step_law", _STEP_LAW, "power_of_tokens", f"params_nonembedding=={n} and tokens=={d:.0f}"
        )._replace(columns=_of_one("peak_lr"))
        for n, d in _CELLS
    ),
    *(
        Row(
            "broken_power", "farseer", "scalebench/farseer.csv", "power_of_tokens", f"params_nonembedding=={n}"
        )._replace(target="bits_per_character", columns=_of_one("tokens"))
        for n in _SIZES
    ),
    *(
        Row(law, "olmo_ladder", "olmo_ladder", rival, "", f"{task}_rc_5shot_bpb", columns=_of_task(task))
        for law, rival in (("task_bits", "power_of_flops"), ("task_accuracy", ""), ("task_error", "power_of_flops"))
        for task in _TASKS
    ),
)


def table(row: Row, folder: Path) -> Runs:
    """The finished runs of a row, whose settings the rival need not read, at the best LR where the law reads none."""
    runs = open_runs(folder / row.path, row.format, row.where or (), assume=_ASSUME, target=row.target)
    if row.columns:
        runs = of_columns(runs, row.columns, metric_of(get(row.law)))
    return comparable(runs, row.law, columns_of(get(row.law)))


def of_columns(runs: Runs, columns: Mapping[str, str], metric: str) -> Runs:
    """The runs with these columns and their loss alone, of one `x` the run of the lowest loss, measuring a metric."""
    loss = runs.loss_column
    values = {name: runs.table.eval(formula) for name, formula in columns.items()}
    table = pd.DataFrame({loss: runs.table[loss], **values})
    if "x" in columns:
        table = table.sort_values(loss).drop_duplicates("x").sort_values("x")
    target = metric if METRIC + metric in columns else runs.target
    return replace(runs, table=table, curves={}, target=target)


class Score(NamedTuple):
    """Mean error of a law on what was held out, and which share of it lay in the intervals."""

    error: float
    inside: float


def score(law: str, runs: Runs, quarter: np.ndarray, starts: int | None, bootstrap: int | None) -> Score:
    """The score over all quarters [runs], each predicted from the others."""
    value, low, high = (np.full(len(quarter), np.nan) for _ in range(3))
    for part in range(QUARTERS):
        law_fit = fit(law, runs.at(quarter != part), starts=starts, bootstrap=bootstrap)
        others = runs.at(quarter == part)
        answer = predict(law_fit, **inputs_of(law_fit, others))
        value[quarter == part] = answer.value
        if answer.low is not None and answer.high is not None:
            low[quarter == part], high[quarter == part] = answer.low, answer.high
    loss = losses(get(law), runs)
    return Score(errors(loss, value)["pred_e"], float(np.mean((low <= loss) & (loss <= high))))


def constant(law: str, runs: Runs, quarter: np.ndarray) -> float:
    """Mean error of the mean of what was fitted."""
    loss = losses(get(law), runs)
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
        name = " ".join(filter(None, (row.path, row.where, row.target)))
        rival = f"{other.error:.2%}" if other else "–", f"{other.inside:.2f}" if other else "–"
        print(
            f"| {row.law} | {name} | {len(runs.table)} | {own.error:.2%} | {row.rival or '–'} | {rival[0]} "
            f"| {constant(row.law, runs, quarter):.2%} | {own.inside:.2f} | {rival[1]} |",
            flush=True,
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:3])
