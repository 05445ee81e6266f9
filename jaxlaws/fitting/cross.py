"""Where two fitted laws cross along compute, model size or tokens, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.interpolate import CubicSpline

from jaxlaws.errors import BadInput
from jaxlaws.extrapolation import Extrapolation, farthest
from jaxlaws.fitting import plane
from jaxlaws.fitting.axes import beyond
from jaxlaws.fitting.intervals import form_draws
from jaxlaws.fitting.optimum import optimum
from jaxlaws.fitting.predict import open_fit, predict, unit_of
from jaxlaws.fitting.resample import FEW
from jaxlaws.inputs import INPUTS
from jaxlaws.numeric import optional
from jaxlaws.quantity import Quantity
from jaxlaws.status import require_trusted

if TYPE_CHECKING:
    from jaxlaws.fitting.result import LossFit

#: Where a crossing is searched for: this far below and above the data of both laws, or in all of `EVERYWHERE`.
BELOW, ABOVE = 10.0, {"flops": 1e6, "params": 1e3, "tokens": 1e3}
EVERYWHERE = {"flops": (1e12, 1e30), "params": (1e4, 1e15), "tokens": (1e6, 1e17)}
#: Points of a path, and points of its spline for each of them.
_POINTS, _FINER = 81, 25
#: Pairs of resamples, one of each law.
_PAIRS = 1000
#: Share of pairs without an answer above which a warning says so.
_MOST_FAILURES = 0.05


class Cross(NamedTuple):
    """Where two laws cross.

    Attributes:
      along: flops (each law at its own compute optimum), params or tokens.
      at: where they cross, the place nearest to the data if there are several; an end of its interval is None where
        the law that is better there stays so in the resamples. None where they do not cross.
      loss: of both there.
      better_below, better_above: index 0 or 1 of the law with the lower loss on either side of it.
      others: further places where they cross.
      low, high: the range that was searched.
      probability: share of the pairs of resamples that cross there; None where no law has resamples.
      before: C, N or D until which `probability_before` counts; None without one in the question.
      probability_before: share of the pairs that have crossed until then, below `low` included.
      level: of the interval.
      extrapolation: how far the crossing, or else `before`, lies outside the data of the law that is farther from them.
      warnings: sentences for people.
    """

    along: str
    at: Quantity | None
    loss: float | None
    better_below: int
    better_above: int
    others: tuple[float, ...]
    low: float
    high: float
    probability: float | None
    before: float | None
    probability_before: float | None
    level: float
    extrapolation: Extrapolation
    warnings: tuple[str, ...]


def cross(
    a: LossFit | str,
    b: LossFit | str,
    *,
    params: float | None = None,
    tokens: float | None = None,
    before: float | None = None,
    **columns: Any,
) -> Cross:
    """Where two laws have one loss: along C = 6·N·D at the optimum of each, or along D or N with the other fixed.

        >>> import jaxlaws
        >>> crossing = jaxlaws.cross("chinchilla:hoffmann", "chinchilla:epoch")
        >>> print(f"at {crossing.at.value:.1e} FLOP, both have the loss {crossing.loss:.3f}")
        at 1.0e+20 FLOP, both have the loss 2.553

    Args:
      a, b: fits of laws of N and D, fit files or presets.
      params: N, which makes the path one of tokens.
      tokens: D, which makes the path one of model sizes.
      before: C, D or N, the upper end of the probability of a crossing.
      **columns: what else either law reads, by the names of the columns of a table.

    Raises:
      BadInput: the losses have different units or targets, or a law is not one of N and D.
    """
    params, tokens, before = optional(params=params, tokens=tokens, before=before)
    fits = (open_fit(a), open_fit(b))
    path = _path(params, tokens, before)
    _one_loss(*fits)
    if fits[0].law == fits[1].law and fits[0].params == fits[1].params:
        raise BadInput(f"both laws are one {fits[0].law} of the same constants, expected two different ones.")
    plane.check_names([fit.model for fit in fits], columns)
    low, high = _limits(fits, path, before)
    x = np.linspace(math.log(low), math.log(high), _POINTS)
    losses = [
        plane.along(fit, plane.setting_of(fit, _columns_of(fit, columns)), path, x, params, tokens)
        * _form_of(fit, path, x, params, tokens)
        for fit in fits
    ]
    pairs = _pairs(*(len(rows) for rows in losses))
    gap = losses[0][pairs[:, 0]] - losses[1][pairs[:, 1]]
    usable = np.isfinite(gap).all(axis=1)
    if not usable[0]:
        raise BadInput(
            f"a law has no loss, or no optimum, somewhere between {path} {low:.3g} and {high:.3g}: give --params or "
            "--tokens to cross along tokens or sizes instead, or fit it to more data."
        )
    spline = CubicSpline(x, gap[0])
    roots = [float(root) for root in spline.roots(extrapolate=False)]
    middle = 0.5 * sum(math.log(edge) for edge in _data(fits, path) or (low, high))
    place = min(roots, key=lambda root: abs(root - middle), default=None)
    fine = np.linspace(x[0], x[-1], _FINER * (_POINTS - 1) + 1)
    resamples = CubicSpline(x, gap[usable][1:], axis=1)(fine)
    direction = 1 if place is None else int(np.sign(spline(place, 1)))
    crossings = _crossings(fine, resamples, place, direction)
    end = float(np.sign(gap[0, -1]))
    reach = Extrapolation()
    if (target := before if place is None else math.exp(place)) is not None:
        reach = farthest(_reach(fit, path, target, params, tokens, _columns_of(fit, columns)) for fit in fits)
    return Cross(
        along=path,
        at=None if place is None else _at(place, crossings, fits[0].level),
        loss=None if place is None else float(CubicSpline(x, losses[0][0])(place)),
        better_below=int((end if place is None else -direction) > 0),
        better_above=int((end if place is None else direction) > 0),
        others=tuple(math.exp(root) for root in roots if root != place),
        low=low,
        high=high,
        probability=float(np.mean(np.isfinite(crossings))) if len(crossings) else None,
        before=before,
        probability_before=float(np.mean(crossings <= math.log(before))) if before and len(crossings) else None,
        level=fits[0].level,
        extrapolation=reach,
        warnings=(*_warnings(fits), *_failures(usable), *reach.sentences()),
    )


def _path(params: float | None, tokens: float | None, before: float | None) -> str:
    """What the laws are compared along."""
    for name, value in {"params": params, "tokens": tokens, "before": before}.items():
        if value is not None and not (math.isfinite(value) and value > 0):
            raise BadInput(f"{name} is {value}, expected a positive number.")
    if params is not None and tokens is not None:
        raise BadInput(
            "--params and --tokens are both given, which leaves no path to cross along: leave out one of them."
        )
    return "tokens" if params is not None else "params" if tokens is not None else "flops"


def _one_loss(a: LossFit, b: LossFit) -> None:
    """`BadInput` where the losses of two fits are of different kinds; a preset of nats can be of any loss in nats."""
    if unit_of(a) != unit_of(b):
        raise BadInput(f"{a.law} predicts {unit_of(a)} and {b.law} {unit_of(b)}: only losses of one unit can cross.")
    targets = [fit.convention.get("loss", "nats") for fit in (a, b)]
    if targets[0] != targets[1] and "nats" not in targets:
        raise BadInput(
            f"{a.law} is fitted to {targets[0]} and {b.law} to {targets[1]}: fit both to the same loss, with --target."
        )


def _form_of(fit: LossFit, path: str, x: np.ndarray, params: float | None, tokens: float | None) -> np.ndarray:
    """[rows, points] factors on losses along a path: 1 for the fitted constants, errors of the form for resamples."""
    along = np.exp(x)
    values = {"flops": along}
    if path != "flops":
        n, d = (along if value is None else np.full(len(x), value) for value in (params, tokens))
        values = {"params": n, "tokens": d, "tokens_per_param": d / n, "flops": 6 * n * d}
    error = np.r_[0.0, form_draws(fit, len(fit.rows()) - 1)]
    return np.exp(error[:, None] * beyond(values, fit.ranges))


def _columns_of(fit: LossFit, columns: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the columns, given for both laws, that the law of one fit reads."""
    names = {INPUTS[name].column for name in fit.model.inputs}
    return {name: value for name, value in columns.items() if name in names}


