"""What curve laws read of a schedule, exactly and traceably: at its end, at points, and along all of its steps.

`jaxlaws.laws.events` has the same for fits, in numpy and with far changes taken together.
"""

from __future__ import annotations

from typing import Any

from jaxlaws.errors import BadInput
from jaxlaws.laws.lazy import jax, jnp
from jaxlaws.laws.relaxation import RATES, Running, rate_grid

#: Whether changes of the LR within the warm-up count as events.
WARMUP_LD = ("included", "excluded")
#: Share of the peak up to which an LR counts as a rounded 0.
ROUNDING = 1e-12
#: Share of the peak that ln of an LR does not fall below.
LEAST = 1e-9


def first_change(warmup_steps: int, warmup_ld: str) -> int:
    """Index of the first step whose change of the LR counts as an event; `BadInput` for another convention."""
    if warmup_ld not in WARMUP_LD:
        raise BadInput(f"warmup_ld is '{warmup_ld}', expected {' or '.join(WARMUP_LD)}.")
    return 1 if warmup_ld == "included" else max(warmup_steps, 1)


def at_end(lr: Any, first: Any = 1, *, widths: Any = None, stop: Any = None, phase_start: Any = None) -> dict[str, Any]:
    """What curve laws read at the last step, with every change of the LR as an event of its own.

    Args:
      lr: [..., steps] LR of every step.
      first: index of the first step whose change counts, of `first_change`.
      widths: [..., steps] how many steps of this LR each stands for, which need not be whole; one without it. Sums over
        them are taken in closed form.
      stop: index of another last step.
      phase_start: [...] index of the first step of a second phase, where there is one.

    Returns:
      `S`, `V`, `lr`, `peak`, `onset`, `S_phase`, `age_phase` [...]; and `drop`, `lr_sum`, `sum_at`, `sum_after`,
      `age`, `log_lr` [..., steps].
    """
    lr = jnp.asarray(lr)
    steps = jax.lax.broadcasted_iota(int, lr.shape, lr.ndim - 1)
    last = lr.shape[-1] - 1 if stop is None else stop
    peak, ends = jnp.max(lr, -1), jnp.take(lr, last, -1)
    drop = jnp.where(steps >= first, _before(lr) - lr, 0.0)
    log_lr = jnp.log(jnp.maximum(lr, LEAST * peak[..., None]))
    onset = _onset(lr, first)
    if stop is not None:
        lr, drop = (jnp.where(steps <= stop, value, 0.0) for value in (lr, drop))
    area = lr if widths is None else lr * widths
    own = lr if widths is None else lr * jnp.minimum(widths, 1.0)
    lr_sum = _suffix(area)
    age = jnp.maximum(last + 1.0 - steps, 1.0) if widths is None else _suffix(widths)
    start = jnp.asarray(lr.shape[-1] if phase_start is None else phase_start)
    start = jnp.reshape(start, start.shape or (1,) * (lr.ndim - 1))
    return {
        "S": lr_sum[..., 0],
        "V": _noise(lr, widths, peak),
        "S_phase": jnp.sum(jnp.where(steps >= start[..., None], area, 0.0), -1),
        "age_phase": jnp.maximum(last + 1.0 - start, 0.0),
        "lr": ends,
        "peak": peak,
        "onset": onset,
        "drop": drop,
        "lr_sum": lr_sum,
        "sum_at": jnp.cumsum(area, -1) - (area - own),
        "sum_after": lr_sum - own,
        "age": age.astype(lr.dtype),
        "log_lr": log_lr,
    }


