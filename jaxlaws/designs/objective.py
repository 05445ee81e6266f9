"""The loss that a curve law predicts at the end of blocks of constant LR, as a differentiable function of them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import numpy as np

from jaxlaws.fitting.predict import need_finite
from jaxlaws.fitting.result import LossFit
from jaxlaws.laws.law import Inputs, Law
from jaxlaws.laws.schedule import at_end, first_change

#: Blocks that stand for a warm-up in the search for the curve after it, which hardly depends on the warm-up's LRs.
WARMUP_BLOCKS = 64


def loss(law: Law, params: Any, levels: Any, widths: Any, first: Any, inputs: Inputs) -> Any:
    """The predicted loss at the end of blocks of constant LR.

    Args:
      law: of curves.
      params: constants by name.
      levels: [blocks] LR.
      widths: [blocks] steps in each, which need not be whole.
      first: the first block at whose start the change of the LR counts, of `first_block`.
      inputs: what else the law reads, such as N.
    """
    return law.predict(params, {**at_end(levels, first, widths=widths), **inputs})


def first_block(fit: LossFit, warmup_blocks: int) -> int:
    """The first block whose change of the LR counts under the fit's convention, after the blocks of the warm-up."""
    return first_change(warmup_blocks, fit.convention.get("warmup_ld", "included"))


def staircase(warm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A warm-up [steps] as levels and widths [blocks]: its first and last step, and equal parts between at their means.

    A short one has blocks of no steps in front, so that warm-ups of all lengths share one program.
    """
    if not len(warm):
        return np.zeros(0), np.zeros(0)
    inner = np.array_split(warm[1:-1], WARMUP_BLOCKS - 2)
    parts = [part for part in (warm[:1], *inner, warm[1:][-1:]) if len(part)]
    levels, widths = (np.array([measure(part) for part in parts], float) for measure in (np.mean, len))
    front = WARMUP_BLOCKS - len(parts)
    return np.pad(levels, (front, 0), mode="edge"), np.pad(widths, (front, 0))


@lru_cache(maxsize=64)
def _program(law: Law) -> Any:
    return jax.jit(lambda *arguments: loss(law, *arguments))


def final_loss(
    fit: LossFit, lr: np.ndarray, warmup_steps: int = 0, inputs: Inputs | None = None, stretch: float = 1.0
) -> float:
    """The predicted loss at the end of lr[steps], every change of the LR counted exactly.

    Steps of equal LR are one block; blocks of no steps are put in front up to a power of two, so that schedules of many
    lengths share one compiled program. Each step stands for `stretch` of them.

    Raises:
      BadInput: the law has no finite loss there.
    """
    lr = np.asarray(lr, float)
    starts = np.flatnonzero(np.r_[True, np.diff(lr) != 0])
    pad = (1 << max(len(starts) - 1, 7).bit_length()) - len(starts)
    levels = np.pad(lr[starts], (pad, 0), mode="edge")
    widths = np.pad(np.diff(np.r_[starts, len(lr)]) * stretch, (pad, 0))
    first = pad + first_block(fit, int(np.searchsorted(starts, warmup_steps)))
    with jax.enable_x64(True):
        value = float(_program(fit.model)(dict(fit.params), levels, widths, first, dict(inputs or {})))
    need_finite(fit.law, value)
    return value
