"""The loss of a law over model, tokens and batch with its derivatives, for every row of constants of a fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxlaws.laws.law import Law

#: Points that one call computes: a search of any shape compiles one small program.
_CHUNK = 512


class Surface:
    """ln N, ln D and ln B, [..., rows] each → the loss and its derivatives in them.

    D over B are the steps. The batch is that of the setting where none is given; a law without one has no derivative
    in it.
    """

    def __init__(self, law: Law, names: tuple[str, ...], rows: np.ndarray, setting: Mapping[str, Any]) -> None:
        """Args: law, names of its constants, [rows, names] their values, and the other inputs of the law."""
        self.rows = rows
        self._batch = np.log(setting["B"]) if "B" in setting else None
        self._setting = {name: value for name, value in setting.items() if name != "B"}
        self._program = _program(law, names, ("N", "D") if self._batch is None else ("N", "D", "B"))

    def __call__(self, log_n: Any, log_d: Any, log_batch: Any = None) -> tuple[np.ndarray, ...]:
        """The loss and its derivatives in ln N, ln D and, where the law reads it, ln B: [..., rows] each."""
        batch = () if self._batch is None else (self._batch if log_batch is None else log_batch,)
        logs = np.broadcast_arrays(log_n, log_d, *batch, np.empty(len(self.rows)))[:-1]
        flat = [part.reshape(-1) for part in logs]
        count = len(flat[0])
        out = np.empty((count, 1 + len(logs)))
        with jax.enable_x64(True):
            for start in range(0, count, _CHUNK):
                points = np.minimum(np.arange(start, start + _CHUNK), count - 1)
                at = np.stack([part[points] for part in flat], -1)
                values = self._program(at, self.rows[points % len(self.rows)], self._setting)
                out[start : start + _CHUNK] = np.asarray(values)[: count - start]
        return tuple(out[:, i].reshape(logs[0].shape) for i in range(1 + len(logs)))

    def loss(self, log_n: Any, log_d: Any, log_batch: Any = None) -> np.ndarray:
        """[..., rows] the loss."""
        return self(log_n, log_d, log_batch)[0]


@lru_cache(maxsize=64)
def _program(law: Law, names: tuple[str, ...], sizes: tuple[str, ...]) -> Callable[..., Any]:
    """(logs [points, sizes], constants [points, names], setting) → [points, 1 + sizes] the loss and its derivatives."""

    def loss(logs, row, setting):
        at = dict(zip(sizes, jnp.exp(logs), strict=True))
        at["steps"] = at["D"] / at.get("B", 1.0)
        inputs = {**setting, **{name: value for name, value in at.items() if name in law.inputs}}
        return law.predict(dict(zip(names, row, strict=True)), inputs)

    def values(logs, row, setting):
        value, along = jax.linearize(lambda at: loss(at, row, setting), logs)
        return jnp.append(value, jax.vmap(along)(jnp.eye(len(sizes))))

    return jax.jit(jax.vmap(values, in_axes=(0, 0, None)))