def along(lr: Any, first: Any = 1) -> dict[str, Any]:
    """What laws whose sums are those of `jaxlaws.laws.relaxation` read at every step of lr[..., steps], in one pass.

    Returns:
      [..., steps] each: `S`, `V`, `lr`, `peak`, `onset`; `drop`, `sum_at` and `log_lr` of the change at the step; and
      the clocks `lr_sum`, `sum_after` and `age` of all changes as `Running`.
    """
    lr = jnp.asarray(lr)
    total = jnp.cumsum(lr, -1)
    peak = jnp.broadcast_to(jnp.max(lr, -1, keepdims=True), lr.shape)
    return {
        "S": total,
        "V": _noise_along(lr),
        "lr": lr,
        "peak": peak,
        "onset": jnp.broadcast_to(_onset(lr, first)[..., None], lr.shape),
        "drop": jnp.where(jax.lax.broadcasted_iota(int, lr.shape, lr.ndim - 1) >= first, _before(lr) - lr, 0.0),
        "lr_sum": Running(lr),
        "sum_at": total,
        "sum_after": Running(lr, late=True),
        "age": Running(jnp.ones_like(lr)),
        "log_lr": jnp.log(jnp.maximum(lr, LEAST * peak)),
    }


def _before(lr: Any) -> Any:
    """The LR of the step before; of the first step its own."""
    return jnp.concatenate([lr[..., :1], lr[..., :-1]], -1)


def _onset(lr: Any, first: Any) -> Any:
    """The LR before the step `first`."""
    return jnp.take(lr, jnp.minimum(first, lr.shape[-1]) - 1, -1)


def _suffix(value: Any) -> Any:
    """Σ_{j≥k} value_j of every k along the last axis."""
    return jnp.flip(jnp.cumsum(jnp.flip(value, -1), -1), -1)


def _noise(lr: Any, widths: Any, peak: Any) -> Any:
    """V = η_T + Σ_{k<T} η_k² / Σ_{j>k} η_j, where T is the last step with an LR, as `curves.bound.lr_noise`.

    Within w steps of LR h, h Σ_{r<w} 1/(r + s) = h [ψ(w + s) − ψ(s)] with s = (LR sum after them)/h; the last ones with
    an LR have s = 0, and their last step adds h itself: h [1 + ψ(w) − ψ(1)].
    """
    lr = jnp.where(lr > ROUNDING * peak[..., None], lr, 0.0)
    after = _suffix(lr if widths is None else lr * widths)
    after = jnp.concatenate([after[..., 1:], jnp.zeros_like(after[..., :1])], -1)
    ends = after <= 0
    if widths is None:
        return jnp.sum(jnp.where(ends, lr, lr**2 / jnp.where(ends, 1.0, after)), -1)
    digamma = jax.lax.digamma
    later = jnp.where(ends, 1.0, after / jnp.where(lr > 0, lr, peak[..., None]))
    inside = digamma(widths + later) - digamma(later)
    at_last = 1 + digamma(jnp.maximum(widths, 1.0)) - digamma(jnp.ones(()))
    return jnp.sum(lr * jnp.where(ends, at_last, inside), -1)


def _noise_along(lr: Any) -> Any:
    """V at every step, by 1/x = ∫ ρ e^{−ρx} d ln ρ: a decaying state z_i = Σ_{k<t} η_k² e^{−ρ_i Σ_{k<j≤t} η_j} a rate.

    Rates below the first one, at which e^{−ρx} is 1 within 1e-4, are summed in closed form.
    """
    peak = jnp.max(lr, -1, keepdims=True)
    lr = jnp.where(lr > ROUNDING * peak, lr, 0.0)
    least = jnp.min(jnp.where(lr > 0, lr, peak), -1)
    grid, width = rate_grid(jnp.log(1e-4) - jnp.log(jnp.sum(lr, -1)), jnp.log(20.0) - jnp.log(least))
    rates = jnp.exp(grid)
    below = (width * rates)[..., :1] / jnp.expm1(width)

    def advance(state, lr):
        before, mass, z = state
        lr = lr[..., None]
        moves = lr > 0
        z = jnp.where(moves, jnp.exp(-rates * lr) * (z + before**2), z)
        mass = jnp.where(moves, mass + before**2, mass)
        before = jnp.where(moves, lr, before)
        value = before + below * mass + jnp.sum(width * rates * z, -1, keepdims=True)
        return (before, mass, z), value[..., 0]

    zero = jnp.zeros((*lr.shape[:-1], 1), lr.dtype)
    state = (zero, zero, jnp.zeros((*lr.shape[:-1], RATES), lr.dtype))
    return jnp.moveaxis(jax.lax.scan(advance, state, jnp.moveaxis(lr, -1, 0))[1], 0, -1)
