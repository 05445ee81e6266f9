"""The laws that a table can identify, by its shape and by the checks that precede a fit. No JAX."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from jaxlaws.errors import BadInput
from jaxlaws.fitting import design_checks
from jaxlaws.fitting import noise as noises
from jaxlaws.fitting.columns import cells, columns_of, parts_of, read_inputs, with_metric
from jaxlaws.laws.law import Law
from jaxlaws.laws.table import LAWS, get
from jaxlaws.recommender.cells import cells_of, seq_len_of
from jaxlaws.recommender.estimate import HYPER_LAWS, READS
from jaxlaws.recommender.verdict import of_grids
from jaxlaws.records.settings import comparable, one_setting
from jaxlaws.records.table import Runs
from jaxlaws.status import Finding, decide

#: Best possible status of a fit → whether the table identifies the law.
_WORDS = {"converged": "yes", "weak": "weakly"}


def identifiable(runs: Runs) -> dict[str, dict[str, Any]]:
    """Law → `identified` (yes, weakly or no) and `why`, sentences with what to do about it.

    A yes means that the design allows it; the losses themselves are judged by a fit.

    Args:
      runs: opened with `collect`.
    """
    judges: dict[str, Callable[[Runs], Sequence[Finding]]] = dict.fromkeys(HYPER_LAWS, _of_hyper_law)
    judges |= {name: partial(_of_loss_law, law) for name, law in LAWS.items()}
    return {name: _answer(name, judge, runs) for name, judge in judges.items()}


def _answer(name: str, judge: Callable[[Runs], Sequence[Finding]], runs: Runs) -> dict[str, Any]:
    why: list[str] = []
    try:
        usable = _for_fit(name, replace(runs, refusals=()))
        if usable.refusals and [question for question, _ in usable.refusals] == ["tuning"]:
            usable = _for_fit(name, replace(runs, refusals=(), assume={**runs.assume, "tuning": "best"}))
            why.append("with --assume tuning=best, which takes the lowest loss of each (N, D).")
        if usable.refusals:
            return {"identified": "no", "why": [_clause(runs, sentence) for _, sentence in usable.refusals]}
        findings = judge(usable)
    except BadInput as error:
        return {"identified": "no", "why": [*why, _clause(runs, str(error))]}
    return {"identified": _WORDS.get(decide(findings), "no"), "why": [*why, *map(str, findings)]}


def _for_fit(name: str, runs: Runs) -> Runs:
    """The runs as a fit of the law takes them, with the questions that it would ask."""
    if name in HYPER_LAWS:
        return one_setting(runs, name, READS)
    law = LAWS[name]
    return comparable(with_metric(law, runs), name, columns_of(law), law.kind == "curve")


def _clause(runs: Runs, sentence: str) -> str:
    """A refusal without the name of the source, which the report has above it."""
    return sentence.removeprefix(runs.source).removeprefix(":").strip()


def _of_hyper_law(runs: Runs) -> Sequence[Finding]:
    cells, _ = cells_of(runs)
    return of_grids(cells, seq_len_of(runs))


def _of_loss_law(template: Law, runs: Runs) -> Sequence[Finding]:
    law = get(template.name, parts_of(template, runs))
    inputs, run, at = (_points if law.kind == "point" else _curves)(law, runs)
    count = len(np.unique(run))
    distinct = len(run)
    if law.kind == "point":
        distinct = int(cells(inputs).max()) + 1
    prior = noises.get(None, law).draws_to_prior(law)
    if why := design_checks.too_few(law, count, distinct, prior):
        raise BadInput(f"{why}.")
    return [*design_checks.of_design(law, inputs, run, at, prior), *design_checks.spare(law, count)]


def _points(law: Law, runs: Runs) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """(inputs, [points] run, [points] step) of a point law."""
    finished = runs.finished()
    count = np.arange(len(finished.table))
    return read_inputs(law, finished, None)[0], count, count


def _curves(law: Law, runs: Runs) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """(inputs, [points] run, [points] step) of a curve law: the losses after the warm-up."""
    names = [name for name in runs.table.index if name in runs.curves]
    windows = [(name, curve.at >= curve.warmup_steps - 1) for name, curve in ((n, runs.curves[n]) for n in names)]
    windows = [(name, after) for name, after in windows if after.any()]
    if not windows:
        raise BadInput("no curves, it is fitted to losses along schedules: give the columns step, lr and loss.")
    at = [runs.curves[name].at[after] for name, after in windows]
    lrs = [runs.curves[name].lr for name, _ in windows]
    length = [len(steps) for steps in at]
    inputs = {
        "S": np.concatenate([np.cumsum(lr)[steps] for lr, steps in zip(lrs, at, strict=True)]),
        "lr": np.concatenate([lr[steps] for lr, steps in zip(lrs, at, strict=True)]),
        "peak": np.repeat([lr.max() for lr in lrs], length),
    }
    of_table, _ = read_inputs(law, runs.select([name for name, _ in windows]), None)
    inputs |= {key: np.repeat(values, length, 0) for key, values in of_table.items()}
    return inputs, np.repeat(np.arange(len(windows)), length), np.concatenate(at)
