"""The loss that a curve law predicts at the end of a schedule, as a differentiable function of the schedule."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import digamma

from jaxlaws.fitting.predict import need_finite
from jaxlaws.laws.law import Inputs, Law
from jaxlaws.laws.schedule import ROUNDING
from jaxlaws.laws.table import get


def final_inputs(law: Law, warm: Any, levels: Any, widths: Any, extra: Inputs | None = None) -> dict[str, Any]:
    """What a curve law reads at the end of a warm-up followed by blocks of constant LR.

    Sums over the steps of a block are taken in closed form, so that the cost is that of the blocks, and a width may lie
    between two whole numbers. LR changes of the warm-up do not count as events (`warmup_ld: excluded`): they are the
    same for every curve.

    Args:
      law: whose inputs are computed.
      warm: [warm-up steps] LR, which may be empty.
      levels: [blocks] LR, in order, not increasing.
      widths: [blocks] steps in each.
      extra: inputs that are not read off the schedule, such as N.
    """
    suffix = _suffix(levels * widths)
    total = suffix[0] + jnp.sum(warm)
    peak = jnp.maximum(jnp.max(levels), jnp.max(warm, initial=0.0))
    before = jnp.concatenate([warm[-1:] if warm.shape[0] else levels[:1], levels[:-1]])
    out = {
        "S": total,
        "lr": levels[-1],
        "peak": peak,
        "drop": before - levels,
        "lr_sum": suffix,
        "age": jnp.cumsum(widths[::-1])[::-1],
        "log_lr": jnp.log(jnp.maximum(levels, 1e-9 * peak)),
    }
    if "V" in law.inputs:
        out["V"] = _noise(warm, levels, widths, peak)
    return {**{key: out[key] for key in law.inputs if key in out}, **(extra or {})}


def _suffix(area: Any) -> Any:
    """Σ_{j≥k} area_j of every block k."""
    return jnp.cumsum(area[::-1])[::-1]


def _noise(warm: Any, levels: Any, widths: Any, peak: Any) -> Any:
    """V = η_T + Σ_{k<T} η_k² / Σ_{j>k} η_j, where T is the last step with an LR, as `jaxlaws.laws.bound.lr_noise`.

    Within a block of LR h, h Σ_r 1/(r + s) = h [ψ(w + s) − ψ(s)] with s = (LR sum after it)/h; the last block with an
    LR has s = 0, and its last step adds h itself: h [1 + ψ(w) − ψ(1)].
    """
    warm, levels = (jnp.where(lr > ROUNDING * peak, lr, 0.0) for lr in (warm, levels))
    body = _suffix(levels * widths)
    after = jnp.concatenate([body[1:], jnp.zeros(1)])
    ends = after == 0
    later = jnp.where(ends, 1.0, after / jnp.where(levels > 0, levels, peak))
    inside = digamma(widths + later) - digamma(later)
    at_end = 1 + digamma(jnp.maximum(widths, 1.0)) - digamma(1.0)
    noise = jnp.sum(levels * jnp.where(ends, at_end, inside))
    if warm.shape[0]:
        rest = jnp.concatenate([_suffix(warm)[1:], jnp.zeros(1)]) + body[0]
        noise += jnp.sum(jnp.where(rest > 0, warm**2 / jnp.where(rest > 0, rest, 1.0), warm))
    return noise


def loss(law: Law, params: Any, warm: Any, levels: Any, widths: Any, extra: Inputs | None = None) -> Any:
    """The predicted loss at the end, nats a token; arguments as `final_inputs`."""
    return law.predict(params, final_inputs(law, warm, levels, widths, extra))


def pad_warm_up(warm: np.ndarray) -> np.ndarray:
    """A warm-up with zeros in front up to a power of two, so that warm-ups of many lengths share one program."""
    return np.pad(warm, ((1 << (len(warm) - 1).bit_length()) - len(warm), 0)) if len(warm) else warm


@lru_cache(maxsize=64)
def _compiled(name: str):
    return jax.jit(lambda params, warm, levels, widths, extra: loss(get(name), params, warm, levels, widths, extra))


def final_loss(
    law: Law,
    params: Any,
    lr: np.ndarray,
    warmup_steps: int = 0,
    extra: Inputs | None = None,
    stretch: float = 1.0,
) -> float:
    """The predicted loss at the end of lr[steps], nats a token, with every drop after the warm-up counted exactly.

    Steps of equal LR are one block; blocks of no steps are put in front up to a power of two, so that schedules of many
    lengths share one compiled program. Each step stands for `stretch` of them.

    Raises:
      BadInput: the law has no finite loss there.
    """
    warm, body = np.asarray(lr[:warmup_steps], float), np.asarray(lr[warmup_steps:], float)
    first = np.flatnonzero(np.r_[True, np.diff(body) != 0])
    pad = (1 << max(len(first) - 1, 7).bit_length()) - len(first)
    levels = np.pad(body[first], (pad, 0), mode="edge")
    widths = np.pad(np.diff(np.r_[first, len(body)]) * stretch, (pad, 0))
    warm = np.repeat(warm, round(stretch)) if stretch >= 2 else warm
    with jax.enable_x64(True):
        value = float(_compiled(law.name)(dict(params), pad_warm_up(warm), levels, widths, dict(extra or {})))
    need_finite(law.name, value)
    return value
