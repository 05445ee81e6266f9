"""WSD runs over peak LR × cooldown × horizon, with their curves (Schaipp et al. 2025, arXiv 2501.18965)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from jaxlaws.errors import BadInput
from jaxlaws.records.published.read import read_csv
from jaxlaws.records.read import read_json
from jaxlaws.records.table import MAX_STEPS, Curve, Runs
from jaxlaws.text import brief

#: The first LR of the warm-up over the peak, as the logged LRs show.
WARMUP_FROM = 0.01

#: LR over the peak at the share x of the decay, by its name in the authors' trainer (epfml/schedules-and-scaling).
DECAYS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "linear": lambda x: 1 - x,
    "sqrt": lambda x: 1 - np.sqrt(x),
    "square": lambda x: 1 - x**2,
    "cosine": lambda x: 0.5 * (1 + np.cos(np.pi * x)),
}
#: Largest difference of a logged LR from that of the schedule, as a share of the peak.
_LR_OFF = 0.01

_NUMBERS = ("params", "cooldown_fraction", "peak_lr", "weight_decay", "beta1", "beta2", "grad_clip", "final_val_loss")
_WHOLE = ("steps", "warmup_steps", "batch_size", "acc_steps", "sequence_length")
_WORDS = ("run_id", "dataset", "cooldown")


class _Log(NamedTuple):
    """A run of either layout: its row, the LR of every step, and the steps before its losses."""

    row: Mapping[str, Any]
    lr: np.ndarray
    at: np.ndarray
    loss: np.ndarray


def load(path: Path) -> Runs:
    """The runs of a folder with `runs.csv` and `curves.csv`, or with the authors' logs, a JSON file each.

    A curve is the logged `val_loss` of its run. `val_loss_nats` is the loss after the last step on more data than the
    curve: it lies ≈ .035 above a curve whose own last point is 200 steps before the end. So a law that was fitted to
    curves predicts it with one constant added for all runs, and a law that is fitted to `load_final` needs none. A
    cooldown run logs its own end only; the trunk before it is another run (LR .002 has none).

    LR arrays are rebuilt. Of a log (fabian-sp/lr-scheduling, `data` and the folders in it) whose schedule is no WSD, or
    whose logged LRs contradict it, they are linear between the logged ones, and before those as in the run that it was
    resumed from; where that is in another folder it is left out, as is a log without a final validation.
    """
    logs, notes = _logs(path)
    curves = {name: _curve(name, log, log.at, log.loss) for name, log in logs.items()}
    return Runs(_table(logs), curves, source=path.name, notes=notes)


def load_final(path: Path) -> Runs:
    """The same runs, each with a curve of one point: the loss after the last step."""
    logs, notes = _logs(path)
    curves = {
        name: _curve(name, log, np.array([len(log.lr) - 1]), np.array([log.row["final_val_loss"]]))
        for name, log in logs.items()
    }
    return Runs(_table(logs), curves, source=path.name, notes=notes)


def schedule(
    peak_lr: float, steps: int, cooldown_fraction: float, warmup_steps: int = 300, decay: str = "linear"
) -> np.ndarray:
    """lr[steps]: linear from .01·peak at step 0 to the peak at `warmup_steps`, flat to T(1−f), a decay to 0 at T.

    Step T itself is never taken, so the last LR of a linear decay is peak/(f·T).
    """
    start = round(steps * (1 - cooldown_fraction))
    cool = DECAYS[decay](np.clip((np.arange(steps) - start) / max(steps - start, 1), 0.0, 1.0))
    return peak_lr * np.minimum(_warmup(steps, warmup_steps), cool)


def _warmup(steps: int, warmup_steps: int) -> np.ndarray:
    """[steps] LR over the peak of a warm-up that is held."""
    return np.minimum(WARMUP_FROM + (1 - WARMUP_FROM) * np.arange(steps) / max(warmup_steps, 1), 1.0)


def _logs(path: Path) -> tuple[dict[str, _Log], tuple[str, ...]]:
    """The runs of a folder of either layout by their ids, and a sentence on those that are left out."""
    if not path.is_dir():
        raise BadInput(f"{path} is a file, the format lr_scheduling is a folder with runs.csv and curves.csv.")
    if not (path / "runs.csv").exists() and (files := sorted(path.glob("*.json"))):
        return _of_json(files)
    return _of_tables(path), ()


def _of_tables(path: Path) -> dict[str, _Log]:
    raw = _read(path)
    rows = read_csv(path / "curves.csv", "lr_scheduling", ("lr", "val_loss"), ("step",), ("run_id",))
    rows = rows[rows["val_loss"].notna() & (rows["step"] > 0)]
    unknown = set(rows["run_id"]) - set(raw.index)
    if unknown:
        raise BadInput(f"{path}/curves.csv has the run '{min(unknown)}', which runs.csv does not have.")
    parts = {str(name): part for name, part in rows.groupby("run_id", sort=False)}
    logs = {}
    for name, values in raw.iterrows():
        row = {str(column): value for column, value in values.items()}
        lr = schedule(row["peak_lr"], row["steps"], row["cooldown_fraction"], row["warmup_steps"])
        part = parts.get(str(name), rows.iloc[:0])
        logs[str(name)] = _Log(row, lr, part["step"].to_numpy(int) - 1, part["val_loss"].to_numpy(float))
    return logs


def _of_json(files: Iterable[Path]) -> tuple[dict[str, _Log], tuple[str, ...]]:
    raw = {file.stem: _json(file) for file in files}
    logs = {}
    for name, (row, history) in raw.items():
        lr = _lr_of(name, raw, ())
        at, loss = _means(history["val"], "val_loss")
        seen = (at > 0) & (at <= row["steps"])
        if lr is not None and seen.any() and np.isfinite(row["final_val_loss"]):
            logs[name] = _Log(row, lr, at[seen] - 1, loss[seen])
    absent = [name for name in raw if name not in logs]
    if not logs:
        raise BadInput(f"{absent[0]}: no log of the folder has its learning rates and its losses.")
    what = "left out, since their logs lack LRs before the first, losses, or the final validation"
    first = f" (first: {absent[0]})" if absent else ""
    return logs, (f"{len(absent)} of {len(raw)} runs are {what}{first}.",) if absent else ()


def _json(file: Path) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """(the row, the history) of a log."""
    raw = read_json(file)
    try:
        config, summary, history = raw["config"], raw["summary"], raw["history"]
        row: dict[str, Any] = {
            "params": float(summary["parameters"]),
            "final_val_loss": float(summary.get("final-val/loss", np.nan)),
            "peak_lr": float(config["lr"]),
            "steps": int(config["iterations"]),
            "cooldown_fraction": float(config["wsd_fract_decay"]) if config["scheduler"] == "wsd" else np.nan,
            "schedule": str(config["scheduler"]),
            "cooldown": str(config.get("decay_type", "linear")),
            "resume_from": str(config.get("resume_from") or ""),
            "dataset": str(config["dataset"]),
        }
        row |= {name: float(config[name]) for name in ("weight_decay", "beta1", "beta2", "grad_clip")}
        row |= {name: int(config[name]) for name in _WHOLE if name != "steps"}
        for kind, column in (("val", "val_loss"), ("train", "train_lr")):
            _means(history[kind], column)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(
            f"{file} is no log of the format lr_scheduling ({type(error).__name__} {brief(error)}): expected config, "
            "summary and history as the authors publish them."
        ) from None
    if not 1 <= row["steps"] <= MAX_STEPS:
        raise BadInput(f"{file} has {row['steps']:.3g} steps, expected 1 to {MAX_STEPS:.0e}.")
    return row, history


def _means(history: Mapping[str, Any], column: str) -> tuple[np.ndarray, np.ndarray]:
    """(iterations, values) of a part of a history, of several values of one iteration their mean."""
    parts = pd.Series(np.array(history[column], float), np.array(history["iter"], int)).dropna()
    means = parts.groupby(level=0).mean()
    return means.index.to_numpy(int), means.to_numpy(float)


def _lr_of(name: str, raw: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]], asked: tuple[str, ...]) -> Any:
    """lr[steps] of a log; None where the LRs before the first logged one are not known."""
    row, history = raw[name]
    steps, (on, logged) = row["steps"], _means(history["train"], "train_lr")
    if row["schedule"] == "wsd" and row["cooldown"] in DECAYS:
        lr = schedule(row["peak_lr"], steps, row["cooldown_fraction"], row["warmup_steps"], row["cooldown"])
        if np.all(np.abs(lr[on[on < steps]] - logged[on < steps]) < _LR_OFF * row["peak_lr"]):
            return lr
    if not len(on):
        return None
    lr = np.interp(np.arange(steps), on, logged)
    checkpoint = Path(row["resume_from"])
    trunk = checkpoint.parent.parent.name
    if on[0] <= row["warmup_steps"]:
        lr[: on[0]] = row["peak_lr"] * _warmup(on[0], row["warmup_steps"])
        return lr
    if not checkpoint.name.isdigit() or trunk not in raw or trunk in (*asked, name):
        return None
    begin = min(int(checkpoint.name), on[0], steps)
    before = _lr_of(trunk, raw, (*asked, name))
    return None if before is None or len(before) < begin else np.concatenate([before[:begin], lr[begin:]])


def _read(path: Path) -> pd.DataFrame:
    for name in ("runs.csv", "curves.csv"):
        if not (path / name).exists():
            raise BadInput(
                f"{path} has no {name}, expected a folder with runs.csv and curves.csv, or with the authors' logs."
            )
    raw = read_csv(path / "runs.csv", "lr_scheduling", _NUMBERS, _WHOLE, _WORDS)
    if set(raw["cooldown"]) != {"linear"}:
        raise BadInput(f"{path}/runs.csv has the cooldowns {', '.join(sorted(set(raw['cooldown'])))}, expected linear.")
    if (raw["steps"] > MAX_STEPS).any():
        raise BadInput(
            f"{path}/runs.csv has {raw['steps'].max():.3g} steps in a run, at most {MAX_STEPS:.0e} are read."
        )
    if raw["run_id"].duplicated().any():
        raise BadInput(f"{path}/runs.csv has the run '{raw['run_id'][raw['run_id'].duplicated()].iloc[0]}' twice.")
    return raw.assign(schedule="wsd").set_index("run_id")


def _table(logs: Mapping[str, _Log]) -> pd.DataFrame:
    raw = pd.DataFrame([dict(log.row) for log in logs.values()], index=pd.Index(list(logs), name="run_id"))
    sequences = (raw["batch_size"] * raw["acc_steps"]).astype(float)
    words = zip(raw["schedule"], raw["cooldown"], raw["cooldown_fraction"], strict=True)
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
            "final_lr": [log.lr[-1] for log in logs.values()],
            "warmup_steps": raw["warmup_steps"],
            "schedule": [f"{name}_{decay}_{share:g}" if share == share else name for name, decay, share in words],
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


def _curve(name: str, log: _Log, at: np.ndarray, loss: np.ndarray) -> Curve:
    return Curve(log.lr, at, loss, int(log.row["warmup_steps"])).check(name)
