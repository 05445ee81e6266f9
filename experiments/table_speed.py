"""How long tables of other trackers take: a million runs, a million steps, and `jaxlaws inspect` of 10,000 runs.

    python experiments/table_speed.py

About a minute on two cores. Expect: 6 s and 1 s to read, 2 s for the whole command, whose tables are generated.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from jaxlaws.records.source import open_runs

ROWS, STEPS, CURVES, INSPECTED, REPEATS = 1_000_000, 10_000, 100, 10_000, 3
#: The generated runs have losses of their own noise, LRs and batches of a grid.
ASSUMED = ("repeats", "outliers")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        runs, steps, some = (Path(folder) / name for name in ("runs.csv", "steps.csv", "some.csv"))
        table = a_row_a_run(np.random.default_rng(0))
        table.to_csv(runs, index=False)
        table.head(INSPECTED).to_csv(some, index=False)
        a_row_a_step().to_csv(steps, index=False)
        report(f"{ROWS:,} runs", lambda: open_runs(runs, set={"seq_len": 2048}, assume=ASSUMED))
        report(f"{STEPS * CURVES:,} steps of {CURVES} curves", lambda: open_runs(steps))
        command = [sys.executable, "-m", "jaxlaws", "inspect", str(some), "--set", "seq_len=2048"]
        report(
            f"jaxlaws inspect, {INSPECTED:,} runs",
            lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL),
        )


def a_row_a_run(rng: np.random.Generator) -> pd.DataFrame:
    """As W&B exports a project: 1,000 cells (N, D), 40 LRs, 6 batches in sequences."""
    params = rng.choice(np.geomspace(1e7, 1e9, 50), ROWS)
    tokens = params * rng.choice(np.geomspace(10, 400, 20), ROWS)
    lr, batch = rng.choice(np.geomspace(1e-4, 1e-2, 40), ROWS), 2 ** rng.integers(5, 11, ROWS)
    miss = 0.01 * np.log(lr / 1e-3) ** 2 + 0.005 * np.log(batch / 256) ** 2
    loss = 1.7 + 400 / params**0.34 + 410 / tokens**0.28 + miss + rng.normal(0, 1e-3, ROWS)
    return pd.DataFrame(
        {
            "Name": [f"run-{row}" for row in range(ROWS)],
            "State": "finished",
            "lr": lr,
            "bs": batch,
            "non_embedding_params": params.astype(int),
            "tokens": tokens.astype(int),
            "eval/loss": loss,
        }
    )


def a_row_a_step() -> pd.DataFrame:
    """Cosine runs that log every tenth step."""
    step = np.arange(0, 10 * STEPS, 10)
    lr = 1e-3 * np.minimum(1, (step + 1) / 1000) * (0.55 + 0.45 * np.cos(np.pi * step / (10 * STEPS)))
    loss = 2.5 + 0.5 * (np.cumsum(lr) + 0.01) ** -0.3
    curve = pd.DataFrame({"_step": step, "lr": lr, "val/loss": loss})
    return pd.concat([curve.assign(run_id=f"run-{name}") for name in range(CURVES)])


def report(what: str, call) -> None:
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    print(f"{what}: median {statistics.median(times):.2f} s of {REPEATS}, worst {max(times):.2f} s", flush=True)


if __name__ == "__main__":
    main()
