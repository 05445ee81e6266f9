"""How much of an accelerator's peak a training step uses, and its memory against the estimate of a dry run."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxlaws.bench import Row, median_seconds
from jaxlaws.config import EvalConfig, RunConfig
from jaxlaws.data.config import DataConfig
from jaxlaws.data.tokens import open_data
from jaxlaws.model.shape import ModelConfig, count_params, flops_per_token
from jaxlaws.sweep.cost import run_memory
from jaxlaws.training.lane import Lane, Watch
from jaxlaws.training.program import CHUNK, program
from jaxlaws.training.run import train_lanes

_VOCAB = 50_304
#: Name → (model, sequences of 2048 in a step).
SHAPES = {
    "124m": (ModelConfig(width=768, depth=12, heads=12, mlp_width=2048, vocab=_VOCAB, dtype="bfloat16"), 32),
    "350m": (ModelConfig(width=1024, depth=24, heads=16, mlp_width=2736, vocab=_VOCAB, dtype="bfloat16"), 16),
}


def rows(repeats: int = 5) -> list[Row]:
    """A step of 124M and 350M parameters at sequence 2048 in bfloat16, against the product of two large matrices."""
    peak = matmul_flops(8192, repeats)
    return [row(name, model, batch, 2048, peak) for name, (model, batch) in SHAPES.items()]


def matmul_flops(size: int, repeats: int) -> float:
    """FLOP/s of a size³ product in bfloat16, as measured here."""
    a = jax.random.normal(jax.random.key(0), (size, size), jnp.bfloat16)
    multiply = jax.jit(lambda a: a @ a)
    multiply(a).block_until_ready()
    seconds, _ = median_seconds(lambda: multiply(a).block_until_ready(), repeats)
    return 2 * size**3 / seconds


def row(name: str, model: ModelConfig, batch: int, seq_len: int, peak: float) -> Row:
    """The median step of three chunks beside the same FLOPs at the measured peak: the share of it is the speedup.

    Args:
      name: of the row.
      model: its shape; the tokens are of a small generated language, which costs nothing.
      batch: sequences in a step.
      seq_len: S.
      peak: FLOP/s of a large product.
    """
    run = RunConfig(
        model=model,
        data=DataConfig(source="language", vocab=64, seq_len=seq_len),
        eval=EvalConfig(points=1, sequences=1),
        steps=3 * CHUNK,
        batch_sequences=batch,
    )
    data = open_data(run.data)
    records: list[dict[str, Any]] = []
    watch = Watch(end=lambda lane, record: records.append(record))
    train_lanes(program(run, data, "mesh"), data, [Lane(run)], 1, watch)
    record = records[0]
    floor = flops_per_token(model, seq_len)[1] * batch * seq_len / (peak * jax.device_count())
    memory_bytes = record["peak_memory_bytes"]
    memory = f"peak memory {memory_bytes / 2**30:.1f} GiB" if memory_bytes else "the backend does not tell its memory"
    mfu = f", MFU {record['mfu']:.1%} of the published peak" if record["mfu"] else ""
    return Row(
        f"a step of {name} ({count_params(model)[1]:,} parameters), {batch} sequences of {seq_len}, {model.dtype}",
        record["step_seconds"],
        floor,
        f"its FLOPs at the {peak / 1e12:.3g} TFLOP/s of a large bfloat16 product here",
        f"{record['tokens_per_second']:,.0f} tokens/s{mfu}; {memory}, estimated {run_memory(run) / 2**30:.1f} GiB",
    )
