"""Minima and roots of functions of one variable, traceable by JAX in everything that the functions read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

#: Points of the grid in which a root is bracketed.
_ROOT = 17
#: Most steps within a bracket, and its relative width at which the search ends.
_STEPS, _TOLERANCE = 60, 1e-13

Function = Callable[[Any], Any]


def lowest(function: Function, grid: Any) -> tuple[Any, Any, Any]:
    """The lowest minimum inside a grid, to rounding: a root of the derivative, whose sign changes between two points.

    The derivative shows what the function itself rounds away, such as the fall of A/N^α far below E.

    Args:
      function: scalar → (value, derivative), smooth; no number where it is not defined, which counts as infinite.
      grid: [points] in order.

    Returns:
      Where it is, NaN where the function has no minimum inside; whether the function is lower still at an end; and its
      lowest value at either, infinite where it is defined nowhere.
    """
    x = jnp.asarray(grid)
    y, slope = jax.vmap(function)(x)
    y = jnp.where(jnp.isnan(y), jnp.inf, y)
    first = jnp.argmin(jnp.isnan(slope))
    slope = jnp.where(jnp.isnan(slope), jnp.where(jnp.arange(len(grid)) < first, -1.0, 1.0), slope)
    turns = (slope[:-1] < 0) & (slope[1:] >= 0)
    i = jnp.argmin(jnp.where(turns, jnp.minimum(y[:-1], y[1:]), jnp.inf))

    def rise(at):
        value = function(at)[1]
        return jnp.where(jnp.isnan(value), jnp.where(i < first, -1.0, 1.0), value)

    at = jnp.where(jnp.any(turns), _between(rise, x[i], slope[i], x[i + 1], slope[i + 1]), jnp.nan)
    end = jnp.minimum(y[0], y[-1])
    falls = ~(end >= jnp.where(jnp.any(turns), jnp.minimum(y[i], y[i + 1]), jnp.nan))
    return at, falls, jnp.fmin(function(at)[0], end)


def first_root(function: Function, low: float, high: float) -> Any:
    """The smallest x of [low, high] at which a function that begins above 0 comes down to it, NaN where it does not."""
    x = jnp.linspace(low, high, _ROOT)
    y = jax.vmap(function)(x)
    i = jnp.argmax(y <= 0)
    left = jnp.maximum(i - 1, 0)
    return jnp.where(i > 0, _between(function, x[left], y[left], x[i], y[i]), jnp.nan)


def _between(function: Function, a: Any, fa: Any, b: Any, fb: Any) -> Any:
    """The root between two places a and b at which a function has different signs.

    Chandrupatla 1997 (doi 10.1016/s0965-9978(96)00051-8): inverse quadratic interpolation through the last three
    points where they admit it, else the middle.
    """

    def goes_on(state):
        step, a, fa, b, *_ = state
        return (step < _STEPS) & (jnp.abs(b - a) > _TOLERANCE * (1 + jnp.abs(a))) & (fa != 0)

    def better(state):
        step, a, fa, b, fb, share = state
        x = a + share * (b - a)
        fx = function(x)
        same = jnp.sign(fx) == jnp.sign(fa)
        c, fc = jnp.where(same, a, b), jnp.where(same, fa, fb)
        b, fb = jnp.where(same, b, a), jnp.where(same, fb, fa)
        a, fa = x, fx
        xi, phi = (a - b) / (c - b), (fa - fb) / (fc - fb)
        quadratic = fa / (fb - fa) * fc / (fb - fc) + (c - a) / (b - a) * fa / (fc - fa) * fb / (fc - fb)
        share = jnp.where((phi**2 < xi) & ((1 - phi) ** 2 < 1 - xi), quadratic, 0.5)
        edge = 0.5 * _TOLERANCE * (1 + jnp.abs(a)) / jnp.maximum(jnp.abs(b - a), _TOLERANCE)
        return step + 1, a, fa, b, fb, jnp.clip(share, edge, 1 - edge)

    start = (0, jnp.asarray(a), fa, jnp.asarray(b), fb, jnp.full_like(fa, 0.5))
    return jax.lax.while_loop(goes_on, better, start)[1]
