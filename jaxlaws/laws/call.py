"""A law with its constants as a function, of a schedule or of a model, which JAX differentiates and batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from jaxlaws.errors import BadInput, unknown
from jaxlaws.inputs import INPUTS
from jaxlaws.laws.law import Law
from jaxlaws.laws.lazy import jax, jnp
from jaxlaws.laws.schedule import along, at_end, first_change
from jaxlaws.text import brief

#: Number of points from which the losses at all steps are computed instead, and points summed in one batch.
_MANY, _AT_ONCE = 32, 8


@dataclass(frozen=True, eq=False)
class FittedLaw:
    """A law with constants, callable: the loss at the end of a schedule, at points of it, or of a model.

        law(lr) → [...],   law(lr, at=steps) → [..., points],   law(N=…, D=…) → [...]

    It is a pytree whose leaves are the constants, so that `jax.grad(lambda law: law(lr))(law)` is the gradient with
    respect to them. All is computed in the caller's precision.

    Attributes:
      law: the formula.
      params: constants by name, numbers or arrays of JAX without axes.
      convention: what they mean; `warmup_ld` says whether LR changes of the warm-up count as events.
    """

    law: Law
    params: Mapping[str, Any]
    convention: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _register()

    def __repr__(self) -> str:
        return f"FittedLaw({self.law.name}, {', '.join(f'{name}={value}' for name, value in self.params.items())})"

    def __call__(self, lr: Any = None, *, at: Any = None, warmup_steps: int = 0, **inputs: Any) -> Any:
        """The predicted loss, in the unit of `convention["loss"]`.

        Args:
          lr: [..., steps] LR of every step, of a law of curves.
          at: [points] last step before each loss; the end of the schedule without it.
          warmup_steps: leading steps of `lr` that are warm-up.
          **inputs: what else the law reads, by the symbols of its formula, [...] each: N, D, …; of an input of several
            columns its parts by name, or [..., parts]; what was logged along a run [..., points].

        Returns:
          [...] of the leading axes of all inputs, or [..., points] with `at`.

        Raises:
          BadInput: an input is missing, unknown or outside what the law is defined for, or shapes do not go together.
        """
        law = self.law
        values = {key: self._input(key, inputs) for key in law.inputs if not INPUTS[key].of_schedule}
        for name in inputs:
            if name not in values:
                hint = "".join(f"did you mean '{key}'?" for key in values if INPUTS[key].column == name)
                raise unknown(f"input of the law {law.name}", name, values, hint)
        axes = {key: int(INPUTS[key].many or (INPUTS[key].logged and at is not None)) for key in values}
        shapes = [value.shape[: value.ndim - axes[key]] for key, value in values.items()]
        if law.kind == "point":
            if lr is not None or at is not None or warmup_steps:
                raise BadInput(f"the law {law.name} reads {' and '.join(law.inputs)}, not a schedule: leave it out.")
            _broadcast(law, shapes)
            return _of_model(law)(dict(self.params), values)
        if lr is None:
            raise BadInput(
                f"the law {law.name} predicts along a schedule: give lr, an array with the LR of every step."
            )
        lr, at = _schedule(lr, warmup_steps), None if at is None else _points(at)
        _check_points(lr, at)
        _broadcast(law, [lr.shape[:-1], *shapes])
        rank = max(lr.ndim - 1, *map(len, shapes), 0)
        lr = _of_rank(lr, rank + 1)
        values = {key: _of_rank(value, rank + axes[key]) if value.ndim else value for key, value in values.items()}
        first = first_change(warmup_steps, self.convention.get("warmup_ld", "included"))
        if at is None:
            return _at_end(law)(dict(self.params), lr, first, values)
        logs = {key: value for key, value in values.items() if INPUTS[key].logged}
        _broadcast(law, [at.shape, *(value.shape[-1:] for value in logs.values())])
        constants = {key: value for key, value in values.items() if key not in logs}
        losses = _along if len(at) >= _MANY and law.running else _at_points
        return losses(law)(dict(self.params), lr, first, constants, logs, at)

    def _input(self, key: str, inputs: Mapping[str, Any]) -> Any:
        """The value of one input; `BadInput` where it is missing or not what the law is defined for."""
        row = INPUTS[key]
        if key not in inputs:
            raise BadInput(f"the law {self.law.name} needs {key}, {row.meaning}: give {key}=.")
        value = inputs[key]
        parts = self.law.parts
        if row.many and isinstance(value, Mapping):
            for part in value:
                if part not in parts:
                    raise unknown(key, part, parts)
            value = jnp.stack(jnp.broadcast_arrays(*(numbers(key, value.get(part, 0.0)) for part in parts)), -1)
        value = numbers(key, value)
        if row.many and value.shape[-1:] != (len(parts),):
            raise BadInput(f"{key} has the shape {value.shape}, expected [..., {len(parts)}]: {', '.join(parts)}.")
        if is_concrete(value):
            possible = row.allows(value)
            if not np.all(possible):
                domain = "at least 0" if row.zero else "positive"
                wrong = np.asarray(value)[~np.asarray(possible)].flat[0]
                raise BadInput(f"{key} has the value {wrong:g}, expected it to be {domain} and finite.")
        return value


@lru_cache(maxsize=1)
def _register() -> None:
    """Make `FittedLaw` known to JAX as a pytree."""

    def flatten(law: FittedLaw) -> tuple[Any, Any]:
        children = ((jax.tree_util.GetAttrKey("params"), dict(law.params)),)
        return children, (law.law, tuple(sorted(law.convention.items())))

    def unflatten(auxiliary: Any, children: Any) -> FittedLaw:
        return FittedLaw(auxiliary[0], children[0], dict(auxiliary[1]))

    jax.tree_util.register_pytree_with_keys(FittedLaw, flatten, unflatten)


@lru_cache(maxsize=256)
def _of_model(law: Law) -> Any:
    return jax.jit(law.predict)


def _end(lr: Any, first: Any, values: Mapping[str, Any], stop: Any = None) -> dict[str, Any]:
    return at_end(lr, first, stop=stop, phase_start=values.get("phase_start"))


@lru_cache(maxsize=256)
def _at_end(law: Law) -> Any:
    return jax.jit(lambda params, lr, first, values: law.predict(params, {**_end(lr, first, values), **values}))


@lru_cache(maxsize=256)
def _at_points(law: Law) -> Any:
    """Every point by the sum over all changes before it: O(steps · points)."""

    def losses(params, lr, first, values, logs, at):
        def one(point):
            stop, here = point
            return law.predict(params, {**_end(lr, first, values, stop), **values, **here})

        logs = {key: jnp.moveaxis(jnp.broadcast_to(v, (*v.shape[:-1], len(at))), -1, 0) for key, v in logs.items()}
        return jnp.moveaxis(jax.lax.map(one, (at, logs), batch_size=_AT_ONCE), 0, -1)

    return jax.jit(losses)


@lru_cache(maxsize=256)
def _along(law: Law) -> Any:
    """All steps in one pass: O(steps)."""

    def losses(params, lr, first, values, logs, at):
        values = {key: jnp.expand_dims(v, -2 if INPUTS[key].many else -1) if v.ndim else v for key, v in values.items()}
        return jnp.take(law.predict(params, {**along(lr, first), **values}), at, -1)

    return jax.jit(losses)


def numbers(name: str, value: Any) -> Any:
    """An array of JAX as it is, anything else as one of numpy, which the caller's precision then rounds.

    Raises:
      BadInput: `value`, the one of this `name`, holds what is no real number, or rows of unequal length.
    """
    try:
        array = value
        if not isinstance(value, jax.Array):
            has_jax = isinstance(value, list | tuple) and any(
                isinstance(one, jax.Array) for one in jax.tree.leaves(value)
            )
            array = jnp.asarray(value) if has_jax else np.asarray(value)
        if array.dtype == object and value is not None:
            array = array.astype(float)
        real = any(jnp.issubdtype(array.dtype, kind) for kind in (jnp.floating, jnp.integer, jnp.bool_))
    except (TypeError, ValueError):
        real = False
    if not real:
        raise BadInput(f"{name} is {brief(value)}, expected a number or an array of numbers.")
    return array if isinstance(array, jax.Array) or hasattr(value, "dtype") else array.astype(np.float64)


def _of_rank(value: Any, rank: int) -> Any:
    """With axes of one in front, as promotion by rank is an error for some users of JAX."""
    return value.reshape((1,) * (rank - value.ndim) + value.shape)


def is_concrete(value: Any) -> bool:
    """Whether the numbers are known, which they are not while JAX traces."""
    return not isinstance(value, jax.core.Tracer)


def _broadcast(law: Law, shapes: list[tuple[int, ...]]) -> None:
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        raise BadInput(f"the inputs of the law {law.name} have shapes {shapes}, which do not go together.") from None


def _schedule(lr: Any, warmup_steps: int) -> Any:
    """The schedule as an array; `BadInput` where it or its warm-up makes no sense."""
    lr = numbers("lr", lr)
    if not jnp.issubdtype(lr.dtype, jnp.floating):
        lr = lr.astype(float)
    if lr.ndim < 1 or not lr.shape[-1]:
        raise BadInput(f"lr has the shape {lr.shape}, expected [..., steps]: the LR of every step.")
    steps = lr.shape[-1]
    if not isinstance(warmup_steps, int | np.integer) or not 0 <= warmup_steps <= steps:
        raise BadInput(f"warmup_steps is {warmup_steps}, expected a whole number from 0 to {steps}, the steps of lr.")
    if is_concrete(lr) and not np.all(np.isfinite(lr) & (np.asarray(lr) >= 0)):
        raise BadInput("the schedule has a learning rate that is negative or not a number.")
    return lr


def _points(at: Any) -> Any:
    """The last step before each loss, as whole numbers."""
    at = numbers("at", at)
    if at.ndim != 1 or not at.size:
        raise BadInput(f"at has the shape {at.shape}, expected [points]: the last step before each loss.")
    if is_concrete(at) and np.any(at != np.round(at)):
        raise BadInput(f"at has the value {at[at != np.round(at)][0]:g}, expected whole numbers.")
    return at.astype(int)


def _check_points(lr: Any, at: Any) -> None:
    """`BadInput` where a point lies outside the schedule, or before its first positive LR."""
    begin = steps = lr.shape[-1]
    if at is not None and is_concrete(at):
        if not 0 <= at.min() <= at.max() < steps:
            raise BadInput(f"at goes from {at.min()} to {at.max()}, expected steps from 0 to {steps - 1}.")
        begin = int(at.min()) + 1
    if is_concrete(lr) and not np.all(np.any(np.asarray(lr)[..., :begin] > 0, -1)):
        raise BadInput("the LR is zero up to a loss, curve laws need a positive LR sum: leave those points out.")
