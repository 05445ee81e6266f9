"""Starts: random nonlinear constants, and the linear ones by a weighted linear solve for each (variable projection)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxlaws.laws.base import Law


@lru_cache(maxsize=64)
def projector(law: Law):
    """The jitted projection: coordinates [starts, parameters] → the same with the best linear constants.

    Under squared error of L with weights w, the coefficients c of the law's columns X solve (XᵀWX) c = XᵀW L.
    """

    def project(theta, inputs, loss, weight, scale, low, high):
        params = law.from_line(theta, scale)
        assert law.columns is not None
        columns = jnp.stack(law.columns(params, inputs), -1)
        size = jnp.sqrt(jnp.sum(weight[:, None] * columns**2, 0)) + 1e-300
        unit = columns / size[None, :]
        normal = (unit * weight[:, None]).T @ unit + 1e-12 * jnp.eye(len(law.linear))
        right = (unit * weight[:, None]).T @ loss
        best = jnp.linalg.solve(normal, right) / size
        floor = 1e-6 * jnp.mean(loss) / (size / jnp.sqrt(jnp.sum(weight)))
        fitted = {**params, **{name: jnp.maximum(best[i], floor[i]) for i, name in enumerate(law.linear)}}
        squared = jnp.sum(weight * (loss - columns @ best) ** 2)
        return jnp.clip(law.to_line(fitted, scale), low, high), squared

    return jax.jit(jax.vmap(project, (0, None, None, None, None, None, None)))


def starts(
    law: Law, count: int, seed: int, inputs: Any, loss: np.ndarray, weight: np.ndarray, scale: Any, low: Any, high: Any
) -> np.ndarray:
    """Random starts [count, parameters], uniform in the law's ranges, linear constants projected out."""
    rng = np.random.default_rng(seed)
    edges = np.array([[float(p.to_line(value)) for value in p.start] for p in law.parameters])
    theta = edges[:, 0] + (edges[:, 1] - edges[:, 0]) * rng.random((count, len(law.parameters)))
    if law.columns is None:
        return np.clip(theta, low, high)
    return np.asarray(projector(law)(theta, inputs, loss, weight, scale, low, high)[0])
