"""JAX as law files see it: loaded when a law is evaluated, so that the table of laws loads without it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jax
    import jax.numpy as jnp
else:

    class _Later:
        """A module that is imported at the first access to one of its names."""

        def __init__(self, name: str) -> None:
            self._name = name

        def __getattr__(self, name: str) -> Any:
            return getattr(import_module(self._name), name)

    jax, jnp = _Later("jax"), _Later("jax.numpy")

__all__ = ["jax", "jnp"]
