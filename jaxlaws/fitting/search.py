"""Minima and roots of functions of one variable, for many functions at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

#: Points of the grid in which a root is bracketed.
_ROOT = 17
#: Most steps within a bracket, and its relative width at which the search ends.
_STEPS, _TOLERANCE = 60, 1e-13

Function = Callable[[Any], Any]


@np.errstate(all="ignore")
def lowest(function: Function, grid: np.ndarray, shape: tuple[int, ...] = ()) -> tuple[Any, Any, Any]:
    """The lowest minimum inside a grid, to rounding: a root of the derivative, whose sign changes between two points.

    The derivative shows what the function itself rounds away, such as the fall of A/N^α far below E.

    Args:
      function: [..., *shape] → (values, derivatives) of as many smooth functions as `shape` has places; no number where
        one is not defined, which counts as infinite.
      grid: [points] in order.
      shape: of the functions.

    Returns:
      [*shape] where it is, NaN where the function has no minimum inside; whether the function is lower still at an end;
      and its lowest value at either, infinite where it is defined nowhere.
    """
    x = np.broadcast_to(_upright(grid, shape), (len(grid), *shape))
    y, slope = (np.asarray(part) for part in function(x))
    y = np.where(np.isnan(y), np.inf, y)
    first = np.argmin(np.isnan(slope), axis=0)
    before = np.where(_upright(np.arange(len(grid)), shape) < first, -1.0, 1.0)
    slope = np.where(np.isnan(slope), before, slope)
    turns = (slope[:-1] < 0) & (slope[1:] >= 0)
    inside = turns.any(axis=0)
    i = np.argmin(np.where(turns, np.minimum(y[:-1], y[1:]), np.inf), axis=0)

    def rise(at):
        value = np.asarray(function(at)[1])
        return np.where(np.isnan(value), np.where(i < first, -1.0, 1.0), value)

    left, right = ([_at(part, j) for part in (x, slope, y)] for j in (i, i + 1))
    at = np.where(inside, _between(rise, *left[:2], *right[:2]), np.nan)
    end = np.minimum(y[0], y[-1])
    falls = ~(end >= np.where(inside, np.minimum(left[2], right[2]), np.nan))
    return at, falls, np.fmin(function(at)[0], end)


@np.errstate(all="ignore")
def first_root(function: Function, low: float, high: float, shape: tuple[int, ...] = ()) -> Any:
    """[*shape] the smallest x in [low, high] where a function that begins above 0 comes down to it, NaN without one."""
    x = np.linspace(low, high, _ROOT)
    y = np.stack([np.asarray(function(np.full(shape, at))) for at in x])
    i = np.argmax(y <= 0, axis=0)
    left = np.maximum(i - 1, 0)
    return np.where(i > 0, _between(function, x[left], _at(y, left), x[i], _at(y, i)), np.nan)


def _upright(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """[points] as [points, 1, …], which has an axis for each of the shape."""
    return np.reshape(values, (-1, *(1,) * len(shape)))


def _at(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """[*shape] of [points, *shape], each at its own point."""
    return np.take_along_axis(values, np.asarray(index)[None], 0)[0]


def _between(function: Function, a: Any, fa: Any, b: Any, fb: Any) -> np.ndarray:
    """[*shape] the roots between two places a and b at which a function has different signs.

    Chandrupatla 1997 (doi 10.1016/s0965-9978(96)00051-8): inverse quadratic interpolation through the last three
    points where they admit it, else the middle.
    """
    share = np.full(np.shape(a), 0.5)
    bracketed = np.sign(fa) != np.sign(fb)
    for _ in range(_STEPS):
        goes_on = bracketed & (np.abs(b - a) > _TOLERANCE * (1 + np.abs(a))) & (fa != 0)
        if not goes_on.any():
            break
        x = np.where(goes_on, a + share * (b - a), a)
        fx = np.where(goes_on, function(x), fa)
        same = np.sign(fx) == np.sign(fa)
        c, fc = np.where(same, a, b), np.where(same, fa, fb)
        b, fb = np.where(same | ~goes_on, b, a), np.where(same | ~goes_on, fb, fa)
        a, fa = x, fx
        xi, phi = (a - b) / (c - b), (fa - fb) / (fc - fb)
        quadratic = fa / (fb - fa) * fc / (fb - fc) + (c - a) / (b - a) * fa / (fc - fa) * fb / (fc - fb)
        share = np.where((phi**2 < xi) & ((1 - phi) ** 2 < 1 - xi), quadratic, 0.5)
        edge = 0.5 * _TOLERANCE * (1 + np.abs(a)) / np.maximum(np.abs(b - a), _TOLERANCE)
        share = np.clip(share, edge, 1 - edge)
    return a
