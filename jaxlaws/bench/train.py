"""Training steps against a bare JAX loop over the same model, and the time from a cold start to the first step."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxlaws.bench import Row, median_seconds, utilisation
from jaxlaws.config import EvalConfig, RunConfig
from jaxlaws.data.config import DataConfig
from jaxlaws.data.tokens import open_data
from jaxlaws.model.shape import ModelConfig, count_params, flops_per_token
from jaxlaws.model.transformer import build
from jaxlaws.training.lane import Lane, Watch
from jaxlaws.training.program import program
from jaxlaws.training.run import train_lanes

_SHAPES = {
    "25k": ModelConfig(width=32, depth=2, heads=2, mlp_width=88),
    "1m": ModelConfig(width=128, depth=5, heads=8, mlp_width=352),
    "10m": ModelConfig(width=384, depth=6, heads=6, mlp_width=960),
}
_STEPS = {"25k": 320, "1m": 64, "10m": 16}


def rows(repeats: int = 5) -> list[Row]:
    """One row a model size, each step of ours against a step of the bare loop, then the cold start.

    On an accelerator also how much of its peak larger models use (`jaxlaws.bench.utilisation`).
    """
    table = [*(_steps(name, repeats) for name in _SHAPES), _cold(repeats)]
    return table if jax.default_backend() == "cpu" else table + utilisation.rows(repeats)


def _steps(name: str, repeats: int) -> Row:
    """Times both loops in turn, so that other work of the machine slows both alike."""
    steps = _STEPS[name]
    run = RunConfig(
        model=_SHAPES[name],
        data=DataConfig(seq_len=128),
        eval=EvalConfig(points=1, sequences=1),
        steps=steps,
        batch_sequences=4,
    )
    data = open_data(run.data)
    lane = Lane(run)
    train_step = program(run, data, "map")
    records: list[dict[str, Any]] = []
    watch = Watch(end=lambda lane, record: records.append(record))
    ours = partial(train_lanes, train_step, data, [lane], 1, watch)
    bare, losses = _bare_loop(lane, data)
    ours()
    bare()
    seconds: dict[str, list[float]] = {"ours": [], "bare": []}
    for _ in range(repeats):
        for side, work in (("ours", ours), ("bare", bare)):
            began = time.perf_counter()
            work()
            seconds[side].append((time.perf_counter() - began) / steps)
    mine, other = float(np.median(seconds["ours"])), float(np.median(seconds["bare"]))
    flops = flops_per_token(run.model, run.data.seq_len)[1] * lane.batch_tokens / mine
    tail = float(np.mean(losses[-max(1, steps // 10) :]))
    return Row(
        f"a step of {name} ({count_params(run.model)[0]:,} parameters without embeddings), {steps} of them",
        mine,
        other,
        "bare JAX loop over the same model, one jitted AdamW step at a time",
        f"{lane.batch_tokens / mine:,.0f} tokens/s, {flops / 1e9:.1f} GFLOP/s; training loss at the end "
        f"{records[-1]['train_loss_nats']:.5f}, bare {tail:.5f}",
    )


def _cold(repeats: int) -> Row:
    """Times a process from its start to the end of a run of one step, with empty caches."""
    command = [sys.executable, "-m", "jaxlaws", "train", "steps=1", "tokens=null", "eval.sequences=1"]

    def start() -> None:
        with tempfile.TemporaryDirectory() as folder:
            environment = {**os.environ, "JAXLAWS_CACHE": folder, "JAX_ENABLE_COMPILATION_CACHE": "false"}
            subprocess.run([*command, f"out={folder}/runs"], check=True, capture_output=True, env=environment)

    imports, _ = median_seconds(
        lambda: subprocess.run([sys.executable, "-c", "import jax, flax.nnx, optax, hydra"], check=True), repeats
    )
    ours, _ = median_seconds(start, repeats)
    return Row(
        "jaxlaws train, cold, one step of 25k",
        ours,
        imports,
        "python -c 'import jax, flax.nnx, optax, hydra'",
        "start, imports, config, data, compiling, one step, one validation",
    )


def _bare_loop(lane: Lane, data: Any) -> tuple[Callable[[], None], list[float]]:
    """(a loop over the lane's steps with nothing around them, the losses of its last call)."""
    c, S = lane.run.model, lane.run.data.seq_len
    stream = jax.device_put(data.store)
    picks = data.picks(lane.run.seed, 0, lane.steps, lane.batch)
    tokens = [np.asarray(stream)[rows[:, None] + np.arange(S + 1)].astype(np.int32) for rows in picks]
    start = _plain(build(c).init(jax.random.key(lane.run.seed)))
    h = lane.run.optimizer

    @partial(jax.jit, donate_argnums=(0, 1, 2))
    def step(params, m, v, t, lr, tokens):
        value, slope = jax.value_and_grad(_loss)(params, tokens, c)
        norm = jnp.sqrt(sum(jnp.sum(x * x) for x in jax.tree.leaves(slope)))
        slope = jax.tree.map(lambda g: g * jnp.minimum(1.0, h.clip / norm), slope)
        m = jax.tree.map(lambda m, g: h.beta1 * m + (1 - h.beta1) * g, m, slope)
        v = jax.tree.map(lambda v, g: h.beta2 * v + (1 - h.beta2) * g * g, v, slope)

        def update(p, m, v):
            direction = m / (1 - h.beta1**t) / (jnp.sqrt(v / (1 - h.beta2**t)) + h.eps)
            return p - lr * (direction + (h.weight_decay * p if p.ndim >= 2 else 0.0))

        return jax.tree.map(update, params, m, v), m, v, value

    losses: list[float] = []

    def loop() -> None:
        params = jax.tree.map(jnp.array, start)
        m, v = jax.tree.map(jnp.zeros_like, start), jax.tree.map(jnp.zeros_like, start)
        values = []
        for t, batch in enumerate(tokens):
            params, m, v, value = step(params, m, v, np.float32(t + 1), np.float32(lane.lr[t]), batch)
            values.append(value)
        losses[:] = [float(value) for value in values]

    return loop, losses


def _plain(params: Any) -> dict[str, Any]:
    """Parameters by the path of their names."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return {".".join(str(getattr(k, "key", getattr(k, "name", ""))) for k in path): leaf for path, leaf in leaves}


def _loss(params: dict[str, Any], tokens: jax.Array, c: ModelConfig) -> jax.Array:
    """The default transformer written out: RMSNorm, RoPE, causal attention, SwiGLU, untied head."""
    inputs, targets = tokens[:, :-1], tokens[:, 1:]
    B, S = inputs.shape
    K = c.width // c.heads

    def norm(x, scale):
        return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + 1e-6) * scale[None, None]

    angle = jnp.arange(S)[:, None] * c.rope_base ** (-jnp.arange(K // 2) / (K // 2))[None]
    cos, sin = jnp.cos(angle)[None, :, None], jnp.sin(angle)[None, :, None]

    def rope(x):
        a, b = jnp.split(x, 2, axis=-1)
        return jnp.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1)

    x = params["embed.embedding.value"][inputs]
    mask = jnp.tril(jnp.ones((S, S), bool))[None, None]
    for i in range(c.depth):
        p = {name.split(".", 2)[2]: leaf for name, leaf in params.items() if name.startswith(f"layers.{i}.")}
        qkv = (norm(x, p["norm_attention.scale.value"]) @ p["qkv.kernel.value"]).reshape(B, S, 3, c.heads, K)
        scores = jnp.einsum("bqhk,bshk->bhqs", rope(qkv[:, :, 0]), rope(qkv[:, :, 1])) * K**-0.5
        weights = jax.nn.softmax(jnp.where(mask, scores, -jnp.inf), axis=-1)
        attention = jnp.einsum("bhqs,bshk->bqhk", weights, qkv[:, :, 2]).reshape(B, S, c.width)
        x = x + attention @ p["out.kernel.value"]
        gate, up = jnp.split(norm(x, p["norm_mlp.scale.value"]) @ p["gate_up.kernel.value"], 2, axis=-1)
        x = x + (jax.nn.silu(gate) * up) @ p["down.kernel.value"]
    logits = jax.nn.log_softmax(norm(x, params["norm.scale.value"]) @ params["head.kernel.value"])
    return -jnp.take_along_axis(logits, targets[..., None], axis=-1).mean()
