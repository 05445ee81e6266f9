"""The Step Law table: peak LR × batch grids in (N, D) cells (Li et al. 2025, arXiv 2503.04715)."""

from __future__ import annotations

from dataclasses import replace
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
    """The runs of `dense_lr_bs_loss.csv` or `moe_lr_bs_loss.csv`, one row a run, without curves.

    N (`N`) counts no embeddings. Of routed models it counts every expert, and `params_mean` (`Na`) the parameters that
    are activated: runs that differ in them share no cell, and a law that does not read them asks about them
    (`load_active` takes them as N). The batch (`bs`) is in sequences, of 2048 tokens unless `seq_len` says otherwise;
    the loss is the smoothed one (`smooth loss`). Every schedule is a warm-up of 2,000 steps, then a cosine to 1e-5. A
    run of fewer than 2,000 steps ends inside the warm-up: its `peak_lr` is the LR it was asked for, its `final_lr` the
    largest LR it reached, and `Runs.warnings` counts such runs. LR labels are kept as published, in two roundings.
    """
    columns = read_csv(path, "step_law", ()).columns
    runs = _read(path, [name for name in ("Na", "seq_len") if name in columns])
    if "params_mean" not in runs.table:
        return runs
    note = f"{path.name} has activated parameters (Na) too: they are params_mean, and N with --format step_law_active."
    return replace(runs, notes=(note,))


def load_active(path: Path) -> Runs:
    """The routed models of `moe_lr_bs_loss.csv`, whose N are the activated parameters."""
    runs = _read(path, ["Na", "seq_len"])
    total = runs.table["params_nonembedding"]
    note = f"N is the activated parameters (Na); with every expert they are {total.min():.4g} to {total.max():.4g}."
    table = runs.table.assign(params_nonembedding=runs.table["params_mean"]).drop(columns="params_mean")
    return replace(runs, table=table, notes=(note,))


def _read(path: Path, more: list[str]) -> Runs:
    raw = read_csv(path, "step_law", ("lr", "bs", "smooth loss", "D", "N", *more), (*_SHAPE, "ti"), ("exp_name",))
    seq_len = raw["seq_len"].to_numpy(float) if "seq_len" in more else np.full(len(raw), float(SEQ_LEN))
    steps = raw["ti"].to_numpy(int)
    peak = raw["lr"].to_numpy(float)
    shape = zip(*(raw[name] for name in _SHAPE), strict=True)
    table = pd.DataFrame(
        {
            "model": [f"h{h}_ffn{ffn}_heads{heads}_layers{layers}" for h, ffn, heads, layers in shape],
            "params_nonembedding": raw["N"].to_numpy(float),
            **({"params_mean": raw["Na"].to_numpy(float)} if "Na" in more else {}),
            "tokens": raw["D"].to_numpy(float),
            "steps": steps,
            "seq_len": seq_len,
            "batch_tokens": raw["bs"].to_numpy(float) * seq_len,
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
