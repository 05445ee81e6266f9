"""The compute-optimal model and token count of a law of N and D, at a budget C = 6·N·D."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from jaxlaws.errors import BadInput

#: Tokens a parameter between which the minimum is sought.
RATIO = (1e-3, 1e7)


def chinchilla(params: Mapping[str, np.ndarray], flops: float) -> np.ndarray:
    """N* = G·(C/6)^(β/(α+β)), G = (αA/(βB))^(1/(α+β)), the minimum of E + A/N^α + B/D^β on 6·N·D = C.

    Args:
      params: A, B, alpha, beta, each a number or [draws].
      flops: C.

    Returns:
      N*, of the shape of the constants; NaN where they have no minimum. Hoffmann et al. 2022, equation 4.
    """
    a, b, alpha, beta = (np.asarray(params[name], float) for name in ("A", "B", "alpha", "beta"))
    with np.errstate(divide="ignore", invalid="ignore"):
        log_g = (np.log(alpha * a) - np.log(beta * b)) / (alpha + beta)
        best = np.exp(log_g + beta / (alpha + beta) * np.log(flops / 6))
    return np.where((alpha > 0) & (beta > 0) & (a > 0) & (b > 0), best, np.nan)


def numeric(loss: Callable[[np.ndarray, np.ndarray], np.ndarray], flops: float, points: int = 4001) -> float:
    """N* of any law: the lowest point of loss(N, C/(6N)) on a grid of ln N, refined by the parabola through it.

    Args:
      loss: (N [points], D [points]) → L [points].
      flops: C.
      points: of the grid, over the ratios D/N of `RATIO`.

    Raises:
      BadInput: the loss falls to the end of the grid, so that the law has no optimum at this budget.
    """
    half = 0.5 * np.log(flops / 6)
    x = np.linspace(half - 0.5 * np.log(RATIO[1]), half - 0.5 * np.log(RATIO[0]), points)
    y = np.asarray(loss(np.exp(x), np.exp(2 * half - x)), float)
    i = int(np.nanargmin(y))
    if i in (0, points - 1):
        raise BadInput(
            f"the law has no compute-optimal model between {RATIO[0]:g} and {RATIO[1]:g} tokens a parameter."
        )
    left, middle, right = y[i - 1 : i + 2]
    bend = left - 2 * middle + right
    shift = 0.5 * (left - right) / bend if bend > 0 else 0.0
    return float(np.exp(x[i] + shift * (x[1] - x[0])))
