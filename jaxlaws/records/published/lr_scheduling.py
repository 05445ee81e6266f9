"""WSD runs over peak LR × cooldown × horizon, with their curves (Schaipp et al. 2025, arXiv 2501.18965)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from jaxlaws.errors import BadInput
from jaxlaws.records.published.read import read_csv
from jaxlaws.records.table import MAX_STEPS, Curve, Runs

#: The first LR of the warm-up over the peak, as the logged LRs show.
WARMUP_FROM = 0.01

_NUMBERS = ("params", "cooldown_fraction", "peak_lr", "weight_decay", "beta1", "beta2", "grad_clip", "final_val_loss")
_WHOLE = ("steps", "warmup_steps", "batch_size", "acc_steps", "sequence_length")
_WORDS = ("run_id", "dataset", "cooldown")


def load(path: Path) -> Runs:
    """The runs of a folder with `runs.csv` and `curves.csv`; a curve is the logged `val_loss` of its run.

    `val_loss_nats` is `final_val_loss`, measured after the last step on more data than the curve: it lies
    ≈ .035 above a curve whose own last point is 200 steps before the end. So a law that was fitted to curves predicts
    it with one constant added for all runs, and a law that is fitted to `load_final` needs none. A cooldown run
    logs its own end only; the trunk before it is another run (LR .002 has none). LR arrays are rebuilt from `runs.csv`.
    """
    raw = _read(path)
    rows = read_csv(path / "curves.csv", "lr_scheduling", ("lr", "val_loss"), ("step",), ("run_id",))
    rows = rows[rows["val_loss"].notna() & (rows["step"] > 0)]
    unknown = set(rows["run_id"]) - set(raw.index)
    if unknown:
        raise BadInput(f"{path}/curves.csv has the run '{min(unknown)}', which runs.csv does not have.")
    curves = {
        str(run_id): _curve(raw.loc[str(run_id)], part["step"].to_numpy(int) - 1, part["val_loss"].to_numpy(float))
        for run_id, part in rows.groupby("run_id", sort=False)
    }
    return Runs(_table(raw), curves, source=path.name)


def load_final(path: Path) -> Runs:
    """The same runs, each with a curve of one point: `final_val_loss` after the last step."""
    raw = _read(path)
    curves = {
        str(run_id): _curve(row, np.array([row["steps"] - 1]), np.array([row["final_val_loss"]]))
        for run_id, row in raw.iterrows()
    }
    return Runs(_table(raw), curves, source=path.name)


def schedule(peak_lr: float, steps: int, cooldown_fraction: float, warmup_steps: int = 300) -> np.ndarray:
    """lr[steps]: linear from .01·peak at step 0 to the peak at `warmup_steps`, flat to T(1−f), linear to 0 at T.

    Step T itself is never taken, so the last LR is peak/(f·T).
    """
    step = np.arange(steps)
    start = round(steps * (1 - cooldown_fraction))
    warm = WARMUP_FROM + (1 - WARMUP_FROM) * step / warmup_steps
    cool = (steps - step) / max(steps - start, 1)
    return peak_lr * np.minimum(np.minimum(warm, 1.0), np.where(step < start, 1.0, cool))


def _read(path: Path) -> pd.DataFrame:
    if not path.is_dir():
        raise BadInput(f"{path} is a file, the format lr_scheduling is a folder with runs.csv and curves.csv.")
    for name in ("runs.csv", "curves.csv"):
        if not (path / name).exists():
            raise BadInput(f"{path} has no {name}, expected a folder with runs.csv and curves.csv.")
    raw = read_csv(path / "runs.csv", "lr_scheduling", _NUMBERS, _WHOLE, _WORDS)
    if set(raw["cooldown"]) != {"linear"}:
        raise BadInput(f"{path}/runs.csv has the cooldowns {', '.join(sorted(set(raw['cooldown'])))}, expected linear.")
    if (raw["steps"] > MAX_STEPS).any():
        raise BadInput(
            f"{path}/runs.csv has {raw['steps'].max():.3g} steps in a run, at most {MAX_STEPS:.0e} are read."
        )
    if raw["run_id"].duplicated().any():
        raise BadInput(f"{path}/runs.csv has the run '{raw['run_id'][raw['run_id'].duplicated()].iloc[0]}' twice.")
    return raw.set_index("run_id")


def _table(raw: pd.DataFrame) -> pd.DataFrame:
    sequences = (raw["batch_size"] * raw["acc_steps"]).astype(float)
    cooldown_steps = raw["cooldown_fraction"] * raw["steps"]
    return pd.DataFrame(
        {
            "model": [f"{params / 1e6:.0f}M" for params in raw["params"]],
            "params_total": raw["params"].astype(float),
            "tokens": raw["steps"] * sequences * raw["sequence_length"],
            "steps": raw["steps"],
            "seq_len": raw["sequence_length"],
            "batch_tokens": sequences * raw["sequence_length"],
            "batch_sequences": sequences,
            "peak_lr": raw["peak_lr"],
            "final_lr": raw["peak_lr"] / cooldown_steps.where(cooldown_steps > 0, 1.0),
            "warmup_steps": raw["warmup_steps"],
            "schedule": [f"wsd_linear_{fraction:g}" for fraction in raw["cooldown_fraction"]],
            "cooldown_fraction": raw["cooldown_fraction"],
            "optimizer": "adamw",
            "weight_decay": raw["weight_decay"],
            "beta1": raw["beta1"],
            "beta2": raw["beta2"],
            "clip": raw["grad_clip"].astype(float),
            "corpus": raw["dataset"],
            "val_loss_nats": raw["final_val_loss"],
        }
    )


def _curve(row: Any, at: np.ndarray, loss: np.ndarray) -> Curve:
    lr = schedule(row["peak_lr"], row["steps"], row["cooldown_fraction"], row["warmup_steps"])
    return Curve(lr, at, loss, int(row["warmup_steps"])).check(str(row.name))
