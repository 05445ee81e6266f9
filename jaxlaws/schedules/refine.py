"""The schedule refined from the gradient norms of a finished run. Defazio et al. 2023, arXiv 2310.07831."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from jaxlaws.errors import BadInput
from jaxlaws.schedules.exchange import columns
from jaxlaws.schedules.shapes import Array


def refined(gradient_norms: Array, exponent: Array = 2.0, xp: Any = np) -> Array:
    """lr[t] ∝ w_t Σ_{p>t} w_p with w = ‖g‖^−exponent, its largest value 1: the warm-up is included, the last LR is 0.

    Args:
      gradient_norms: ‖g_t‖ of every step, smoothed (`smooth_norms`).
      exponent: 2 for SGD with the L2 norm, 1 for Adam with the L1 norm, as in the paper.
    """
    weights = xp.asarray(gradient_norms) ** -exponent
    after = xp.flip(xp.cumsum(xp.flip(weights)))[1:]
    lr = weights * xp.concatenate([after, xp.zeros(1)])
    return lr / xp.max(lr)


def smooth_norms(gradient_norms: np.ndarray, smooth: float = 0.1) -> np.ndarray:
    """The running median over an odd window of about smooth · T steps, as the authors' code takes it.

    The window is filled up with the first norm before the beginning and with a reflection after the end.
    """
    import pandas as pd

    norms = np.asarray(gradient_norms, dtype=float)
    half = min(int(smooth * len(norms)) // 2, len(norms) - 1)
    norms_in_window = np.pad(np.pad(norms, (half, 0), mode="edge"), (0, half), mode="reflect")
    return pd.Series(norms_in_window).rolling(2 * half + 1).median().to_numpy()[2 * half :]


def refined_from(file: str, steps: int, smooth: float, exponent: float) -> np.ndarray:
    """Refined from the norms in a file: w_t Σ_{p>t} w_p, w = ‖g‖^−exponent; stretched where the run had other steps."""
    norms = smooth_norms(read_norms(Path(file)), smooth)
    if len(norms) != steps:
        norms = np.interp(np.arange(1, steps + 1) / steps, np.arange(1, len(norms) + 1) / len(norms), norms)
    return refined(norms, exponent) if steps > 1 else np.ones(1)


def read_norms(path: Path) -> np.ndarray:
    """‖g‖ of every step, or of every so many steps, from a CSV with a column grad_norm, in order."""
    norms = np.array([value for (value,) in columns(path, {"grad_norm": float})])
    if not np.all(np.isfinite(norms)) or norms.min() <= 0:
        raise BadInput(f"{path} has a gradient norm that is not a positive number.")
    return norms
