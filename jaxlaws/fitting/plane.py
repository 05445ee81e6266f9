"""A law as a function of N and D alone, its other inputs fixed: how to spend a budget best, and what reaches a loss.

Along a ray D = r·N one model spends a budget and one reaches a loss, so both questions are a search over ln r.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxlaws.errors import BadInput
from jaxlaws.fitting.keywords import keywords
from jaxlaws.fitting.result import LossFit
from jaxlaws.fitting.search import first_root, lowest
from jaxlaws.inputs import INPUTS
from jaxlaws.laws.law import Law
from jaxlaws.laws.table import LAWS

#: Search ranges: of ln N, of ln D where N is fixed, and of ln of the steps at any batch.
_SIZES, _STEPS = (0.0, math.log(1e32)), (math.log(1e-12), math.log(1e40))
#: Search range of the tokens in a step, for the fewest steps and the fewest tokens: in place of 0 and ∞.
BATCHES = (1e-6, 1e20)
#: Grid of ln D/N in which a minimum is searched for: dense where models are trained, and wide enough for any constants.
_RAYS = np.log(np.r_[np.geomspace(1e-100, 1e-4, 33), np.geomspace(1e-3, 1e7, 65), np.geomspace(1e8, 1e100, 33)])
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


def loss_of(law: Law, names: tuple[str, ...]) -> Callable[[Any, Mapping[str, Any], Any, Any], Any]:
    """(row of constants, setting, ln N, ln D) → loss; the setting holds the other inputs of the law."""

    def loss(row, setting, log_n, log_d):
        tokens = jnp.exp(log_d)
        sizes = {"N": jnp.exp(log_n), "D": tokens, "steps": tokens / setting["B"] if "B" in setting else tokens}
        inputs = {**setting, **{name: value for name, value in sizes.items() if name in law.inputs}}
        return law.predict(dict(zip(names, row, strict=True)), inputs)

    return jax.jit(loss)


def log_model(log_ratio: Any, log_c: Any, served_tokens: Any) -> Any:
    """ln N of the model with D = r·N that spends C: the root of 6r·N² + 2·D_served·N = C."""
    half = served_tokens * jnp.exp(-0.5 * log_c)
    return jnp.log(2.0) + 0.5 * log_c - jnp.log(2 * half + jnp.sqrt(4 * half**2 + 24 * jnp.exp(log_ratio)))


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
    log_c = np.broadcast_to(np.log(flops), len(fit.rows()))
    log_n, log_d, falls = solve(_spend, fit, setting, log_c, served_tokens)
    return log_n, log_d, bool(falls[0])


def reach(fit: LossFit, setting: Mapping[str, Any], loss: float, served_tokens: float) -> tuple[np.ndarray, np.ndarray]:
    """ln N and ln D [rows] of the cheapest model that reaches a loss."""
    return solve(_reach, fit, setting, np.float64(loss), served_tokens)


def reach_with(
    fit: LossFit, setting: Mapping[str, Any], loss: float, params: float | None, tokens: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """ln N and ln D [rows] that reach a loss with N or D fixed."""
    rows = len(fit.rows())
    if params is not None:
        log_size = np.log(params)
        return np.full(rows, log_size), solve(_reach_in_d, fit, setting, np.float64(loss), log_size)
    assert tokens is not None
    log_size = np.log(tokens)
    return solve(_reach_in_n, fit, setting, np.float64(loss), log_size), np.full(rows, log_size)


def lowest_loss(fit: LossFit, setting: Mapping[str, Any], params: float | None, tokens: float | None) -> float:
    """The lowest loss of the constants of a fit at up to 1e32 of either, with N or D fixed or neither."""
    sizes = np.linspace(*_SIZES, 33)
    log_n = sizes[:, None] if params is None else np.log([[params]])
    log_d = sizes if tokens is None else np.log([tokens])
    log_n, log_d = (part.reshape(1, -1) for part in np.broadcast_arrays(log_n, log_d))
    return float(np.nanmin(solve(_losses, replace(fit, draws={}), setting, log_n, log_d)))


def losses(fit: LossFit, setting: Mapping[str, Any], log_n: np.ndarray, log_d: np.ndarray) -> np.ndarray:
    """[rows] the loss of every row of constants at its own N and D."""
    return solve(_losses, fit, setting, log_n[:, None], log_d[:, None])[:, 0]


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
    if path == "flops":
        return solve(_best_losses, fit, setting, x)
    log_n = x if params is None else np.full(len(x), np.log(params))
    log_d = x if tokens is None else np.full(len(x), np.log(tokens))
    return solve(_path_losses, fit, setting, log_n, log_d)


def of_batches(
    fit: LossFit, setting: Mapping[str, Any], log_n: np.ndarray, loss: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """[rows] the fewest steps, at any batch, and the fewest tokens, at any batch, that reach a loss."""
    others = {name: value for name, value in setting.items() if name != "B"}
    return solve(_of_batches, fit, others, log_n, np.broadcast_to(loss, len(log_n)))


def solve(question: Callable[..., Any], fit: LossFit, setting: Mapping[str, Any], *arguments: Any) -> Any:
    """`question(law, names)` for every row of constants of a fit, in float64 and compiled once for a law."""
    rows = np.array(fit.rows(), float)
    with jax.enable_x64(True):
        program = _program(question, fit.model, tuple(fit.params))
        return jax.tree.map(np.asarray, program(rows, dict(setting), *arguments))


@lru_cache(maxsize=64)
def _program(question: Callable[..., Any], law: Law, names: tuple[str, ...]) -> Callable[..., Any]:
    answer, by_row = question(law, names)
    return jax.jit(jax.vmap(answer, in_axes=by_row))


def _spend(law: Law, names: tuple[str, ...]):
    loss = loss_of(law, names)

    def answer(row, setting, log_c, served_tokens):
        def at(log_ratio):
            log_n = log_model(log_ratio, log_c, served_tokens)
            return log_n, log_n + log_ratio

        def along_the_budget(log_ratio):
            return jax.jvp(lambda x: loss(row, setting, *at(x)), (log_ratio,), (jnp.ones_like(log_ratio),))

        best, falls, _ = lowest(along_the_budget, _RAYS)
        return *at(best), falls

    return answer, (0, None, 0, None)


def _reach(law: Law, names: tuple[str, ...]):
    """Along D = r·N at L = target: d ln N/d ln r = −L_D/(L_N + L_D), the derivatives of L being in ln N and ln D."""
    loss = loss_of(law, names)

    def answer(row, setting, target, served_tokens):
        def at(log_ratio):
            log_n = first_root(lambda x: loss(row, setting, x, x + log_ratio) - target, *_SIZES)
            return log_n, log_n + log_ratio

        def log_cost(log_ratio):
            log_n, log_d = at(log_ratio)
            in_n, in_d = _slopes(lambda x, y: loss(row, setting, x, y), log_n, log_d)
            n_moves = -in_d / (in_n + in_d)
            training = 6 * jnp.exp(log_d)
            share = training / (training + 2 * served_tokens)
            return log_n + jnp.log(training + 2 * served_tokens), n_moves + share * (n_moves + 1)

        return at(lowest(log_cost, _RAYS)[0])

    return answer, (0, None, None, None)


def _reach_in_d(law: Law, names: tuple[str, ...]):
    loss = loss_of(law, names)

    def answer(row, setting, target, log_n):
        return first_root(lambda x: loss(row, setting, log_n, x) - target, *_SIZES)

    return answer, (0, None, None, None)


def _reach_in_n(law: Law, names: tuple[str, ...]):
    loss = loss_of(law, names)

    def answer(row, setting, target, log_d):
        return first_root(lambda x: loss(row, setting, x, log_d) - target, *_SIZES)

    return answer, (0, None, None, None)


def _losses(law: Law, names: tuple[str, ...]):
    loss = loss_of(law, names)

    def answer(row, setting, log_n, log_d):
        return jax.vmap(lambda x, y: loss(row, setting, x, y))(log_n, log_d)

    return answer, (0, None, 0, 0)


def _path_losses(law: Law, names: tuple[str, ...]):
    answer, _ = _losses(law, names)
    return answer, (0, None, None, None)


def _best_losses(law: Law, names: tuple[str, ...]):
    spend, _ = _spend(law, names)
    loss = loss_of(law, names)

    def answer(row, setting, log_c):
        def best(at):
            log_n, log_d, _ = spend(row, setting, at, 0.0)
            return loss(row, setting, log_n, log_d)

        return jax.vmap(best)(log_c)

    return answer, (0, None, None)


def _of_batches(law: Law, names: tuple[str, ...]):
    """At L = target: d ln S/d ln B = −L_B/L_S, the derivatives of L being in ln B and ln S."""
    loss = loss_of(law, names)

    def answer(row, setting, log_n, target):
        def run_loss(log_batch, log_steps):
            return loss(row, {**setting, "B": jnp.exp(log_batch)}, log_n, log_batch + log_steps)

        def fewest(tokens):
            """The fewest tokens where `tokens` is 1, the fewest steps where it is 0."""

            def log_count(log_batch):
                log_steps = first_root(lambda x: run_loss(log_batch, x) - target, *_STEPS)
                in_batch, in_steps = _slopes(run_loss, log_batch, log_steps)
                return tokens * log_batch + log_steps, tokens - in_batch / in_steps

            return jnp.exp(lowest(log_count, _LOG_BATCHES)[2])

        return tuple(jax.vmap(fewest)(jnp.array([0.0, 1.0])))

    return answer, (0, None, 0, 0)


def _slopes(function: Callable[[Any, Any], Any], x: Any, y: Any) -> tuple[Any, Any]:
    """Both derivatives of a function of two scalars."""
    one, none = jnp.ones_like(x), jnp.zeros_like(x)
    return tuple(jax.jvp(function, (x, y), direction)[1] for direction in ((one, none), (none, one)))
