"""How changes of the LR take effect: sums over events, at points or along a whole schedule at once.

A kernel that is a mixture of exponentials of its clock, κ(u) = Σ_i w_i·(1 − e^{−ρ_i u}), is summed along a schedule in
one pass. With W_i(t) = Σ_{k≤t} w_ik·drop_k the state y_i(t) = Σ_{k≤t} w_ik·drop_k·(1 − e^{−ρ_i u_k(t)}) follows W_i as
a low-pass filter does, y_i(t) = y_i(t−1) + (1 − e^{−ρ_i Δu_t})·(W_i(t) − y_i(t−1)), and Σ_i y_i is the sum over all
earlier changes, without a difference of large numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from jaxlaws.laws.lazy import jax, jnp

#: Exponentials that stand for one kernel.
RATES = 96


class Running(NamedTuple):
    """A clock of events along a whole schedule, in place of what it shows at one point.

    Attributes:
      step: [..., steps] its advance in each step.
      late: whether it starts after the step of the event.
    """

    step: Any
    late: bool = False


def exponential(drop: Any, clock: Any, rate: Any) -> Any:
    """Σ_k drop_k · (1 − e^{−rate·clock_k}).

    Args:
      drop: [..., events], or [..., steps] along a schedule.
      clock: [..., events], such as steps or the LR sum since the change; or `Running`.
      rate: of the approach, by the unit of the clock.

    Returns:
      [...], or [..., steps] along a schedule.
    """
    if isinstance(clock, Running):
        return _filter(lambda change: change, jnp.reshape(rate, (1,)), clock, drop)
    return jnp.sum(drop * -jnp.expm1(-rate * clock), -1)


def power(drop: Any, lr_sum: Any, log_lr: Any, C: Any, beta: Any, gamma: Any) -> Any:
    """Σ_k drop_k · G(η_k^-γ·S_k), G(x) = 1 − (1 + C·x)^-β.

    Args:
      drop: [..., events] η_{k−1} − η_k, or the sum of a group of drops; [..., steps] along a schedule.
      lr_sum: [..., events] S_k, the LR sum from the drop to the point; or `Running`.
      log_lr: as `drop`, ln η_k.
      C: rate.
      beta: exponent β.
      gamma: exponent γ of the LR after the drop.

    Returns:
      [...], or [..., steps] along a schedule.
    """
    if isinstance(lr_sum, Running):
        return _power_along(drop, lr_sum, log_lr, C, beta, gamma)
    return _power()(beta, C, gamma, drop, lr_sum, log_lr)


def _power_along(drop: Any, lr_sum: Running, log_lr: Any, C: Any, beta: Any, gamma: Any) -> Any:
    """`power` by (1 + a·u)^-β = 1/Γ(β) ∫ (ρ/a)^β e^{−ρ/a} e^{−ρu} d ln ρ with a = C·η_k^-γ.

    The trapezoid rule of width h in ln ρ is off by about e^{−π²/h}, as the integrand is analytic for |Im ln ρ| < π/2.
    Of 1 − (1 + a·u)^-β the rates below ρ_0 add (ρ_0/a)^β·ρ_0·u at most, those above ρ_1 about e^{−ρ_1/a}.
    """
    log_a = jnp.log(C) - gamma * log_lr
    first = jnp.log(1e-7) - jnp.log(jnp.sum(lr_sum.step, -1))
    last = jnp.max(log_a, -1) + jnp.log(20 + 4 * beta)
    grid, width = rate_grid(first, last)

    def weigh(change, log_a):
        q = jnp.minimum(grid - log_a, 60.0)
        return change * width * jnp.exp(beta * q - jnp.exp(q) - jax.lax.lgamma(beta))

    return _filter(weigh, jnp.exp(grid), lr_sum, drop, log_a)


def rate_grid(first: Any, last: Any) -> tuple[Any, Any]:
    """ln ρ [..., rates] between two ends [...] and its width [..., 1]; no result depends on them, so no derivative."""
    first, last = jax.lax.stop_gradient((first, last))
    return jnp.linspace(first, last, RATES, axis=-1), (last - first)[..., None] / (RATES - 1)


def _filter(weigh: Callable[..., Any], rates: Any, clock: Running, *events: Any) -> Any:
    """[..., steps] Σ_i Σ_{k≤t} weigh(events_k)_i · (1 − e^{−ρ_i (u_t − u_{k−1})}).

    Args:
      weigh: (events of one step [..., 1]) → [..., rates].
      rates: ρ [..., rates].
      clock: u of the changes.
      *events: [..., steps] each.
    """

    def advance(state, now):
        total, response = state
        step, *events = (value[..., None] for value in now)
        total = total + weigh(*events)
        response = response + jnp.expm1(-rates * step) * (response - total)
        return (total, response), jnp.sum(response, -1)

    if clock.late:
        events = tuple(jnp.concatenate([jnp.zeros_like(value[..., :1]), value[..., :-1]], -1) for value in events)
    by_step = tuple(jnp.moveaxis(value, -1, 0) for value in jnp.broadcast_arrays(clock.step, *events))
    rates = jnp.broadcast_to(rates, (*by_step[0].shape[1:], rates.shape[-1]))
    zero = jnp.zeros(rates.shape, jnp.result_type(rates, *by_step))
    return jnp.moveaxis(jax.lax.scan(advance, (zero, zero), by_step)[1], 0, -1)


@lru_cache(maxsize=1)
def _power():
    """`power` at points, with the derivative by which one power serves all constants."""
    function = jax.custom_jvp(
        lambda beta, C, gamma, drop, lr_sum, log_lr: jnp.sum(
            drop * -jnp.expm1(-beta * jnp.log1p(C * jnp.exp(-gamma * log_lr) * lr_sum)), -1
        )
    )
    function.defjvp(_power_jvp, symbolic_zeros=True)
    return function


def _power_jvp(primals, tangents):
    from jax.custom_derivatives import SymbolicZero

    beta, C, gamma, drop, lr_sum, log_lr = primals
    rate = C * jnp.exp(-gamma * log_lr)
    x = rate * lr_sum
    log_x = jnp.log1p(x)
    rest = jnp.exp(-beta * log_x)
    by_x = drop * (beta * rest / (1 + x))
    by_log_x = by_x * x
    slopes = (
        lambda d: jnp.sum(drop * rest * log_x, -1) * d,
        lambda d: jnp.sum(by_log_x, -1) / C * d,
        lambda d: -jnp.sum(by_log_x * log_lr, -1) * d,
        lambda d: jnp.sum((1 - rest) * d, -1),
        lambda d: jnp.sum(by_x * rate * d, -1),
        lambda d: -gamma * jnp.sum(by_log_x * d, -1),
    )
    value = jnp.sum(drop * (1 - rest), -1)
    terms = [slope(d) for slope, d in zip(slopes, tangents, strict=True) if not isinstance(d, SymbolicZero)]
    return value, sum(terms, jnp.zeros_like(value))
