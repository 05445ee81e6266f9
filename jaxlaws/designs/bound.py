"""The convex last-iterate bound of a schedule, and the base learning rate that minimises it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jaxlaws.errors import BadInput
from jaxlaws.numeric import array, number

#: Steps of the longest extension, which is bounded dozens of times.
MOST_STEPS = 1_000_000


class Bound(NamedTuple):
    """Terms of the bound at base LR 1, Ω(γ) = distance/γ + γ·(gradients + last).

    Attributes:
      distance: D²/(2 Σ η_t).
      gradients: Σ η_t² G_t² / (2 Σ η_t).
      last: ½ Σ_{k<T} [η_k / Σ_{t>k} η_t]·[Σ_{t≥k} η_t² G_t² / Σ_{t≥k} η_t], the price of returning the last iterate.
    """

    distance: float
    gradients: float
    last: float

    @property
    def best_lr(self) -> float:
        """γ* = √(distance/(gradients + last)), which multiplies the schedule."""
        return float(np.sqrt(self.distance / (self.gradients + self.last)))

    @property
    def value(self) -> float:
        """Ω* = 2 √(distance·(gradients + last)), the bound at the best base LR."""
        return float(2 * np.sqrt(self.distance * (self.gradients + self.last)))

    def at(self, base_lr: float) -> float:
        """Ω at another base LR."""
        return self.distance / base_lr + base_lr * (self.gradients + self.last)


def bound(lr: np.ndarray, gradient_norm: np.ndarray | float = 1.0, distance: float = 1.0) -> Bound:
    """The bound on the last iterate's suboptimality for a convex Lipschitz loss, in O(T).

        >>> import jaxlaws
        >>> found = jaxlaws.bound(jaxlaws.schedule("linear", steps=400, peak_lr=1))
        >>> print(f"{found.value:.4f} at the base LR {found.best_lr:.4f}")
        0.1016 at the base LR 0.0492

    Args:
      lr: [steps] relative LR η_t of every step; trailing zeros are dropped, since the bound is infinite with them.
      gradient_norm: G_t, [steps] or one number.
      distance: D, from the start to a minimiser.

    Raises:
      BadInput: the schedule is empty, negative, not finite, or all zero, or G has another shape.

    Reference: Schaipp et al. 2025, arXiv 2501.18965.
    """
    eta, norm, distance = array("lr", lr), array("gradient_norm", gradient_norm), number("distance", distance)
    if eta.ndim != 1 or not len(eta) or not np.all(np.isfinite(eta)) or eta.min() < 0 or eta.max() <= 0:
        raise BadInput("a schedule for the bound is expected to be finite, not negative and not all zero.")
    if norm.shape not in ((), eta.shape):
        raise BadInput(
            f"gradient_norm has the shape {norm.shape}, expected one number or one for each LR, {eta.shape}."
        )
    norm = np.broadcast_to(norm, eta.shape)
    last = int(np.flatnonzero(eta)[-1]) + 1
    eta, norm = eta[:last], norm[:last]
    after = np.cumsum(eta[::-1])[::-1]
    energy = np.cumsum((eta**2 * norm**2)[::-1])[::-1]
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        tail = eta[:-1] / after[1:] * (energy[:-1] / after[:-1])
        parts = distance**2 / (2 * after[0]), energy[0] / (2 * after[0]), tail.sum() / 2
    if not np.all(np.isfinite(parts)):
        raise BadInput("the LRs of the schedule are further apart than numbers reach: its bound is not finite.")
    return Bound(*map(float, parts))


def gradient(
    lr: np.ndarray, gradient_norm: np.ndarray | float = 1.0, distance: float = 1.0, base_lr: float | None = None
) -> np.ndarray:
    """dΩ/dη_t of every step, [steps], in O(T): which steps of a schedule ask for a higher LR (negative) or a lower one.

    Args:
      lr: [steps] relative LR, positive at every step.
      gradient_norm: G_t, [steps] or one number.
      distance: D.
      base_lr: γ; at the best one without it, where it is the gradient of Ω* as well.

    Raises:
      BadInput: the schedule cannot be bounded, or has a step without an LR.
    """
    terms = bound(lr, gradient_norm, distance)
    eta = np.asarray(lr, np.float64)
    if eta.min() <= 0:
        raise BadInput("the gradient of the bound is expected of a schedule that is positive at every step.")
    square = np.broadcast_to(np.asarray(gradient_norm, np.float64), eta.shape) ** 2
    after = np.cumsum(eta[::-1])[::-1]
    energy = np.cumsum((eta**2 * square)[::-1])[::-1]
    rate = 1 / (after[:-1] * after[1:])
    price = eta[:-1] * energy[:-1] * rate
    by_distance = -(distance**2) / (2 * after[0] ** 2)
    by_gradients = eta * square / after[0] - energy[0] / (2 * after[0] ** 2)
    own = np.append(energy[:-1] * rate, 0.0) / 2
    by_energy = eta * square * np.cumsum(np.append(eta[:-1] * rate, 0.0))
    by_sums = np.cumsum(np.append(price / after[:-1], 0.0)) + np.cumsum(np.append(0.0, price / after[1:]))
    gamma = terms.best_lr if base_lr is None else base_lr
    return by_distance / gamma + gamma * (by_gradients + own + by_energy - by_sums / 2)


def transfer(source: np.ndarray, target: np.ndarray) -> float:
    """γ*(target)/γ*(source): the factor from a tuned peak LR of one schedule to that of another, both with peak 1."""
    return bound(target).best_lr / bound(source).best_lr


def second_stage(steps: int, longer: int, cooldown: float = 0.2) -> float:
    """ρ, the LR of a second stage that extends a WSD run from T0 to T1 steps at its own best base LR.

    The longer schedule is 1 up to (1 − c)·T0, ρ from there, and a linear cooldown over its last c·T1 steps; ρ is where
    its γ* is that of the WSD run of T0 steps. Schaipp et al. 2025, §5.

    Args:
      steps: T0.
      longer: T1 > T0.
      cooldown: c, share of the steps in both.

    Raises:
      BadInput: the lengths or the share make no sense.
    """
    _check_longer(steps, longer, cooldown)
    target = bound(_wsd(steps, cooldown)).best_lr
    trunk, shape = round((1 - cooldown) * steps), _wsd(longer, cooldown)

    def best(rho: float) -> float:
        return bound(np.where(np.arange(longer) < trunk, 1.0, rho * shape)).best_lr

    return _bisect(lambda rho: best(rho) - target, 1e-3, 1.0)


def longer_cooldown(steps: int, longer: int, cooldown: float = 0.2) -> float | None:
    """The cooldown share with which T1 steps have the same best base LR as T0 steps with `cooldown`; None if none has.

    Args:
      steps: T0.
      longer: T1 > T0.
      cooldown: share of the steps in the decay of the run of T0 steps.
    """
    _check_longer(steps, longer, cooldown)
    target = bound(_wsd(steps, cooldown)).best_lr
    if bound(_wsd(longer, 1.0)).best_lr < target:
        return None
    return _bisect(lambda share: target - bound(_wsd(longer, share)).best_lr, cooldown, 1.0)


def _wsd(steps: int, cooldown: float) -> np.ndarray:
    """1, then linear over the last share of the steps, to 1/n."""
    n = max(round(cooldown * steps), 1)
    return np.minimum(1.0, (steps - np.arange(steps)) / n)


def _check_longer(steps: int, longer: int, cooldown: float) -> None:
    if not 0 < steps < longer:
        raise BadInput(f"a run of {steps} steps cannot be extended to {longer}: give more steps than it has.")
    if longer > MOST_STEPS:
        raise BadInput(
            f"the extension has {longer} steps, expected at most {MOST_STEPS}: the answer depends on the ratio of the "
            "two lengths alone, so divide both."
        )
    if not 0 < cooldown <= 1:
        raise BadInput(f"the cooldown is {cooldown}, expected a share of the steps above 0 and up to 1.")


def _bisect(falls: Callable[[float], float], low: float, high: float) -> float:
    """Where a falling function crosses zero."""
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if falls(middle) > 0 else (low, middle)
    return (low + high) / 2
