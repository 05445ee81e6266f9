"""Schedule families as arrays: the LR of every step relative to the peak, `f(steps, …) -> [steps]` float64.

Convention, for all of them: step t = 0 … T−1 uses lr[t]; a warm-up of W steps is (t+1)/W, so step W−1 is at the peak;
inside a decay of n steps that begins at step s, u = (t−s+1)/n, so the last step is at the floor f exactly.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from jaxlaws.errors import unknown

#: Shape of a decay: (u in (0, 1], floor f) → multiplier, 1 at u = 0 and f at u = 1.
SHAPES: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "linear": lambda u, f: f + (1 - f) * (1 - u),
    "1-sqrt": lambda u, f: f + (1 - f) * (1 - np.sqrt(u)),
    "exponential": lambda u, f: f**u,
    "cosine": lambda u, f: f + (1 - f) * 0.5 * (1 + np.cos(np.pi * u)),
}


def flat_then_decay(steps: int, warmup_steps: int, decay_steps: int, shape: str, floor: float) -> np.ndarray:
    """Linear warm-up, the peak, then a decay of the given shape over the last `decay_steps` steps.

    Every family below is a case of it: constant (no decay), cosine and linear (the decay begins after warm-up), and
    warm-up–stable–decay (WSD). Hu et al. 2024, arXiv 2404.06395; Hägele et al. 2024, arXiv 2405.18392 (1−sqrt).

    Args:
      steps: T > 0.
      warmup_steps: W in 0 … T.
      decay_steps: n in 0 … T − W.
      shape: a name of `SHAPES`.
      floor: f in [0, 1], the last value relative to the peak; > 0 for `exponential`.
    """
    if shape not in SHAPES:
        raise unknown("decay shape", shape, SHAPES)
    t = np.arange(steps, dtype=np.float64)
    lr = np.ones(steps)
    lr[:warmup_steps] = (t[:warmup_steps] + 1) / max(warmup_steps, 1)
    start = steps - decay_steps
    lr[start:] = SHAPES[shape]((t[start:] - start + 1) / max(decay_steps, 1), floor)
    return lr


def constant(steps: int, warmup_steps: int = 0) -> np.ndarray:
    """Linear warm-up, then the peak to the end."""
    return flat_then_decay(steps, warmup_steps, 0, "linear", 1.0)


def cosine(steps: int, warmup_steps: int = 0, floor: float = 0.1) -> np.ndarray:
    """Linear warm-up, then f + (1−f)(1 + cos πu)/2 to the end. Loshchilov & Hutter 2017, arXiv 1608.03983."""
    return flat_then_decay(steps, warmup_steps, steps - warmup_steps, "cosine", floor)


def linear(steps: int, warmup_steps: int = 0, floor: float = 0.0) -> np.ndarray:
    """Linear warm-up, then linear to the floor (D2Z with f = 0). Bergsma et al. 2025, arXiv 2502.15938."""
    return flat_then_decay(steps, warmup_steps, steps - warmup_steps, "linear", floor)


def wsd(
    steps: int, warmup_steps: int = 0, cooldown: float = 0.2, shape: str = "linear", floor: float = 0.0
) -> np.ndarray:
    """Warm-up, stable, decay: the last round(cooldown · steps) steps decay by `shape` to the floor."""
    return flat_then_decay(steps, warmup_steps, min(round(cooldown * steps), steps - warmup_steps), shape, floor)
