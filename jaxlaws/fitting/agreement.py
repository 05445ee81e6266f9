"""How well one ranking predicts another: Spearman's and Kendall's coefficients and the regret of the first choice."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jaxlaws.fitting.resample import interval
from jaxlaws.quantity import Quantity

#: Resamples of the recipes.
_RESAMPLES = 1000
#: Fewest recipes for an agreement.
LEAST = 3
#: Fewest recipes for an interval: with three in one order every resample has that order.
FOR_INTERVAL = 8


class Agreement(NamedTuple):
    """How well a score ranks losses.

    Attributes:
      spearman, kendall: rank correlations, ties counted half (Spearman's ρ of mid-ranks, Kendall's τ_b); None where
        all recipes tie.
      regret: loss of the recipe with the lowest score over the lowest loss.
      chosen, best: index of either.
    """

    spearman: Quantity | None
    kendall: Quantity | None
    regret: Quantity | None
    chosen: int
    best: int


def agreement(score: np.ndarray, loss: np.ndarray, level: float = 0.9) -> Agreement:
    """How well a score [recipes] ranks the losses [recipes], with intervals from resamples of the recipes.

    Infinite values, of runs that diverged, rank last. The lower of both is the better.
    """
    count = len(score)
    counts = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=_RESAMPLES)
    weights = np.concatenate([np.ones((1, count)), counts])
    return Agreement(
        _quantity(spearman(score, loss, weights), count, level, (-1.0, 1.0)),
        _quantity(kendall(score, loss, weights), count, level, (-1.0, 1.0)),
        _quantity(regret(score, loss, weights), count, level, (0.0, np.inf)),
        int(np.argmin(score)),
        int(np.argmin(loss)),
    )


def spearman(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """[resamples] correlation of the mid-ranks of x and y, a recipe as often as `weights` [resamples, recipes] says."""
    ranks = [weights @ ((a[:, None] < a) + 0.5 * (a[:, None] == a)) for a in (x, y)]
    total = weights.sum(axis=1, keepdims=True)
    a, b = (rank - np.sum(weights * rank, axis=1, keepdims=True) / total for rank in ranks)
    return _ratio(np.sum(weights * a * b, axis=1), np.sum(weights * a**2, axis=1), np.sum(weights * b**2, axis=1))


def kendall(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """[resamples] τ_b: pairs in the same order minus those in the opposite one, over the pairs that do not tie."""
    a, b = ((value[:, None] > value).astype(float) - (value[:, None] < value) for value in (x, y))
    sums = [np.sum((weights @ pairs) * weights, axis=1) for pairs in (a * b, a**2, b**2)]
    return _ratio(*sums)


def regret(score: np.ndarray, loss: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """[resamples] loss of the recipe with the lowest score over the lowest, among the recipes of a resample."""
    choice = np.argmin(np.where(weights > 0, np.minimum(score, np.finfo(float).max), np.inf), axis=1)
    with np.errstate(invalid="ignore"):  # resamples in which all recipes diverged
        return loss[choice] - np.min(np.where(weights > 0, loss, np.inf), axis=1)


def _ratio(both: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return both / np.sqrt(first * second)


def _quantity(values: np.ndarray, count: int, level: float, limits: tuple[float, float]) -> Quantity | None:
    """Row 0 with the percentiles of the others; None where it is not finite."""
    if not np.isfinite(values[0]):
        return None
    draws = values[1:][np.isfinite(values[1:])]
    if count < FOR_INTERVAL:
        return Quantity(float(np.clip(values[0], *limits)))
    edges = interval(float(values[0]), draws, level) if len(draws) else (values[0], values[0])
    value, low, high = (float(np.clip(edge, *limits)) for edge in (values[0], *edges))
    return Quantity(value, low, high)
