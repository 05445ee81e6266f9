"""The compute-optimal model and token count of a law of N and D, at a budget C = 6·N·D."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jaxlaws.errors import BadInput
from jaxlaws.extrapolation import Extrapolation, extrapolation
from jaxlaws.fitting.resample import FEW, interval
from jaxlaws.status import Finding, require_trusted

if TYPE_CHECKING:
    from jaxlaws.fitting.isoflop import Frontier
    from jaxlaws.fitting.result import Fit

#: Tokens a parameter between which the minimum is sought.
RATIO = (1e-3, 1e7)
#: Tokens a parameter that anything was trained with.
POSSIBLE = (1e-3, 1e6)
#: Points of the grid of ln N on which it is sought, before the parabola through the lowest.
GRID = 2001
#: Resamples without an optimum, as a share, from which the answer says so.
LOST = 0.05


class Quantity(NamedTuple):
    """A value and, where the fit has resamples, its interval."""

    value: float
    low: float | None = None
    high: float | None = None


class Optimum(NamedTuple):
    """Where a law says that a compute budget is best spent.

    Attributes:
      flops: C = 6·N·D.
      params: N*, counted as the convention of the fit says.
      tokens: D* = C/(6 N*).
      tokens_per_param: D*/N*.
      loss: nats a token of one new run there; None where there is no law.
      exponent: d ln N*/d ln C at C.
      level: of the intervals.
      extrapolation: how far the answer lies outside the data of the fit.
      warnings: sentences for people.
    """

    flops: float
    params: Quantity
    tokens: Quantity
    tokens_per_param: Quantity
    loss: Quantity | None
    exponent: Quantity
    level: float
    extrapolation: Extrapolation
    warnings: tuple[str, ...]


def optimum(fit: Fit | str, flops: float) -> Optimum:
    """N* and D* of a fit, a fit file or a preset at the budget `flops`, with intervals from its stored resamples.

    Raises:
      BadInput: the law is not one of N and D alone, or its loss has no minimum at this budget.
    """
    from jaxlaws.fitting.predict import open_fit, predict

    fit = open_fit(fit)
    constants = np.array(fit.rows(), float)
    params, exponent, falls = _params(fit.law, list(fit.params), constants, flops)
    with np.errstate(over="ignore", divide="ignore"):
        tokens = flops / (6 * params)
        ratio = tokens / params
    if not (np.isfinite(ratio[0]) and ratio[0] > 0):
        raise BadInput(
            f"the loss of {fit.law} with these constants has no minimum at {flops:.3g} FLOP between {RATIO[0]:g} and "
            f"{RATIO[1]:g} tokens a parameter: stay closer to its data, or fit it to runs that vary N and D separately."
        )
    at = predict(fit, params=float(params[0]), tokens=float(tokens[0]))
    reach = replace(
        at.extrapolation, impossible=(*at.extrapolation.impossible, *_impossible(params[0], tokens[0], exponent[0]))
    )
    warnings = [*require_trusted(fit, fit.law, force=True), *fit.warnings, *reach.sentences()]
    if falls:
        warnings.append("the loss of this law falls again far from the optimum: it is not to be trusted there.")
    lost = float(np.mean(~np.isfinite(params[1:]))) if len(params) > 1 else 0.0
    if lost > LOST:
        warnings.append(f"{lost:.0%} of the resamples have no optimum at this budget: the intervals are too narrow.")
    return Optimum(
        flops=flops,
        params=_quantity(params, fit.level),
        tokens=_quantity(tokens, fit.level),
        tokens_per_param=_quantity(ratio, fit.level),
        loss=Quantity(float(at.value), _number(at.low), _number(at.high)),
        exponent=_quantity(exponent, fit.level),
        level=fit.level,
        extrapolation=reach,
        warnings=tuple(warnings),
    )


def frontier_optimum(frontier: Frontier, flops: float, level: float = 0.9) -> Optimum:
    """N* and D* of approach 1 or 2 at the budget `flops`, with intervals where it has resamples."""
    with np.errstate(over="ignore", divide="ignore"):
        params = np.append(frontier.params(flops), frontier.params_draws(flops))
        tokens = flops / (6 * params)
    if not (np.isfinite(params[0]) and tokens[0] > 0):
        raise BadInput(f"N grows as C^{frontier.exponent:.3g}, which has no finite optimum at {flops:.3g} FLOP.")
    budgets = [float(frontier.flops.min()), float(frontier.flops.max())]
    reach = extrapolation({"flops": flops}, {"flops": budgets}, _impossible(params[0], tokens[0], frontier.exponent))
    told = [str(Finding(**item)) for item in frontier.findings]
    return Optimum(
        flops=flops,
        params=_quantity(params, level),
        tokens=_quantity(tokens, level),
        tokens_per_param=_quantity(tokens / params, level),
        loss=None,
        exponent=_quantity(np.append(frontier.exponent, frontier.draws[:, 1]), level),
        level=level,
        extrapolation=reach,
        warnings=(*frontier.warnings, *told, *reach.sentences()),
    )


def chinchilla(params: Mapping[str, np.ndarray | float], flops: float) -> tuple[np.ndarray, np.ndarray]:
    """N* = G·(C/6)^(β/(α+β)), G = (αA/(βB))^(1/(α+β)), the minimum of E + A/N^α + B/D^β on 6·N·D = C.

    Args:
      params: A, B, alpha, beta, each a number or [draws].
      flops: C.

    Returns:
      N* and its exponent β/(α+β), of the shape of the constants; NaN where they have no minimum. Hoffmann et al. 2022,
      equation 4.
    """
    a, b, alpha, beta = (np.asarray(params[name], float) for name in ("A", "B", "alpha", "beta"))
    with np.errstate(divide="ignore", invalid="ignore"):
        log_g = (np.log(alpha * a) - np.log(beta * b)) / (alpha + beta)
        exponent = beta / (alpha + beta)
        best = np.exp(log_g + exponent * np.log(flops / 6))
    good = (alpha > 0) & (beta > 0) & (a > 0) & (b > 0)
    return np.where(good, best, np.nan), np.where(good, exponent, np.nan)


def lowest(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lowest minimum of y [..., points] inside the even grid x, by the parabola through its lowest point.

    Returns:
      Where it is, NaN where y has no minimum inside, and whether y is lower still at an end of the grid.
    """
    left, middle, right = y[..., :-2], y[..., 1:-1], y[..., 2:]
    inside = np.where((middle < left) & (middle <= right), middle, np.inf)
    i = inside.argmin(axis=-1)[..., None]
    a, b, c = (np.take_along_axis(part, i, -1)[..., 0] for part in (left, middle, right))
    found = np.isfinite(inside.min(axis=-1))
    with np.errstate(invalid="ignore", divide="ignore"):
        at = x[i[..., 0] + 1] + np.where(found, 0.5 * (a - c) / (a - 2 * b + c), 0.0) * (x[1] - x[0])
    return np.where(found, at, np.nan), np.minimum(y[..., 0], y[..., -1]) < inside.min(axis=-1)


