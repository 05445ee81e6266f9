"""The Step Law table: peak LR × batch grids in (N, D) cells (Li et al. 2025, arXiv 2503.04715)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from jaxlaws.records.published.read import read_csv
from jaxlaws.records.table import Runs

SEQ_LEN = 2048
WARMUP_STEPS = 2000
FINAL_LR = 1e-5
_SHAPE = ("h", "ffnh", "numh", "numl")


def load(path: Path) -> Runs:
    """The dense runs of `dense_lr_bs_loss.csv`, one row a run, without curves.

    N (`N`) counts no embeddings; the batch (`bs`) is in sequences of 2048 tokens; the loss is the smoothed one
    (`smooth loss`). Every schedule is a warm-up of 2,000 steps, then a cosine to 1e-5. A run of fewer than 2,000 steps
    ends inside the warm-up: its `peak_lr` is the LR it was asked for, its `final_lr` the largest LR it reached,
    and `Runs.warnings` counts such runs. LR labels are kept as published, in two roundings.
    """
    raw = read_csv(path, "step_law", ("lr", "bs", "smooth loss", "D", "N"), (*_SHAPE, "ti"), ("exp_name",))
    steps = raw["ti"].to_numpy(int)
    peak = raw["lr"].to_numpy(float)
    shape = zip(*(raw[name] for name in _SHAPE), strict=True)
    table = pd.DataFrame(
        {
            "model": [f"h{h}_ffn{ffn}_heads{heads}_layers{layers}" for h, ffn, heads, layers in shape],
            "params_nonembedding": raw["N"].to_numpy(float),
            "tokens": raw["D"].to_numpy(float),
            "steps": steps,
            "seq_len": SEQ_LEN,
            "batch_tokens": raw["bs"].to_numpy(float) * SEQ_LEN,
            "batch_sequences": raw["bs"].to_numpy(float),
            "peak_lr": peak,
            "final_lr": np.where(steps < WARMUP_STEPS, peak * steps / WARMUP_STEPS, FINAL_LR),
            "warmup_steps": WARMUP_STEPS,
            "schedule": f"cosine(floor_lr={FINAL_LR}, warmup_steps={WARMUP_STEPS})",
            "optimizer": "adamw",
            "weight_decay": 0.1,
            "beta1": 0.9,
            "beta2": 0.95,
            "clip": 1.0,
            "loss_nats": raw["smooth loss"].to_numpy(float),
        },
        index=pd.Index(raw["exp_name"].to_numpy(str), name="run_id"),
    )
    return Runs(table, source=path.name)