def _data(fits: Sequence[LossFit], path: str) -> tuple[float, float] | None:
    """The range of the data of both fits along a path; None where neither states one."""
    ranges = []
    for fit in fits:
        if path in fit.ranges:
            ranges.append(fit.ranges[path])
        elif path == "flops" and {"params", "tokens"} <= set(fit.ranges):
            ranges.append([6 * n * d for n, d in zip(fit.ranges["params"], fit.ranges["tokens"], strict=True)])
    return (min(low for low, _ in ranges), max(high for _, high in ranges)) if ranges else None


def _limits(fits: Sequence[LossFit], path: str, before: float | None) -> tuple[float, float]:
    """The range that is searched for a crossing."""
    data = _data(fits, path)
    low, high = EVERYWHERE[path] if data is None else (data[0] / BELOW, data[1] * ABOVE[path])
    return min(low, before or low), max(high, before or high)


def _pairs(a: int, b: int) -> np.ndarray:
    """[1 + pairs, 2] rows of constants of either law: the fitted ones, then resamples drawn independently."""
    best = np.zeros((1, 2), int)
    if a == b == 1:
        return best
    rng = np.random.default_rng(0)
    return np.concatenate([best, np.stack([_sample(rng, a), _sample(rng, b)], axis=1)])


def _sample(rng: np.random.Generator, rows: int) -> np.ndarray:
    """[pairs] resamples, each as often as every other; the fitted constants where there are none."""
    return np.zeros(_PAIRS, int) if rows == 1 else 1 + rng.permutation(np.resize(np.arange(rows - 1), _PAIRS))


