"""Schedule families as arrays: the LR of every step relative to the peak, `f(steps, …) -> [steps]`.

Conventions and the namespace `xp` are those of `jaxlaws.schedules.shapes`. Everywhere: `steps` T > 0 is static;
`warmup_steps` W is in 0 … T; `floor` f in [0, 1] is the last value relative to the peak, > 0 for a decay that is
`exponential`; `cooldown` is a share of the T steps, cut to what the phases before it leave; `shape` is a name of
`SHAPES` and `warmup_shape` one of `WARMUPS`. Every number but `steps` and `cycles` may be traced.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jaxlaws.schedules.shapes import SHAPES, Array, Form, count, decay, shape_of, warm_up, whole


def flat_then_decay(
    steps: int,
    warmup_steps: Array,
    decay_steps: Array,
    shape: str | Form,
    floor: Array,
    warmup_shape: str = "linear",
    xp: Any = np,
) -> Array:
    """Warm-up, the peak, then a decay of the given shape over the last `decay_steps` steps.

    Constant (no decay), cosine, linear, REX and UBA (the decay begins after the warm-up), and warm-up–stable–decay are
    cases of it.
    """
    k = count(steps, xp)
    form = shape_of(shape) if isinstance(shape, str) else shape
    body = decay(k, steps - decay_steps, decay_steps, form, floor, 1.0, xp)
    return warm_up(k, warmup_steps, body, warmup_shape, xp)


def constant(steps: int, warmup_steps: Array = 0, warmup_shape: str = "linear", xp: Any = np) -> Array:
    """Warm-up, then the peak to the end."""
    return flat_then_decay(steps, warmup_steps, 0, "linear", 1.0, warmup_shape, xp)


def cosine(
    steps: int, warmup_steps: Array = 0, floor: Array = 0.1, warmup_shape: str = "linear", xp: Any = np
) -> Array:
    """Warm-up, then f + (1−f)(1 + cos πu)/2 to the end. Loshchilov & Hutter 2017, arXiv 1608.03983."""
    return flat_then_decay(steps, warmup_steps, steps - warmup_steps, "cosine", floor, warmup_shape, xp)


def linear(
    steps: int, warmup_steps: Array = 0, floor: Array = 0.0, warmup_shape: str = "linear", xp: Any = np
) -> Array:
    """Warm-up, then linear to the floor (D2Z with f = 0). Bergsma et al. 2025, arXiv 2502.15938."""
    return flat_then_decay(steps, warmup_steps, steps - warmup_steps, "linear", floor, warmup_shape, xp)


def rex(steps: int, warmup_steps: Array = 0, floor: Array = 0.0, warmup_shape: str = "linear", xp: Any = np) -> Array:
    """Warm-up, then f + (1−f)(1−u)/(½ + ½(1−u)) to the end. Chen et al. 2022, arXiv 2107.04197."""
    return flat_then_decay(steps, warmup_steps, steps - warmup_steps, "rex", floor, warmup_shape, xp)


def uba(
    steps: int,
    warmup_steps: Array = 0,
    phi: Array = 1.0,
    floor: Array = 0.0,
    warmup_shape: str = "linear",
    xp: Any = np,
) -> Array:
    """Warm-up, then f + (1−f) · 2(1 + cos πu) / (2φ + (2−φ)(1 + cos πu)) to the end.

    φ > 0: 2 is cosine, towards 0 constant. Tang et al. 2025, arXiv 2505.24452.
    """

    def form(u: Array, f: Array, xp: Any) -> Array:
        c = 1 + xp.cos(np.pi * u)
        return f + (1 - f) * 2 * c / (2 * phi + (2 - phi) * c)

    return flat_then_decay(steps, warmup_steps, steps - warmup_steps, form, floor, warmup_shape, xp)


def wsd(
    steps: int,
    warmup_steps: Array = 0,
    cooldown: Array = 0.2,
    shape: str = "linear",
    floor: Array = 0.0,
    warmup_shape: str = "linear",
    xp: Any = np,
) -> Array:
    """Warm-up, stable, decay: the last cooldown · T steps decay by `shape` to the floor.

    Hu et al. 2024, arXiv 2404.06395; Hägele et al. 2024, arXiv 2405.18392 (1−sqrt).
    """
    length = xp.minimum(whole(cooldown * steps, xp), steps - warmup_steps)
    return flat_then_decay(steps, warmup_steps, length, shape, floor, warmup_shape, xp)


def cosine_restarts(
    steps: int,
    warmup_steps: Array = 0,
    cycles: int = 2,
    growth: Array = 1.0,
    floor: Array = 0.0,
    warmup_shape: str = "linear",
    xp: Any = np,
) -> Array:
    """Warm-up, then `cycles` cosines to the floor, each `growth` times as long as the one before.

    Loshchilov & Hutter 2017, arXiv 1608.03983 (SGDR; growth is its T_mult).
    """
    k = count(steps, xp)
    start, end = _cycle(k, warmup_steps, steps, cycles, growth, xp)
    body = decay(k, start, end - start, SHAPES["cosine"], floor, 1.0, xp)
    return warm_up(k, warmup_steps, xp.where(k > warmup_steps, body, 1.0), warmup_shape, xp)


def wsd_cycles(
    steps: int,
    warmup_steps: Array = 0,
    cooldown: Array = 0.2,
    shape: str = "linear",
    cycles: int = 2,
    growth: Array = 1.0,
    floor: Array = 0.0,
    warmup_shape: str = "linear",
    xp: Any = np,
) -> Array:
    """`cycles` times stable and decay, each cycle back at the peak: one run with a finished model at every cycle's end.

    A cycle is `growth` times as long as the one before, the first with the warm-up in it; `cooldown` is a share of each
    cycle. Wen et al. 2024, arXiv 2410.05192 (WSD-S).
    """
    k = count(steps, xp)
    start, end = _cycle(k, 0, steps, cycles, growth, xp)
    length = xp.minimum(whole(cooldown * (end - start), xp), end - xp.maximum(start, xp.minimum(warmup_steps, end)))
    body = decay(k, end - length, length, shape_of(shape), floor, 1.0, xp)
    return warm_up(k, warmup_steps, body, warmup_shape, xp)


def inverse_sqrt(
    steps: int,
    warmup_steps: Array = 0,
    cooldown: Array = 0.0,
    shape: str = "linear",
    floor: Array = 0.0,
    warmup_shape: str = "linear",
    xp: Any = np,
) -> Array:
    """Warm-up, then max(f, √(W/k)) (W = 1 without a warm-up), then, with `cooldown`, a decay to the floor.

    Vaswani et al. 2017, arXiv 1706.03762; with a cooldown Zhai et al. 2022, arXiv 2106.04560.
    """
    origin = xp.maximum(warmup_steps, 1)
    return _trunk_then_decay(
        lambda k: xp.maximum(xp.sqrt(origin / xp.maximum(k, origin)), floor),
        *(steps, warmup_steps, cooldown, shape, floor, warmup_shape, xp),
    )


def power(
    steps: int,
    warmup_steps: Array,
    peak_lr: Array,
    a: Array,
    b: Array,
    batch_sequences: Array,
    seq_len: Array,
    cooldown: Array = 0.1,
    shape: str = "linear",
    floor: Array = 0.0,
    warmup_shape: str = "linear",
    xp: Any = np,
) -> Array:
    """Warm-up, then min(1, B·a·n^b / η_max), then a cooldown from there: an LR by tokens, not by the horizon.

    Shen et al. 2024, arXiv 2408.13359, who report a ≈ 4.6, b ≈ −.51 and η_max = .02 under μP; the unit of their B is
    read here as sequences, which the magnitudes support and we could not verify.

    Args:
      peak_lr: η_max, which the array is relative to.
      a, b: constants of the law, a > 0 and b < 0.
      batch_sequences: B, sequences a step.
      seq_len: tokens of a sequence, for n = k · B · seq_len, tokens seen.
    """
    tokens = batch_sequences * seq_len
    return _trunk_then_decay(
        lambda k: xp.minimum(1.0, batch_sequences * a * (k * tokens) ** b / peak_lr),
        *(steps, warmup_steps, cooldown, shape, floor, warmup_shape, xp),
    )


def step(
    steps: int,
    warmup_steps: Array = 0,
    milestones: Sequence[float] = (0.8, 0.9),
    values: Sequence[Array] = (0.316, 0.1),
    warmup_shape: str = "linear",
    xp: Any = np,
) -> Array:
    """Warm-up, the peak, then each value from its milestone on, a share of the T steps ("8-1-1").

    DeepSeek-AI 2024, arXiv 2401.02954.
    """
    k = count(steps, xp)
    body = xp.ones_like(k)
    for milestone, value in zip(milestones, values, strict=True):
        body = xp.where(k > whole(milestone * steps, xp), value, body)
    return warm_up(k, warmup_steps, body, warmup_shape, xp)


def infinite(
    steps: int,
    warmup_steps: Array = 0,
    descent: Array = 0.3,
    level: Array = 0.3,
    cooldown: Array = 0.1,
    floor: Array = 0.01,
    warmup_shape: str = "linear",
    xp: Any = np,
) -> Array:
    """Warm-up, a cosine from the peak to `level`, constant, and a geometric anneal level · (f/level)^u at the end.

    Singh et al. 2025, arXiv 2503.02844. The default numbers are ours.

    Args:
      descent: share of the T steps in the cosine.
      level: η_const relative to the peak, at least the floor.
    """
    k = count(steps, xp)
    down = xp.minimum(whole(descent * steps, xp), steps - warmup_steps)
    last = xp.minimum(whole(cooldown * steps, xp), steps - warmup_steps - down)
    body = decay(k, warmup_steps, down, SHAPES["cosine"], level, 1.0, xp)
    anneal = decay(k, steps - last, last, SHAPES["exponential"], floor, level, xp)
    return warm_up(k, warmup_steps, xp.where(k > steps - last, anneal, body), warmup_shape, xp)


def _trunk_then_decay(
    trunk: Callable[[Array], Array],
    steps: int,
    warmup_steps: Array,
    cooldown: Array,
    shape: str,
    floor: Array,
    warmup_shape: str,
    xp: Any,
) -> Array:
    """Warm-up, `trunk(k)`, then a decay from the level of the trunk at its start."""
    k = count(steps, xp)
    length = xp.minimum(whole(cooldown * steps, xp), steps - warmup_steps)
    level = trunk(xp.maximum(xp.minimum(k, steps - length), 1.0))
    body = decay(k, steps - length, length, shape_of(shape), floor, level, xp)
    return warm_up(k, warmup_steps, body, warmup_shape, xp)


def _cycle(k: Array, origin: Array, steps: int, cycles: int, growth: Array, xp: Any) -> tuple[Array, Array]:
    """(start, end) of the cycle that each step belongs to, the cycles filling origin … T."""
    lengths = growth ** xp.arange(cycles, dtype=float)
    inner = origin + (steps - origin) * xp.cumsum(lengths)[:-1] / xp.sum(lengths)
    edges = xp.concatenate([xp.ones(1) * origin, whole(inner, xp), xp.ones(1) * steps])
    index = xp.clip(xp.searchsorted(edges[1:], k), 0, cycles - 1)
    return edges[index], edges[index + 1]
