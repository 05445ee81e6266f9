"""The interval of a new run: resampled constants, the scatter of runs and points, the error of the law's form."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jaxlaws.fitting.resample import FEW

if TYPE_CHECKING:
    from jaxlaws.fitting.result import LossFit

#: Points whose new runs are simulated together.
_AT_ONCE = 4096


def new_runs(fit: LossFit, values: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Losses [draws, points] of new runs: draws · offset of a run · scatter of a point · error of the form.

    Args:
      fit: of the law.
      values: [draws, points] losses at resampled constants.
      distance: [points] ln of the factor by which each lies outside the data, of `axes.beyond`.
    """
    if len(values) < FEW:
        return values
    rng = np.random.default_rng(0)
    rows = np.repeat(values, max(1, 2000 // len(values)), 0)
    noise = rng.choice(np.asarray(fit.scatter["quantiles"]), len(rows)) + fit.scatter["offset"] * rng.standard_normal(
        len(rows)
    )
    error = noise[:, None] + form_draws(fit, len(rows))[:, None] * distance
    return rows + fit.scatter["size"] * error if fit.model.signed else rows * np.exp(error)


def form_draws(fit: LossFit, count: int, seed: int = 2) -> np.ndarray:
    """[count] errors of the form, of ln L for each factor of e outside the data; 0 of a fit that states none."""
    if not fit.form_error:
        return np.zeros(count)
    rng = np.random.default_rng(seed)
    return rng.choice(np.asarray(fit.form_error["sd"]), count) * rng.standard_normal(count)


def form_share(fit: LossFit, draws: np.ndarray, distance: float) -> float | None:
    """Share of the form in the variance of new runs at one point; None where the fit states no error of the form.

    Args:
      fit: of the law.
      draws: [draws] losses at resampled constants.
      distance: of the point.
    """
    draws = draws[np.isfinite(draws)]
    if not fit.form_error or len(draws) < FEW:
        return None
    runs = new_runs(fit, draws[:, None], np.zeros(1))[:, 0]
    sampling = np.var(runs / fit.scatter["size"] if fit.model.signed else np.log(np.maximum(runs, 1e-300)))
    form = np.mean(np.square(fit.form_error["sd"])) * distance**2
    return float(form / (form + sampling)) if form > 0 else 0.0


def form_sentences(fit: LossFit) -> list[str]:
    """What is missing from an interval outside the data, where the fit itself does not show the error of its form."""
    if not fit.draws:
        return []
    if not fit.form_error:
        return [
            "the interval is that of sampling alone, the fit states no error of the form of its law outside the data."
        ]
    few = "the data are too few for forward folds: the error of the form is what other tables had."
    return [] if fit.form_error["folds"] else [few]


def run_interval(fit: LossFit, values: np.ndarray, distance: np.ndarray) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The interval of one new run at every point, of losses [1 + draws, points], some points at a time."""
    cuts = range(_AT_ONCE, values.shape[1], _AT_ONCE)
    parts = zip(np.array_split(values, cuts, axis=1), np.array_split(distance, cuts), strict=True)
    pairs = [edges(part[0], new_runs(fit, part[1:], beyond), fit.level) for part, beyond in parts]
    lows, highs = ([edge for edge in column if edge is not None] for column in zip(*pairs, strict=True))
    return (np.concatenate(lows), np.concatenate(highs)) if len(lows) == len(pairs) else (None, None)


def edges(value: np.ndarray, draws: np.ndarray, level: float) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The central interval of draws [draws, points] at `level`, wide enough to hold the value [points].

    None where there are too few finite draws, or where they do not differ and so say nothing of the uncertainty.
    """
    draws = draws[np.all(np.isfinite(draws), axis=1)]
    if len(draws) < FEW:
        return None, None
    low, high = np.percentile(draws, (50 * (1 - level), 50 * (1 + level)), axis=0)
    low, high = np.minimum(low, value), np.maximum(high, value)
    return (low, high) if np.all(high > low) else (None, None)
