"""Runs against a run of constant LR at equal LR sums, as the law of SGD noise reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from jaxlaws.errors import BadInput, unknown
from jaxlaws.inputs import INPUTS
from jaxlaws.records.table import Curve, Runs

LOSS, TRACE = INPUTS["reference"].column, INPUTS["trace"].column


def _of_run(curve: Curve, reference: Curve, keep: np.ndarray, early: np.ndarray) -> np.ndarray:
    return curve.logged[TRACE][keep]


def _of_reference(curve: Curve, reference: Curve, keep: np.ndarray, early: np.ndarray) -> np.ndarray:
    return np.interp(time(curve)[keep], time(reference), reference.logged[TRACE])


def _power(curve: Curve, reference: Curve, keep: np.ndarray, early: np.ndarray) -> np.ndarray:
    slope, level = np.polyfit(np.log(time(reference)[~early]), np.log(reference.logged[TRACE][~early]), 1)
    return np.exp(level + slope * np.log(time(curve)[keep]))


def _constant(curve: Curve, reference: Curve, keep: np.ndarray, early: np.ndarray) -> np.ndarray:
    return np.full(int(keep.sum()), np.mean(reference.logged[TRACE][~early]))


#: Where the trace comes from: the run itself, which has to be trained; or the reference alone, at equal time, as a
#: power of time, or as one number.
TRACES: Mapping[str, Callable[[Curve, Curve, np.ndarray, np.ndarray], np.ndarray]] = {
    "run": _of_run,
    "reference": _of_reference,
    "power": _power,
    "constant": _constant,
}


def time(curve: Curve) -> np.ndarray:
    """[evals] τ = Σ η/η_peak up to each loss: the steps that a constant LR would have taken."""
    return np.cumsum(curve.lr)[curve.at] / curve.lr.max()


def against_reference(
    runs: Runs, references: Mapping[str, str], trace: str = "run", start: float = 0.2, window: int = 5
) -> Runs:
    """The runs with `reference_loss` and `noise_trace` at each of their losses.

    Args:
      runs: with curves that have logged `noise_trace`.
      references: run → the run of constant LR that it is compared to.
      trace: one of `TRACES`.
      start: share of the steps of a run before which its losses are left out.
      window: how many losses of the reference are averaged about each.

    Raises:
      BadInput: a run has no curve or no logged trace, or no loss at a time that its reference reached.
    """
    if trace not in TRACES:
        raise unknown("trace", trace, TRACES)
    curves = {}
    for name, partner in references.items():
        for run in (name, partner):
            if TRACE not in getattr(runs.curves.get(run), "logged", ()):
                raise BadInput(f"{runs.source} has no {TRACE} along the run '{run}': log it, or leave the run out.")
        curve, reference = runs.curves[name], runs.curves[partner]
        now, then = time(curve), time(reference)
        keep = (curve.at + 1 > start * len(curve.lr)) & (now >= then[0]) & (now <= then[-1])
        if not keep.any():
            raise BadInput(f"the run '{name}' has no loss at a time that its reference '{partner}' reached.")
        early = reference.at + 1 <= start * len(reference.lr)
        values = {
            LOSS: np.interp(now[keep], then, running_means(reference.loss, window)),
            TRACE: TRACES[trace](curve, reference, keep, early),
        }
        curves[name] = replace(curve, at=curve.at[keep], loss=curve.loss[keep], logged=values).check(name)
    return replace(runs.select(list(references)), curves=curves)


def running_means(loss: np.ndarray, window: int) -> np.ndarray:
    """Means over `window` losses about each, fewer at the ends."""
    ones = np.ones(window)
    return np.convolve(loss, ones, "same") / np.convolve(np.ones_like(loss), ones, "same")
