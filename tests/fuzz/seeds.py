"""Valid files of every kind that a command reads, made by the commands themselves where they write such files."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
from invariants import call

from jaxlaws.bench.recommend import step_law_runs
from jaxlaws.fitting.predict import open_fit


def write_all(folder: Path) -> None:
    """Every kind of file into one folder: tables, fits, schedules, published tables, a sweep, token shards."""
    folder.mkdir()
    _tables(folder)
    _published(folder / "published")
    with contextlib.chdir(folder):
        for line in (
            "schedule wsd(cooldown=0.2) --steps 60 --peak-lr 1e-3 -o lr.csv",
            "schedule wsd(cooldown=0.2) --steps 60 --peak-lr 1e-3 -o lr.npy",
            "schedule wsd(cooldown=0.2) --steps 60 --peak-lr 1e-3 -o lr.json",
            "fit step_law runs.csv --bootstrap 20 --force -o law.json",
            "data rows.jsonl -o shards --shard-tokens 200 --val-fraction 0.2",
            "train -m model=6k data=language data.seq_len=16 batch_sequences=2 tokens=128 seed=0,1 eval.points=2 "
            "eval.sequences=4 out=sweep",
        ):
            ended = call(line.split(), limit=600, wait=600)
            assert ended.code == 0, (line, ended)
    _fits(folder)


def _tables(folder: Path) -> None:
    runs = step_law_runs(half_lrs=2, half_batches=2).table
    runs.to_csv(folder / "runs.csv")
    with contextlib.suppress(ImportError):  # pyarrow is an extra
        runs.to_parquet(folder / "runs.parquet")
    step = np.arange(0, 60, 3)
    parts = [
        pd.DataFrame(
            {"run_id": name, "step": step, "lr": 1e-3 * (1 - step / 80), "loss": 2 + shift + (step + 1.0) ** -0.5}
        )
        for name, shift in (("a", 0.0), ("b", 0.1), ("c", 0.2))
    ]
    pd.concat(parts).to_csv(folder / "curves.csv", index=False)
    (folder / "texts").mkdir()
    (folder / "texts" / "a.txt").write_text("some words of a text\n" * 400)
    (folder / "rows.jsonl").write_text("".join(json.dumps({"text": f"row {i} of it"}) + "\n" for i in range(40)))


def _fits(folder: Path) -> None:
    """A fit of points and one of curves, with intervals and draws."""
    for name, preset in (("points.json", "chinchilla:epoch"), ("along.json", "multi_power:25M")):
        open_fit(preset).save(folder / name)


def _published(folder: Path) -> None:
    """Small tables in the columns of every published format."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    size, flops = np.tile(np.geomspace(1e8, 1e9, 5), 3), np.repeat(np.geomspace(1e18, 1e20, 3), 5)
    loss = 1.8 + 480 * size**-0.35 + 2100 * (flops / 6 / size) ** -0.37
    pd.DataFrame({"Model Size": size, "Training FLOP": flops, "loss": loss}).to_csv(folder / "isoflop.csv", index=False)
    n = 12
    law = dict.fromkeys(("h", "ffnh", "numh", "numl"), 128) | {"ti": 4000, "bs": 64.0, "N": 1e8, "D": 1e9}
    law |= {
        "lr": np.geomspace(1e-4, 1e-2, n),
        "smooth loss": 3 + rng.random(n),
        "exp_name": [f"e{i}" for i in range(n)],
    }
    pd.DataFrame(law).to_csv(folder / "step_law.csv", index=False)
    curves = folder / "csv_25"
    curves.mkdir()
    from jaxlaws.records.published.multi_power_law import schedule

    lr = schedule("constant_3000")
    step = np.arange(2200, 3000, 100)
    frame = pd.DataFrame({"step": step, "lr": lr[step], "loss": 3 + 1 / np.sqrt(step)})
    frame.to_csv(curves / "constant_3000.csv", index=False)
    runs = folder / "lr_scheduling"
    runs.mkdir()
    table = {
        "params": 1e8,
        "cooldown_fraction": 0.2,
        "weight_decay": 0.1,
        "beta1": 0.9,
        "beta2": 0.95,
        "grad_clip": 1.0,
    }
    table |= {"steps": 400, "warmup_steps": 300, "batch_size": 8, "acc_steps": 1, "sequence_length": 16}
    table |= {"dataset": "d", "cooldown": "linear", "peak_lr": [1e-3, 2e-3], "final_val_loss": [3.1, 3.0]}
    pd.DataFrame(table | {"run_id": ["r0", "r1"]}).to_csv(runs / "runs.csv", index=False)
    rows = [
        {"run_id": r, "step": s, "lr": 1e-3, "val_loss": 4 - s / 400} for r in ("r0", "r1") for s in (310, 350, 400)
    ]
    pd.DataFrame(rows).to_csv(runs / "curves.csv", index=False)
