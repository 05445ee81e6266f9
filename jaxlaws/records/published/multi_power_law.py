"""The Multi-Power Law curves: a folder of loss curves of one model (Luo et al. 2025, arXiv 2503.12811)."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from jaxlaws.errors import BadInput
from jaxlaws.records.published.read import read_csv
from jaxlaws.records.table import MAX_STEPS, Curve, Runs

PEAK_LR = 3e-4
FLOOR_LR = 3e-5
WARMUP_STEPS = 2160
#: wsdcon_K: the step of the drop, and how many steps the schedule has.
DROP_STEP, DROP_TOTAL = 8000, 16000

_NAMES = "constant_T, cosine_T, wsd_START_T, wsdld_START_T or wsdcon_K"


def load(path: Path) -> Runs:
    """Every curve `<name>.csv` (`step,lr,loss`) of a folder such as `csv_25`, or one such file; run id = file stem.

    The schedule is rebuilt from the name (`schedule`) and checked against the file's own LR column. The loss at `step`
    has seen the LRs up to and including that step; rows at or past the end of the schedule are dropped.
    """
    files = sorted(path.glob("*.csv")) if path.is_dir() else [path]
    if not files:
        raise BadInput(f"{path} holds no CSV files, expected a folder of curves such as csv_25.")
    size = re.fullmatch(r"csv_(\d+)", files[0].parent.name)
    curves = {file.stem: _curve(file) for file in files}
    table = pd.DataFrame(
        {
            "model": f"{size[1]}M" if size else files[0].parent.name,
            "steps": [len(curve.lr) for curve in curves.values()],
            "peak_lr": [curve.lr.max() for curve in curves.values()],
            "final_lr": [curve.lr[-1] for curve in curves.values()],
            "warmup_steps": WARMUP_STEPS,
            "schedule": list(curves),
            "loss_nats": [curve.loss[-1] for curve in curves.values()],
        },
        index=pd.Index(list(curves), name="run_id"),
    )
    return Runs(table, curves, source=f"{path.name}")


def schedule(name: str) -> np.ndarray:
    """lr[steps] of a published curve: warm-up linspace(0, 3e-4, 2160), then what the name says, at x = 0 … 1 − 1/n.

    `constant_T`; `cosine_T` to 3e-5; `wsd_START_T` geometric and `wsdld_START_T` linear from START to 3e-5 at T;
    `wsdcon_K` constant to step 8,000, then K·1e-5 to step 16,000.

    Raises:
      BadInput: the name is none of these.
    """
    match = re.fullmatch(r"(constant|cosine|wsdcon)_(\d+)|(wsd|wsdld)_(\d+)_(\d+)", name)
    if match is None:
        raise BadInput(
            f"'{name}' names no published schedule, expected {_NAMES}: read other curves as a CSV of curves."
        )
    if match[3]:
        kind, start, total = match[3], int(match[4]), int(match[5])
    else:
        kind, start, total = match[1], WARMUP_STEPS, DROP_TOTAL if match[1] == "wsdcon" else int(match[2])
    if not WARMUP_STEPS <= start < total <= MAX_STEPS:
        raise BadInput(
            f"'{name}' asks for a decay from step {start} to {total}, expected "
            f"{WARMUP_STEPS} ≤ start < end ≤ {MAX_STEPS:.0e}."
        )
    x = np.arange(total - start) / (total - start)
    if kind == "constant":
        tail = np.full(total - start, PEAK_LR)
    elif kind == "cosine":
        tail = FLOOR_LR + 0.5 * (PEAK_LR - FLOOR_LR) * (1 + np.cos(np.pi * x))
    elif kind == "wsd":
        tail = PEAK_LR * (FLOOR_LR / PEAK_LR) ** x
    elif kind == "wsdld":
        tail = PEAK_LR + (FLOOR_LR - PEAK_LR) * x
    else:
        tail = np.where(np.arange(start, total) < DROP_STEP, PEAK_LR, int(match[2]) * 1e-5)
    return np.concatenate([np.linspace(0, PEAK_LR, WARMUP_STEPS), np.full(start - WARMUP_STEPS, PEAK_LR), tail])


def _curve(file: Path) -> Curve:
    raw = read_csv(file, "multi_power_law", ("lr", "loss"), whole=("step",))
    lr = schedule(file.stem)
    raw = raw[raw["step"] < len(lr)]
    curve = Curve(lr, raw["step"].to_numpy(int), raw["loss"].to_numpy(float), WARMUP_STEPS).check(file.stem)
    gap = np.abs(lr[curve.at] - raw["lr"].to_numpy(float))
    if not gap.max() < 0.01 * PEAK_LR:
        worst = int(gap.argmax())
        raise BadInput(
            f"{file} has LR {raw['lr'].iloc[worst]:.3g} at step {curve.at[worst]}, its name says "
            f"{lr[curve.at[worst]]:.3g}: rename it, or read it as a CSV of curves."
        )
    return curve
