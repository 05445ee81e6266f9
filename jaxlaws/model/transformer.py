"""A decoder-only transformer in flax.nnx, sealed: `build(config)` gives pure functions, no module leaves this file.

Shapes in names: B sequences, S positions, H heads, K head width, D model width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from jaxlaws.errors import BadInput
from jaxlaws.model import loss as losses
from jaxlaws.model.compute import ComputeConfig
from jaxlaws.model.parameterisation import FAMILIES, GROUPS, PARAMETERISATIONS, multiplier
from jaxlaws.model.shape import ARCHITECTURES, ModelConfig

Params = Any


class Scales(NamedTuple):
    """Trees like the parameters: what the parameterisation multiplies the LR and the weight decay by."""

    lr: Any
    decay: Any


class Model(NamedTuple):
    """A transformer as pure functions.

    Attributes:
      init: (key, scale = 1) → params, float32; `scale` multiplies every initial matrix, embedding and head included.
      apply: (params, tokens_BxS, segments_BxS = None) → logits_BxSxV float32; no attention between segments.
      loss: (params, tokens_BxS+1, eos = None) → (cross-entropy in nats a token, objective that is differentiated). With
        `eos` attention stays inside documents and the first token of the next document is not counted.
      groups: a tree like params of names of `GROUPS`.
      scales: family of optimisers (`FAMILIES`) → `Scales`.
    """

    init: Callable[..., Params]
    apply: Callable[..., jax.Array]
    loss: Callable[..., tuple[jax.Array, jax.Array]]
    groups: Any
    scales: dict[str, Scales]


def build(config: ModelConfig, compute: ComputeConfig | None = None) -> Model:
    """The model of a config; equal arguments share one `Model`, so what is compiled for one serves the other.

    Raises:
      BadInput: no such model, or not computable so.
    """
    return _build(tuple(sorted(vars(config.check()).items())), (compute or ComputeConfig()).check())


@lru_cache(maxsize=64)
def _build(fields: tuple[tuple[str, Any], ...], compute: ComputeConfig) -> Model:
    config = ModelConfig(**dict(fields))
    return ARCHITECTURES[config.architecture].build(config, compute)


def transformer(config: ModelConfig, compute: ComputeConfig) -> Model:
    """The transformer of a config, without what `build` checks and shares."""
    rule = PARAMETERISATIONS[config.parameterisation]
    ratio = config.width / config.base_width
    attend = _attention(config, compute)
    graph, shapes = nnx.split(nnx.eval_shape(lambda: _Transformer(config, nnx.Rngs(0))))
    groups = jax.tree_util.tree_map_with_path(lambda path, _: _group(path), shapes)

    @jax.jit
    def init(key: jax.Array, scale: jax.Array | float = 1.0) -> Params:
        params = nnx.state(_Transformer(config, nnx.Rngs(key)))
        return jax.tree.map(lambda x, group: x if group == "vector" else x * scale, params, groups)

    def head(params: Params, tokens_BxS: jax.Array, segments_BxS: jax.Array | None) -> jax.Array:
        return nnx.merge(graph, params)(tokens_BxS, partial(_layers, compute, attend, segments_BxS))

    def finish(raw: jax.Array) -> jax.Array:
        logits = raw.astype(jnp.float32) * ratio**rule.logits
        return logits if config.softcap is None else config.softcap * jnp.tanh(logits / config.softcap)

    def apply(params: Params, tokens_BxS: jax.Array, segments_BxS: jax.Array | None = None) -> jax.Array:
        return finish(head(params, tokens_BxS, segments_BxS))

    def loss(params: Params, tokens_BxS1: jax.Array, eos: int | None = None) -> tuple[jax.Array, jax.Array]:
        inputs, labels = tokens_BxS1[:, :-1], tokens_BxS1[:, 1:]
        documents = None if eos is None else losses.segments(inputs, eos)
        counts = None if eos is None else inputs != eos
        entropy, square = losses.loss(head(params, inputs, documents), finish, labels, counts)
        return entropy, entropy + config.z_loss * square if config.z_loss else entropy

    return Model(init, apply, loss, groups, scales_of(groups, config))


def scales_of(groups: Any, config: ModelConfig) -> dict[str, Scales]:
    """Family of optimisers → what the parameterisation of a config multiplies each parameter's LR and decay by.

    Args:
      groups: a tree like the parameters of names of `GROUPS`.
      config: of the model.
    """
    rule, ratio = PARAMETERISATIONS[config.parameterisation], config.width / config.base_width

    def tree(exponents: tuple[float | None, ...]) -> Any:
        values = {group: multiplier(exponent, ratio) for group, exponent in zip(GROUPS, exponents, strict=True)}
        return jax.tree.map(values.__getitem__, groups)

    return {family: Scales(tree(rule.lr[family]), tree(rule.decay[family])) for family in FAMILIES}


def _group(path: tuple) -> str:
    names = {str(getattr(key, "key", "")) for key in path}
    for name, group in (("embed", "embedding"), ("head", "head"), ("kernel", "matrix")):
        if name in names:
            return group
    return "vector"


def check_attention(c: ModelConfig, compute: ComputeConfig) -> bool:
    """Whether flash attention can be used; raises `BadInput` where it is asked for and cannot be."""
    fits = jax.default_backend() == "gpu" and c.dtype == "bfloat16" and c.head_width % 8 == 0 and c.head_width <= 128
    if compute.attention == "cudnn" and not fits:
        raise BadInput(
            f"engine.attention=cudnn needs a GPU, model.dtype=bfloat16 and heads of at most 128, a multiple of 8, got "
            f"{jax.default_backend()}, {c.dtype} and heads of {c.head_width}: set engine.attention=auto."
        )
    return fits


def _attention(c: ModelConfig, compute: ComputeConfig) -> Callable:
    """Causal attention, (q, k, v, whether each position sees each other or None) → mixed values."""
    fits = check_attention(c, compute)
    scale: float = c.head_width ** PARAMETERISATIONS[c.parameterisation].attention

    def attend(q_BxSxHxK: jax.Array, k_BxSxHxK: jax.Array, v_BxSxHxK: jax.Array, sees: jax.Array | None) -> jax.Array:
        flash = fits and sees is None and compute.attention != "xla"
        how: Literal["cudnn", "xla"] = "cudnn" if flash else "xla"
        return jax.nn.dot_product_attention(
            q_BxSxHxK, k_BxSxHxK, v_BxSxHxK, mask=sees, scale=scale, is_causal=True, implementation=how
        )

    return attend


def _layers(
    compute: ComputeConfig, attend: Callable, segments_BxS: jax.Array | None, layers: Any, x_BxSxD: jax.Array
) -> jax.Array:
    """All layers one after another, as the compute config says."""
    sees = None if segments_BxS is None else segments_BxS[:, None, :, None] == segments_BxS[:, None, None, :]
    graph = nnx.split(layers[0])[0]

    def layer(x_BxSxD: jax.Array, params: Params) -> tuple[jax.Array, None]:
        return nnx.merge(graph, params)(x_BxSxD, partial(attend, sees=sees)), None

    scanned = compute.scans(len(layers))
    if compute.remat != "none":
        policy = jax.checkpoint_policies.dots_with_no_batch_dims_saveable if compute.remat == "dots" else None
        layer = jax.checkpoint(layer, policy=policy, prevent_cse=not scanned)
    states = [nnx.state(one) for one in layers]
    if scanned:
        return jax.lax.scan(layer, x_BxSxD, jax.tree.map(lambda *leaves: jnp.stack(leaves), *states))[0]
    for params in states:
        x_BxSxD, _ = layer(x_BxSxD, params)
    return x_BxSxD


class _Transformer(nnx.Module):
    def __init__(self, c: ModelConfig, rngs: nnx.Rngs):
        dtype = jnp.dtype(c.dtype)
        std = dict(zip(GROUPS, _stds(c), strict=True))
        self.embed = nnx.Embed(c.vocab, c.width, embedding_init=_normal(std["embedding"]), dtype=dtype, rngs=rngs)
        self.layers = nnx.List([_Layer(c, std["matrix"], rngs) for _ in range(c.depth)])
        self.norm = _norm(c, c.width, rngs)
        self.head = None if c.tied else _linear(c, c.width, c.vocab, std["head"], rngs)

    def __call__(self, tokens_BxS: jax.Array, run: Callable) -> jax.Array:
        x_BxSxD = self.norm(run(self.layers, self.embed(tokens_BxS)))
        return self.embed.attend(x_BxSxD) if self.head is None else self.head(x_BxSxD)


class _Layer(nnx.Module):
    def __init__(self, c: ModelConfig, matrix: float, rngs: nnx.Rngs):
        self.c = c
        # Both products that write to the residual stream start smaller, so that its variance does not grow with depth.
        fan_in, residual = matrix * c.width**-0.5, (2 * c.depth) ** -0.5
        self.norm_attention, self.norm_mlp = _norm(c, c.width, rngs), _norm(c, c.width, rngs)
        self.qkv = _linear(c, c.width, c.width + 2 * c.kv_width, fan_in, rngs)
        self.out = _linear(c, c.width, c.width, fan_in * residual, rngs)
        if c.mlp == "swiglu":
            self.gate_up = _linear(c, c.width, 2 * c.mlp_width, fan_in, rngs)
        else:
            self.up = _linear(c, c.width, c.mlp_width, fan_in, rngs)
        self.down = _linear(c, c.mlp_width, c.width, matrix * c.mlp_width**-0.5 * residual, rngs)
        if c.qk_norm:
            self.norm_q, self.norm_k = _norm(c, c.head_width, rngs), _norm(c, c.head_width, rngs)

    def __call__(self, x_BxSxD: jax.Array, attend: Callable) -> jax.Array:
        c, (B, S, D) = self.c, x_BxSxD.shape
        qkv = self.qkv(self.norm_attention(x_BxSxD)).reshape(B, S, -1, c.head_width)
        q_BxSxHxK, k_BxSxHxK, v_BxSxHxK = jnp.split(qkv, [c.heads, c.heads + (c.kv_heads or c.heads)], axis=2)
        if c.qk_norm:
            q_BxSxHxK, k_BxSxHxK = self.norm_q(q_BxSxHxK), self.norm_k(k_BxSxHxK)
        mixed = attend(rope(q_BxSxHxK, c.rope_base), rope(k_BxSxHxK, c.rope_base), v_BxSxHxK)
        x_BxSxD += self.out(mixed.reshape(B, S, D))
        return x_BxSxD + self.down(self.hidden(self.norm_mlp(x_BxSxD)))

    def hidden(self, x_BxSxD: jax.Array) -> jax.Array:
        if self.c.mlp == "gelu":
            return jax.nn.gelu(self.up(x_BxSxD))
        gate, up = jnp.split(self.gate_up(x_BxSxD), 2, axis=-1)
        return jax.nn.silu(gate) * up


def _stds(c: ModelConfig) -> list[float]:
    """Of embedding, matrix (times fan_in^-1/2), head and vector."""
    widths = PARAMETERISATIONS[c.parameterisation].init
    return [
        base * multiplier(x, c.width / c.base_width) for base, x in zip((0.02, 1.0, 0.02, 0.0), widths, strict=True)
    ]


def _norm(c: ModelConfig, width: int, rngs: nnx.Rngs) -> nnx.Module:
    if c.norm == "layernorm":
        return nnx.LayerNorm(width, use_bias=False, dtype=jnp.dtype(c.dtype), rngs=rngs)
    return nnx.RMSNorm(width, dtype=jnp.dtype(c.dtype), rngs=rngs)


def _normal(std: float):
    return nnx.initializers.normal(std)


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
