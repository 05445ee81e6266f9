"""A decoder-only transformer in flax.nnx, sealed: `build(config)` gives two pure functions, no module leaves this file.

Shapes in names: B sequences, S positions, H heads, K head width, D model width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from jaxlaws.model.shape import ModelConfig

Params = Any


class Model(NamedTuple):
    """A transformer as pure functions: `init(key) -> params`, `apply(params, tokens_BxS) -> logits_BxSxV` float32."""

    init: Callable
    apply: Callable[[Params, jax.Array], jax.Array]
    loss: Callable


def build(config: ModelConfig, compute=None) -> Model:
    """The model of a config; equal configs share one `Model`, so what is compiled for one serves the other."""
    fields = config.check().__dict__
    return _build(tuple(sorted(fields.items())))


@lru_cache(maxsize=64)
def _build(fields: tuple[tuple[str, Any], ...]) -> Model:
    config = ModelConfig(**dict(fields))
    graph = nnx.split(nnx.eval_shape(lambda: _Transformer(config, nnx.Rngs(0))))[0]

    @jax.jit
    def init(key: jax.Array, scale=1.0) -> Params:
        return nnx.state(_Transformer(config, nnx.Rngs(key)))

    def apply(params: Params, tokens_BxS: jax.Array) -> jax.Array:
        return nnx.merge(graph, params)(tokens_BxS)

    def loss(params, tokens, eos=None):
        import optax

        logits = apply(params, tokens[:, :-1])
        v = optax.softmax_cross_entropy_with_integer_labels(logits, tokens[:, 1:]).mean()
        return v, v

    return Model(init, apply, loss)


def _normal(std: float):
    return nnx.initializers.normal(std)


class _Transformer(nnx.Module):
    def __init__(self, c: ModelConfig, rngs: nnx.Rngs):
        self.dtype = jnp.dtype(c.dtype)
        self.embed = nnx.Embed(c.vocab, c.width, embedding_init=_normal(0.02), dtype=self.dtype, rngs=rngs)
        self.layers = nnx.List([_Layer(c, rngs) for _ in range(c.depth)])
        self.norm = nnx.RMSNorm(c.width, dtype=self.dtype, rngs=rngs)
        self.head = _linear(c, c.width, c.vocab, 0.02, rngs)

    def __call__(self, tokens_BxS: jax.Array) -> jax.Array:
        x_BxSxD = self.embed(tokens_BxS)
        for layer in self.layers:
            x_BxSxD = layer(x_BxSxD)
        return self.head(self.norm(x_BxSxD)).astype(jnp.float32)


class _Layer(nnx.Module):
    def __init__(self, c: ModelConfig, rngs: nnx.Rngs):
        self.heads, self.rope_base = c.heads, c.rope_base
        # Both products that write to the residual stream start smaller, so that its variance does not grow with depth.
        fan_in, residual = c.width**-0.5, (2 * c.depth) ** -0.5
        norm = partial(nnx.RMSNorm, c.width, dtype=jnp.dtype(c.dtype), rngs=rngs)
        self.norm_attention, self.norm_mlp = norm(), norm()
        self.qkv = _linear(c, c.width, 3 * c.width, fan_in, rngs)
        self.out = _linear(c, c.width, c.width, fan_in * residual, rngs)
        self.gate_up = _linear(c, c.width, 2 * c.mlp_width, fan_in, rngs)
        self.down = _linear(c, c.mlp_width, c.width, c.mlp_width**-0.5 * residual, rngs)

    def __call__(self, x_BxSxD: jax.Array) -> jax.Array:
        B, S, D = x_BxSxD.shape
        qkv = self.qkv(self.norm_attention(x_BxSxD)).reshape(B, S, 3, self.heads, D // self.heads)
        q_BxSxHxK, k_BxSxHxK = rope(qkv[:, :, 0], self.rope_base), rope(qkv[:, :, 1], self.rope_base)
        mixed = jax.nn.dot_product_attention(q_BxSxHxK, k_BxSxHxK, qkv[:, :, 2], is_causal=True)
        x_BxSxD += self.out(mixed.reshape(B, S, D))
        gate, up = jnp.split(self.gate_up(self.norm_mlp(x_BxSxD)), 2, axis=-1)
        return x_BxSxD + self.down(jax.nn.silu(gate) * up)


def _linear(c: ModelConfig, inputs: int, outputs: int, std: float, rngs: nnx.Rngs) -> nnx.Linear:
    return nnx.Linear(inputs, outputs, use_bias=False, kernel_init=_normal(std), dtype=jnp.dtype(c.dtype), rngs=rngs)


def rope(x_BxSxHxK: jax.Array, base: float) -> jax.Array:
    """Rotary positions: pairs (x_i, x_{i+K/2}) turn by position · base^(−2i/K). Su et al. 2021, arXiv 2104.09864."""
    S, half = x_BxSxHxK.shape[1], x_BxSxHxK.shape[3] // 2
    angle_SxK = jnp.arange(S)[:, None] * base ** (-jnp.arange(half) / half)[None, :]
    cos, sin = jnp.cos(angle_SxK)[None, :, None, :], jnp.sin(angle_SxK)[None, :, None, :]
    first, second = jnp.split(x_BxSxHxK.astype(jnp.float32), 2, axis=-1)
    turned = jnp.concatenate([first * cos - second * sin, first * sin + second * cos], axis=-1)
    return turned.astype(x_BxSxHxK.dtype)
