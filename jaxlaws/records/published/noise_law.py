"""Runs of one regression task under five schedules, with the trace of the gradient noise (Qiu et al. 2025)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from jaxlaws.errors import BadInput
from jaxlaws.records.published.read import read_csv
from jaxlaws.records.reference import TRACE, against_reference
from jaxlaws.records.table import MAX_STEPS, Curve, Runs

#: Schedule → LR over the peak at x of the decay.
SHAPES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "const": np.ones_like,
    "linear": lambda x: 1 - x,
    "cosine": lambda x: 0.5 * (1 + np.cos(np.pi * x)),
    "quadratic": lambda x: 1 - x**2,
    "multicosine": lambda x: 0.5 * (1 + np.cos(3 * np.pi * x)),
}


def load(path: Path) -> Runs:
    """The runs of a folder with `runs.csv` and `curves.csv`, run ids 0, 1, …; no warm-up.

    The loss is the test loss, a squared error; `noise_trace` is the column `Buvar`, the variance over batches of the
    size trained with. LR arrays are rebuilt: step i has the LR of x = i/T, of which `decay_frac` at the end decay, and
    the logged LR is that of the step after.
    """
    if not (path / "runs.csv").exists() or not (path / "curves.csv").exists():
        raise BadInput(f"{path} has no runs.csv and curves.csv, expected a folder with both.")
    table = read_csv(path / "runs.csv", "noise_law", ("lr", "decay_frac"), _WHOLE, ("schedule",)).set_index("run")
    rows = read_csv(path / "curves.csv", "noise_law", ("test_loss", "lr", "Buvar"), ("run", "step"))
    strange = set(rows["run"]) - set(table.index)
    if strange or table.index.has_duplicates:
        raise BadInput(f"{path}/runs.csv has no row, or two, of the run {min(strange, default=table.index[0])}.")
    parts = rows.groupby("run")
    curves = {str(run): _curve(row, parts.get_group(run)) for run, row in table.iterrows() if run in parts.groups}
    table.index = pd.Index([str(run) for run in table.index], name="run_id")
    return Runs(_table(table), curves, source=path.name)


def load_pairs(path: Path) -> Runs:
    """The runs whose LR changes, each against that of constant LR of the same width and length.

    Losses of the first fifth of the steps are left out, and those at an LR sum that the reference did not reach.
    """
    runs = load(path)
    return against_reference(runs, references(runs))


def references(runs: Runs) -> dict[str, str]:
    """Run → the one of constant LR with the same width and length, where there is one."""
    constant = runs.table["schedule"] == "const"
    return {
        str(run): str(group.index[constant[group.index]][0])
        for _, group in runs.table.groupby(["params_total", "steps"])
        if constant[group.index].any()
        for run in group.index[~constant[group.index]]
    }


_WHOLE = ("run", "T", "B", "num_params")


def schedule(name: str, peak: float, steps: int, decay: float) -> np.ndarray:
    """lr[steps] of a schedule of which the share `decay` at the end decays."""
    if name not in SHAPES or not (0 < decay <= 1 and 1 <= steps <= MAX_STEPS):
        raise BadInput(
            f"the schedule '{name}' that decays over {decay:g} of {steps} steps is not of the format noise_law."
        )
    x = np.arange(steps) / steps
    return peak * SHAPES[name](np.clip((x - (1 - decay)) / decay, 0.0, 1.0))


def _curve(row: pd.Series, part: pd.DataFrame) -> Curve:
    lr = schedule(row["schedule"], row["lr"], row["T"] // row["B"], row["decay_frac"])
    at = part["step"].to_numpy() - 1
    curve = Curve(lr, at, part["test_loss"].to_numpy(), 0, {TRACE: part["Buvar"].to_numpy()}).check(str(row.name))
    gap = np.abs(lr[np.minimum(at + 1, len(lr) - 1)] - part["lr"].to_numpy())
    if not gap.max() < 1e-3 * row["lr"]:
        raise BadInput(f"the run {row.name} logs other LRs than its schedule '{row['schedule']}' has.")
    return curve


def _table(raw: pd.DataFrame) -> pd.DataFrame:
    steps = raw["T"] // raw["B"]
    return pd.DataFrame(
        {
            "params_total": raw["num_params"].astype(float),
            "steps": steps,
            "tokens": (steps * raw["B"]).astype(float),
            "batch_tokens": raw["B"].astype(float),
            "peak_lr": raw["lr"],
            "warmup_steps": 0,
            "schedule": raw["schedule"],
            "cooldown_fraction": raw["decay_frac"],
            "optimizer": "adam",
            "weight_decay": 0.0,
        }
    )