def _params(
    law_name: str, names: list[str], constants: np.ndarray, flops: float
) -> tuple[np.ndarray, np.ndarray, bool]:
    """N* and its exponent for every row of constants, and whether the loss of row 0 is lower at an end."""
    if law_name == "chinchilla":
        return *chinchilla({name: constants[:, i] for i, name in enumerate(names)}, flops), False
    from jaxlaws.laws.table import LAWS, get

    law = get(law_name)
    if law.kind != "point" or set(law.inputs) != {"N", "D"}:
        fitting = [name for name, item in LAWS.items() if item.kind == "point" and set(item.inputs) == {"N", "D"}]
        raise BadInput(
            f"the law {law_name} reads {', '.join(law.inputs)}, a compute optimum needs a law of N and D alone: "
            f"{', '.join(fitting)}."
        )
    step = 0.05
    (below, _), (at, falls), (above, _) = (
        _search(law, names, constants, flops * np.exp(shift)) for shift in (-step, 0.0, step)
    )
    return np.exp(at), (above - below) / (2 * step), bool(falls[0])


def _search(law, names: list[str], constants: np.ndarray, flops: float) -> tuple[np.ndarray, np.ndarray]:
    """`lowest` of any law in ln N for every row of constants."""
    import jax

    half = 0.5 * np.log(flops / 6)
    x = np.linspace(half - 0.5 * np.log(RATIO[1]), half - 0.5 * np.log(RATIO[0]), GRID)
    inputs = {"N": np.exp(x), "D": np.exp(2 * half - x)}
    with jax.enable_x64(True):
        losses = jax.vmap(lambda row: law.predict({name: row[i] for i, name in enumerate(names)}, inputs))(constants)
    return lowest(x, np.asarray(losses))


def _impossible(params: float, tokens: float, exponent: float) -> list[str]:
    """What is wrong with a compute optimum that no model and no budget can have."""
    told = []
    if not POSSIBLE[0] <= tokens / params <= POSSIBLE[1]:
        told.append(f"the optimum has {tokens / params:.3g} tokens a parameter, which nothing was ever trained with.")
    if not 0 < exponent < 1:
        word = "N" if exponent <= 0 else "D"
        told.append(f"N grows as C^{exponent:.3g}, so that the best {word} would fall with more compute.")
    return told


def _quantity(values: np.ndarray, level: float) -> Quantity:
    """Row 0 with the interval of the others, where there are enough and they differ."""
    draws = values[1:][np.isfinite(values[1:])]
    if len(draws) < FEW:
        return Quantity(float(values[0]))
    low, high = interval(float(values[0]), draws, level)
    return Quantity(float(values[0]), low, high) if low < high else Quantity(float(values[0]))


def _number(edge: np.ndarray | float | None) -> float | None:
    return None if edge is None else float(edge)