def _crossings(x: np.ndarray, gap: np.ndarray, place: float | None, direction: int) -> np.ndarray:
    """[pairs] where each pair crosses as the fitted constants do: infinite where it does not.

    Args:
      x: [points] of the path.
      gap: [pairs, points] loss of the first law over that of the second.
      place: where the fitted constants cross; None where they do not, and any crossing counts.
      direction: 1 where the gap rises there, −1 where it falls.

    Returns:
      The crossing of that direction nearest to `place`; −∞ for a pair that has passed it all along the path, ∞ for one
      that never does.
    """
    signs = gap * direction
    turns = (signs[:, :-1] < 0) & (signs[:, 1:] >= 0)
    if place is None:
        turns |= (signs[:, :-1] >= 0) & (signs[:, 1:] < 0)
        place = x[0]
    i = np.where(turns, np.abs(x[:-1] - place), np.inf).argmin(axis=1)
    left, right = (np.take_along_axis(gap, j[:, None], 1)[:, 0] for j in (i, i + 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        at = x[i] + (x[1] - x[0]) * left / (left - right)
    beyond = signs[:, np.searchsorted(x, place)] >= 0
    return np.where(turns.any(axis=1), at, np.where(beyond, -np.inf, np.inf))


def _at(place: float, crossings: np.ndarray, level: float) -> Quantity:
    """The crossing with the percentiles of those of the pairs, an end None where it is infinite."""
    if len(crossings) < FEW:
        return Quantity(math.exp(place))
    edges = np.percentile(crossings, (50 * (1 - level), 50 * (1 + level)), method="inverted_cdf")
    low, high = min(float(edges[0]), place), max(float(edges[1]), place)
    return Quantity(math.exp(place), *(math.exp(edge) if math.isfinite(edge) else None for edge in (low, high)))


def _reach(
    fit: LossFit, path: str, at: float, params: float | None, tokens: float | None, columns: Mapping[str, Any]
) -> Extrapolation:
    """How far a place of the path lies outside the data of a fit."""
    if path == "flops":
        return optimum(fit, at, **columns).extrapolation
    params, tokens = (at if value is None else value for value in (params, tokens))
    return predict(fit, params=params, tokens=tokens, **columns).extrapolation


def _warnings(fits: Sequence[LossFit]) -> list[str]:
    sentences = [label for fit in fits for label in require_trusted(fit, fit.law, force=True)]
    counts = [fit.convention.get("params") for fit in fits]
    if None not in counts and counts[0] != counts[1]:
        sentences.append(
            f"{fits[0].law} counts {counts[0]} and {fits[1].law} {counts[1]}: N and C differ by the embeddings."
        )
    sources = [fit.data.get("source", fit.law) for fit in fits if not fit.draws]
    if sources:
        without = "there is no interval" if len(sources) == 2 else "the interval takes its constants as exact"
        sentences.append(f"no resamples are stored for {' and '.join(dict.fromkeys(sources))}: {without}.")
    return sentences


def _failures(usable: np.ndarray) -> list[str]:
    share = 1 - float(np.mean(usable))
    return [f"{share:.0%} of the pairs of resamples have no loss somewhere: the interval is too narrow."] * (
        share > _MOST_FAILURES
    )
