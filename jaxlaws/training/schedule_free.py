"""Schedule-free training: the average of an optimiser's iterates is what counts. Defazio et al., arXiv 2405.15682."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax


class Transformation(NamedTuple):
    """An optax transformation of the parameters that are validated and kept, and where their gradient is taken.

    Attributes:
      init: params → state.
      update: (gradient at the point, state, params) → (what is added to params, state).
      point: (state, params) → where the gradient is taken.
    """

    init: Callable[[Any], Any]
    update: Callable[[Any, Any, Any], tuple[Any, Any]]
    point: Callable[[Any, Any], Any] = lambda state, params: params


class ScheduleFree(NamedTuple):
    """State.

    Attributes:
      fast: z, the iterate that the inner optimiser moves.
      peak: largest LR so far.
      weight: sum of the weights of the average.
      inner: state of the inner optimiser.
    """

    fast: Any
    peak: jax.Array
    weight: jax.Array
    inner: Any


def schedule_free(inner: optax.GradientTransformation, lr: Any, beta: Any) -> Transformation:
    """The average x of the iterates z of an optimiser without momentum, which are the parameters.

    z ← z + inner(∇L(y)) at y = (1 − β)·z + β·x, then x ← x + c·(z − x): c is the weight of this step, the square of the
    largest LR so far, over the sum of all weights. At β = 0 it is Polyak's average, at β = 1 primal averaging.

    Args:
      inner: one step's transformation, LR and weight decay included; the decay is that of y.
      lr: LR of the step.
      beta: β.
    """

    def init(params: Any) -> ScheduleFree:
        zero = jnp.zeros((), jnp.float32)
        return ScheduleFree(params, zero, zero, inner.init(params))

    def point(state: ScheduleFree, params: Any) -> Any:
        return jax.tree.map(lambda x, z: (1 - beta) * z + beta * x, params, state.fast)

    def update(gradient: Any, state: ScheduleFree, params: Any) -> tuple[Any, ScheduleFree]:
        step, inner_state = inner.update(gradient, state.inner, point(state, params))
        fast = optax.apply_updates(state.fast, step)
        peak = jnp.maximum(state.peak, lr)
        weight = state.weight + peak**2
        share = jnp.where(weight > 0, peak**2 / jnp.where(weight > 0, weight, 1.0), 0.0)
        moved = jax.tree.map(lambda x, z: share * (z - x), params, fast)
        return moved, ScheduleFree(fast, peak, weight, inner_state)

    return Transformation(init, update, point)
