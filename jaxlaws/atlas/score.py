"""What a law of the loss is worth on a table: errors, gaps and coverage on runs that it was not fitted to."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from jaxlaws.atlas.applies import in_domain, without_settings
from jaxlaws.atlas.folds import Fold, evenly, forward_fold, names_of, random_folds
from jaxlaws.errors import BadInput
from jaxlaws.fitting.columns import columns_of, metric_of, parts_of
from jaxlaws.fitting.fit import fit
from jaxlaws.fitting.points import points
from jaxlaws.fitting.predict import predict
from jaxlaws.fitting.result import LossFit
from jaxlaws.inputs import INPUTS
from jaxlaws.laws.law import Law
from jaxlaws.laws.table import get
from jaxlaws.records.settings import comparable
from jaxlaws.records.table import Runs
from jaxlaws.status import TRUSTED


class Effort(NamedTuple):
    """What a row may cost.

    Attributes:
      starts, bootstrap: of every fit.
      losses: most losses of a curve that are read.
      seconds: CPU time of a row after which what is left of it is not computed.
    """

    starts: int
    bootstrap: int
    losses: int = 40
    seconds: float = 40.0


#: Kind of a law → what a row of it may cost.
EFFORTS = {"point": Effort(24, 100), "curve": Effort(6, 40), "lr_batch": Effort(0, 200)}


class HeldOut(NamedTuple):
    """Errors of runs that were predicted by a fit of others: a value a curve, its mean over losses, or a final loss.

    Attributes:
      relative: |L − L̂| over L, or over the mean size of the losses where they have signs.
      absolute: |L − L̂|.
      inside: share of the losses in their intervals; NaN where there are none.
      width: the interval's width over the same size; NaN where there are none.
      constant: as `relative`, of the mean loss that was fitted; NaN of curves.
    """

    relative: np.ndarray
    absolute: np.ndarray
    inside: np.ndarray
    width: np.ndarray
    constant: np.ndarray


def score(name: str, table: Runs, effort: Effort) -> dict[str, Any]:
    """The values of a row of the atlas, by the names of its columns.

    Args:
      name: of a law of the loss to which the table is none without an `obstacle`.
      table: its runs.
      effort: what the row may cost.

    Raises:
      BadInput: a fit of the law to all runs is refused.
    """
    begin = time.process_time()
    law, runs = readable(get(name), table, effort)
    every = points(law, runs)
    whole = fit(name, runs, starts=effort.starts, bootstrap=effort.bootstrap)
    row: dict[str, Any] = {
        "status": whole.status,
        "note": "" if whole.status in TRUSTED else whole.findings[0]["what"],
        "runs": len(every.names),
        "losses": len(every.loss),
        "constants": len(law.names),
        "level": whole.level,
        "cpu_first": time.process_time() - begin,
    }
    forward = forward_fold(every, runs)
    folds = [*([forward] if forward else []), *random_folds(every)]
    answers, gaps, problems = [], [], []
    for number, fold in enumerate(folds):
        if time.process_time() - begin > effort.seconds:
            problems.append(f"cut after {number} of {len(folds)} parts, for it took {effort.seconds:g} s of CPU")
            break
        before = time.process_time()
        try:
            part = fit(name, runs, train=fold.train, starts=effort.starts, bootstrap=effort.bootstrap)
            row["cpu_again"] = time.process_time() - before
            held = held_out(law, part, runs, fold)
        except BadInput as error:
            problems.append(str(error))
            continue
        if np.isnan(held.inside).any():
            problems.append("the fit of a part has no intervals")
        if forward and number == 0:
            row |= _summary("forward_", [held])
        else:
            answers.append(held)
            gaps.append(part.held_out.get("gaps") or {})
    row |= _summary("", answers) | _gaps(gaps)
    row["note"] = "; ".join(dict.fromkeys(filter(None, (row["note"], *(text.rstrip(".") for text in problems)))))
    return row


def readable(law: Law, runs: Runs, effort: Effort) -> tuple[Law, Runs]:
    """The law with the parts of the table, and the runs that it reads: tuned, and with some losses a curve."""
    if law.kind == "curve":
        curves = {name: evenly(curve, effort.losses) for name, curve in runs.curves.items()}
        runs = without_settings(replace(runs, curves=curves))
    runs = in_domain(law, runs)
    return get(law.name, parts_of(law, runs)), comparable(runs, law.name, columns_of(law), law.kind == "curve")


def held_out(law: Law, law_fit: LossFit, runs: Runs, fold: Fold) -> HeldOut:
    """The errors of the runs that a fit left out."""
    if law.kind == "curve":
        rows = [_of_curve(law_fit, runs.select([name])) for name in fold.test]
        return HeldOut(*(np.array(column) for column in zip(*rows, strict=True)))
    left_out = np.isin(names_of(runs), fold.test)
    held, loss = runs.at(left_out), losses(law, runs.at(left_out))
    answer = predict(law_fit, **inputs_of(law_fit, held))
    size = np.abs(loss) if np.all(loss > 0) else np.full(len(loss), np.mean(np.abs(loss)))
    off = np.abs(np.asarray(answer.value) - loss)
    inside, width = _intervals(loss, answer.low, answer.high, size)
    constant = np.abs(losses(law, runs.at(~left_out)).mean() - loss) / size
    return HeldOut(off / size, off, inside, width, constant)


def inputs_of(law_fit: LossFit, runs: Runs) -> dict[str, Any]:
    """The inputs of runs as `predict` takes them: arrays, or what they follow from where the table lacks them."""
    columns = runs.table.rename(columns={law_fit.convention.get("params", "params_total"): "params"})
    inputs: dict[str, Any] = {}
    for key in law_fit.model.inputs:
        row = INPUTS[key]
        if not row.of_run:
            continue
        if row.many:
            names = law_fit.convention[row.column].split(",")
            inputs[row.column] = {name: columns[f"{row.column}.{name}"].to_numpy(float) for name in names}
        else:
            for name in (row.column,) if row.column in columns else ("params", "tokens"):
                inputs[name] = columns[name].to_numpy(float)
    return inputs


def losses(law: Law, runs: Runs) -> np.ndarray:
    """[runs] what a law of final losses is fitted to."""
    measured = runs.measuring(metric_of(law))
    return measured.table[measured.loss_column].to_numpy(float)


def _of_curve(law_fit: LossFit, run: Runs) -> tuple[float, ...]:
    (curve,) = run.curves.values()
    numbers: dict[str, Any] = {name: float(value[0]) for name, value in inputs_of(law_fit, run).items()}
    answer = predict(law_fit, curve=curve, **numbers)
    off = np.abs(np.asarray(answer.value) - curve.loss)
    inside, width = _intervals(curve.loss, answer.low, answer.high, curve.loss)
    return (*(float(np.mean(part)) for part in (off / curve.loss, off, inside, width)), np.nan)


def _intervals(loss: np.ndarray, low: Any, high: Any, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[losses] whether each lies in its interval, and the width of that over the size; NaN without intervals."""
    if low is None or high is None:
        return np.full(len(loss), np.nan), np.full(len(loss), np.nan)
    return ((low <= loss) & (loss <= high)).astype(float), (high - low) / size


def _summary(prefix: str, parts: Sequence[HeldOut]) -> dict[str, float]:
    """Means over the runs that were left out, and how many they were."""
    if not parts:
        return {}
    pooled = HeldOut(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    means = {name: mean(values) for name, values in pooled._asdict().items()}
    return {f"{prefix}{_COLUMNS[name]}": value for name, value in means.items()} | {
        f"{prefix}left_out": len(pooled.relative)
    }


_COLUMNS = {"relative": "error", "absolute": "mae", "inside": "inside", "width": "width", "constant": "constant_error"}


def mean(values: np.ndarray) -> float:
    """Of those that are not NaN; NaN where all are."""
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def _gaps(parts: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Mean error and size of the gaps between schedules over all pairs, of which each has a run that was left out."""
    pairs = sum(part.get("pairs", 0) for part in parts)
    if not pairs:
        return {}
    names = {"gap_error": "mae", "gap_size": "mean_measured"}
    return {"gap_pairs": pairs} | {
        ours: sum(part["pairs"] * part[theirs] for part in parts if part) / pairs for ours, theirs in names.items()
    }
