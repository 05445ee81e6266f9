"""What several tests begin with: the smallest run there is, and schedules that identify a law."""

from __future__ import annotations

import numpy as np

from jaxlaws.config import EvalConfig, RunConfig
from jaxlaws.data.config import DataConfig
from jaxlaws.model.shape import ModelConfig

RUN = RunConfig(
    model=ModelConfig(width=16, depth=1, heads=2, mlp_width=24, vocab=16),
    data=DataConfig(source="language", vocab=16, seq_len=16),
    eval=EvalConfig(points=2, sequences=32),
    steps=20,
    batch_sequences=4,
)


def schedules(steps=3000, warmup=150, peak=3e-3):
    """Name → [steps] LR."""
    x = np.maximum(np.arange(steps) - warmup, 0) / (steps - warmup)
    warm = peak * np.minimum((np.arange(steps) + 1) / warmup, 1)
    return {
        "cosine": warm * (0.55 + 0.45 * np.cos(np.pi * x)),
        "constant": warm,
        "drop": warm * np.where(x < 0.5, 1, 0.3),
        "wsd": warm * np.minimum(1, (1 - x) / 0.3),
    }
