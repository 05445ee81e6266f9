"""Checksums of a state: numbers that any flipped bit changes, the same on every mesh and number of processes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np


def checksums(leaves: Mapping[str, jax.Array]) -> dict[str, int]:
    """A number in 0 … 2³² − 1 for every leaf.

    Σᵢ m(wᵢ ⊕ m(i)) modulo 2³², where wᵢ is the i-th word of the leaf and m the finaliser of murmur3, a bijection: one
    word that differs always changes the sum, several of them leave it as it was once in 2³². Integers add up alike in
    any order, so every device sums what it holds, and the sums do not depend on how a leaf is laid out.
    """
    sums = {name: _sum(leaf) for name, leaf in leaves.items()}
    return {name: int(value) for name, value in sums.items()}


def sha256(content: bytes) -> str:
    """What is on the host, as a hexadecimal digest."""
    return hashlib.sha256(content).hexdigest()


@jax.jit
def _sum(leaf: jax.Array) -> jax.Array:
    words = _words(leaf)
    place = jnp.zeros(words.shape, jnp.uint32)
    for axis, stride in enumerate(_strides(words.shape)):
        place += jax.lax.broadcasted_iota(jnp.uint32, words.shape, axis) * jnp.uint32(stride)
    return _mixed(words ^ _mixed(place)).sum(dtype=jnp.uint32)


def _words(leaf: jax.Array) -> jax.Array:
    if leaf.dtype == bool:
        return leaf.astype(jnp.uint32)
    size = leaf.dtype.itemsize
    return jax.lax.bitcast_convert_type(leaf, jnp.dtype(f"uint{8 * min(size, 4)}")).astype(jnp.uint32)


def _strides(shape: tuple[int, ...]) -> list[int]:
    return [int(np.prod(shape[axis + 1 :], dtype=object)) % 2**32 for axis in range(len(shape))]


def _mixed(x: jax.Array) -> jax.Array:
    x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35)
    return x ^ (x >> 16)
