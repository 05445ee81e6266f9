"""Minimisation of a smooth function of some tens of variables from many starts, in one jitted float64 program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Minimum(NamedTuple):
    """Where a start ended.

    Attributes:
      x: [variables].
      value: of the function at x.
      initial: value of the function at the start.
      iterations: their number.
    """

    x: Any
    value: Any
    initial: Any
    iterations: Any


def newton(function: Callable[[Any], Any], start: Any, iterations: int = 200, tolerance: float = 1e-11) -> Minimum:
    """Damped Newton: step −(|H| + λI)⁻¹ g, kept where the function falls, with λ falling after it and rising otherwise.

    |H| has the absolute eigenvalues of the Hessian, so that saddles repel. It ends when λ has risen out of sight, or
    after ten steps that together gain, or where they were not kept promise, less than `tolerance`.

    Args:
      function: x [variables] → a scalar; traceable.
      start: [variables] float64.
      iterations: at most.
      tolerance: in units of the function.
    """
    slope, bend = jax.grad(function), jax.hessian(function)

    def step(state):
        x, value, damping, recent, count = state
        g, h = slope(x), bend(x)
        finite = jnp.all(jnp.isfinite(g)) & jnp.all(jnp.isfinite(h))
        eigenvalues, vectors = jnp.linalg.eigh(jnp.where(finite, h, jnp.eye(len(x))))
        g = jnp.where(finite, g, 0.0)
        move = vectors @ ((vectors.T @ g) / (jnp.abs(eigenvalues) + damping))
        move = move * jnp.minimum(1.0, 3.0 / jnp.maximum(jnp.linalg.norm(move), 1e-300))
        trial = x - move
        level = function(trial)
        better = level < value
        gain = jnp.where(better, value - level, jnp.dot(g, move))
        recent = jnp.concatenate([recent[1:], gain[None]])
        return (
            jnp.where(better, trial, x),
            jnp.where(better, level, value),
            jnp.where(better, damping * 0.2, damping * 5.0),
            recent,
            count + 1,
        )

    def going(state):
        _, _, damping, recent, count = state
        return (count < iterations) & (damping < 1e6) & (jnp.sum(recent) > tolerance)

    initial = function(start)
    # A start without a finite value is worse than any point that has one.
    first = jnp.where(jnp.isfinite(initial), initial, jnp.inf)
    state = (start, first, jnp.asarray(1e-2), jnp.full(10, jnp.inf), 0)
    x, value, _, _, count = jax.lax.while_loop(going, step, state)
    return Minimum(x, value, first, count)
