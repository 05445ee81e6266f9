"""A law as a function of N and D alone, its other inputs fixed: how to spend a budget best, and what reaches a loss.

Along a ray D = r·N one model spends a budget and one reaches a loss, so both questions are a search over ln r.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from jaxlaws.errors import BadInput
from jaxlaws.fitting.keywords import keywords
from jaxlaws.fitting.result import LossFit
from jaxlaws.fitting.search import first_root, lowest
from jaxlaws.fitting.surface import Surface
from jaxlaws.inputs import INPUTS
from jaxlaws.laws.law import Law
from jaxlaws.laws.table import LAWS

#: Search ranges: of ln N, of ln D where N is fixed, and of ln of the steps at any batch.
_SIZES, _STEPS = (0.0, math.log(1e32)), (math.log(1e-12), math.log(1e40))
#: Search range of the tokens in a step, for the fewest steps and the fewest tokens: in place of 0 and ∞.
BATCHES = (1e-6, 1e20)
#: Grid of ln D/N in which a minimum is searched for: dense where models are trained, and wide enough for any constants.
_RAYS = np.log(np.r_[np.geomspace(1e-100, 1e-4, 33), np.geomspace(1e-3, 1e7, 65), np.geomspace(1e8, 1e100, 33)])
#: Points of a grid, over rows and budgets, that are kept at once.
_MOST = 2_000_000
_LOG_BATCHES = np.linspace(math.log(BATCHES[0]), math.log(BATCHES[1]), 65)


def reads_plane(law: Law) -> bool:
    """Whether a law is one of N and D, of which D may be the product of batch and steps."""
    return law.kind == "point" and "N" in law.inputs and ("D" in law.inputs or reads_batch(law))


def reads_batch(law: Law) -> bool:
    """Whether a law reads the batch and the steps apart."""
    return {"B", "steps"} <= set(law.inputs)


def check_names(laws: Sequence[Law], values: Mapping[str, Any]) -> None:
    """`BadInput` where a value is of a column that none of the laws reads, so that it would change nothing."""
    for name, value in values.items():
        if value is not None and not any(INPUTS[key].column == name for law in laws for key in law.inputs):
            names = list(dict.fromkeys(law.name for law in laws))
            columns = dict.fromkeys(INPUTS[key].column for law in laws for key in law.inputs if INPUTS[key].column)
            raise BadInput(
                f"{name} changes nothing: {' and '.join(names)} read{'s' * (len(names) == 1)} {', '.join(columns)}: "
                "leave it out."
            )


def setting_of(fit: LossFit, columns: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The setting of a law: what it reads besides N, D and steps, from values by the names of columns.

    Raises:
      BadInput: the law is not one of N and D, or an input is missing or is not what the law is defined for.
    """
    law = fit.model
    if not reads_plane(law):
        others = ", ".join(name for name, item in LAWS.items() if reads_plane(item))
        raise BadInput(f"the law {law.name} reads {', '.join(law.inputs)}, expected a law of N and D: {others}.")
    if columns.get("steps") is not None:
        raise BadInput("steps are tokens / batch_tokens here: give tokens or batch_tokens instead.")
    inputs = keywords(law, {**columns, "params": 1.0, "tokens": 1.0}, fit.convention)
    return {name: value for name, value in inputs.items() if name not in ("N", "D", "steps")}


def surface_of(fit: LossFit, setting: Mapping[str, Any]) -> Surface:
    """The loss of every row of constants of a fit over N and D."""
    return Surface(fit.model, tuple(fit.params), np.array(fit.rows(), float), setting)


def log_model(log_ratio: Any, log_c: Any, served_tokens: float) -> tuple[Any, Any]:
    """ln N of the model with D = r·N that spends C, the root of 6r·N² + 2·D_served·N = C, and d ln N/d ln r."""
    half, ray = 2 * served_tokens * np.exp(-0.5 * log_c), 24 * np.exp(log_ratio)
    root = np.sqrt(half**2 + ray)
    return math.log(2) + 0.5 * log_c - np.log(half + root), -0.5 * ray / (root * (half + root))


def spend(
    fit: LossFit, setting: Mapping[str, Any], flops: Any, served_tokens: float
) -> tuple[np.ndarray, np.ndarray, bool]:
    """ln N and ln D [rows] of the lowest loss at a budget, and whether row 0 has a lower one far from it.

    Args:
      fit: with rows of constants.
      setting: the other inputs, of `setting_of`.
      flops: C, a number or [rows].
      served_tokens: D_served.
    """
    surface = surface_of(fit, setting)
    log_c = np.broadcast_to(np.log(flops), len(surface.rows))
    log_n, log_d, falls = _spend(surface, log_c, served_tokens)
    return log_n, log_d, bool(falls[0])


