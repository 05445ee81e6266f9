"""Starts: random nonlinear constants, and the linear ones by a weighted linear solve for each (variable projection)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxlaws.laws.law import Law


@lru_cache(maxsize=64)
def projector(law: Law):
    """The jitted projection: coordinates [starts, parameters] → the same with the best linear constants.

    Under squared error of L with weights w, the coefficients c of the law's basis X solve (XᵀWX) c = XᵀW L.
    """

    positive = np.array([p.link == "log" for name in law.linear for p in law.parameters if p.name == name])

    def project(theta, inputs, loss, weight, scale, low, high):
        params = law.constrain(theta, scale)
        assert law.basis is not None
        target = loss if law.unlink is None else law.unlink(params, loss)
        if law.offset is not None:
            target = target - law.offset(params, inputs)
        terms = jnp.stack([jnp.broadcast_to(term, loss.shape) for term in law.basis(params, inputs)], -1)
        size = jnp.sqrt(jnp.sum(weight[:, None] * terms**2, 0)) + 1e-300
        unit = terms / size[None, :]
        normal = (unit * weight[:, None]).T @ unit + 1e-12 * jnp.eye(len(law.linear))
        right = (unit * weight[:, None]).T @ target
        best = jnp.linalg.solve(normal, right) / size
        floor = jnp.where(positive, 1e-6 * jnp.mean(jnp.abs(target)) / (size / jnp.sqrt(jnp.sum(weight))), -jnp.inf)
        constants = {**params, **{name: jnp.maximum(best[i], floor[i]) for i, name in enumerate(law.linear)}}
        error = jnp.sum(weight * (target - terms @ best) ** 2)
        return jnp.clip(law.unconstrain(constants, scale), low, high), error

    return jax.jit(jax.vmap(project, (0, None, None, None, None, None, None)))


def starts(
    law: Law, count: int, seed: int, inputs: Any, loss: np.ndarray, weight: np.ndarray, scale: Any, low: Any, high: Any
) -> np.ndarray:
    """Random starts [count, parameters], uniform in the law's ranges, linear constants projected out."""
    rng = np.random.default_rng(seed)
    edges = np.array([[float(p.unconstrain(value)) for value in p.start] for p in law.parameters])
    theta = edges[:, 0] + (edges[:, 1] - edges[:, 0]) * rng.random((count, len(law.parameters)))
    if law.basis is None or (law.link is not None and law.unlink is None):
        return np.clip(theta, low, high)
    return np.asarray(projector(law)(theta, inputs, loss, weight, scale, low, high)[0])