def _spend(surface: Surface, log_c: np.ndarray, served_tokens: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """ln N and ln D of the lowest loss at budgets, [..., rows] each, and whether a lower one lies far from it."""

    def along_the_budget(log_ratio):
        log_n, n_moves = log_model(log_ratio, log_c, served_tokens)
        loss, in_n, in_d, *_ = surface(log_n, log_n + log_ratio)
        return loss, in_n * n_moves + in_d * (n_moves + 1)

    best, falls, _ = lowest(along_the_budget, _RAYS, log_c.shape)
    log_n, _ = log_model(best, log_c, served_tokens)
    return log_n, log_n + best, falls


def reach(
    fit: LossFit, setting: Mapping[str, Any], loss: float | np.ndarray, served_tokens: float
) -> tuple[np.ndarray, np.ndarray]:
    """ln N and ln D [rows] of the cheapest model that reaches a loss, a number or [rows].

    Along D = r·N at L = loss: d ln N/d ln r = −L_D/(L_N + L_D), the derivatives of L being in ln N and ln D.
    """
    surface = surface_of(fit, setting)

    def at(log_ratio):
        log_n = first_root(lambda x: surface.loss(x, x + log_ratio) - loss, *_SIZES, log_ratio.shape)
        return log_n, log_n + log_ratio

    def log_cost(log_ratio):
        log_n, log_d = at(log_ratio)
        _, in_n, in_d, *_ = surface(log_n, log_d)
        n_moves = -in_d / (in_n + in_d)
        training = 6 * np.exp(log_d)
        share = training / (training + 2 * served_tokens)
        return log_n + np.log(training + 2 * served_tokens), n_moves + share * (n_moves + 1)

    return at(lowest(log_cost, _RAYS, (len(surface.rows),))[0])


def reach_with(
    fit: LossFit, setting: Mapping[str, Any], loss: float | np.ndarray, params: float | None, tokens: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """ln N and ln D [rows] that reach a loss, a number or [rows], with N or D fixed."""
    surface = surface_of(fit, setting)
    size = tokens if params is None else params
    assert size is not None
    fixed = np.full(len(surface.rows), math.log(size))

    def sizes(x):
        return (x, fixed) if params is None else (fixed, x)

    return sizes(first_root(lambda x: surface.loss(*sizes(x)) - loss, *_SIZES, fixed.shape))


def lowest_loss(fit: LossFit, setting: Mapping[str, Any], params: float | None, tokens: float | None) -> float:
    """The lowest loss of the constants of a fit at up to 1e32 of either, with N or D fixed or neither."""
    sizes = np.linspace(*_SIZES, 33)
    log_n = sizes[:, None] if params is None else np.log([[params]])
    log_d = sizes if tokens is None else np.log([tokens])
    return float(np.nanmin(surface_of(replace(fit, draws={}), setting).loss(log_n[..., None], log_d[:, None])))


def losses(fit: LossFit, setting: Mapping[str, Any], log_n: np.ndarray, log_d: np.ndarray) -> np.ndarray:
    """[rows] the loss of every row of constants at its own N and D."""
    return surface_of(fit, setting).loss(log_n, log_d)


def along(
    fit: LossFit, setting: Mapping[str, Any], path: str, x: np.ndarray, params: float | None, tokens: float | None
) -> np.ndarray:
    """[rows, points] losses along compute, at the optimum of each row, or along N or D with the other fixed.

    Args:
      fit, setting: as of `spend`.
      path: `flops`, `params` or `tokens`.
      x: [points] its logarithm.
      params, tokens: the one that is fixed.
    """
    surface = surface_of(fit, setting)
    if path != "flops":
        log_n, log_d = (x[:, None] if size is None else math.log(size) for size in (params, tokens))
        return surface.loss(log_n, log_d).T
    parts = []
    for part in np.array_split(x, 1 + len(x) * len(surface.rows) * len(_RAYS) // _MOST):
        log_n, log_d, _ = _spend(surface, np.repeat(part[:, None], len(surface.rows), 1), 0.0)
        parts.append(surface.loss(log_n, log_d))
    return np.concatenate(parts).T


def of_batches(
    fit: LossFit, setting: Mapping[str, Any], log_n: np.ndarray, loss: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """[rows] the fewest steps, at any batch, and the fewest tokens, at any batch, that reach a loss.

    At L = loss: d ln D/d ln B = −L_B/L_D, the derivatives of L being in ln B and ln D.
    """
    surface = surface_of(fit, setting)
    tokens = np.array([[0.0], [1.0]])

    def log_count(log_batch):
        def gap(log_steps):
            return surface.loss(log_n, log_batch + log_steps, log_batch) - loss

        log_steps = first_root(gap, *_STEPS, log_batch.shape)
        _, _, in_d, in_batch = surface(log_n, log_batch + log_steps, log_batch)
        return tokens * log_batch + log_steps, tokens - 1 - in_batch / in_d

    fewest = np.exp(lowest(log_count, _LOG_BATCHES, (2, len(surface.rows)))[2])
    return fewest[0], fewest[1]
