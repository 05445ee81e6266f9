"""How long a fit to a raw log of 100,000 losses takes, and whether its means say what every loss would.

    python experiments/long_logs.py              # the commands: seconds and memory of each law
    python experiments/long_logs.py --coverage   # how often the intervals of clustered tables hold the truth

The log is generated: a constant LR, a cosine and a WSD schedule, a noise of 2% on every loss.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

LAWS = ("multi_power", "noise_memory")
LENGTHS = {"constant": 33_000, "cosine": 33_000, "wsd": 34_000}
PEAK, WARMUP, NOISE = 3e-4, 1000, 0.02


def main() -> None:
    if sys.argv[1:] == ["--coverage"]:
        return coverage()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.csv"
        pd.concat([log(name, steps) for name, steps in LENGTHS.items()]).to_csv(path, index=False)
        for law in LAWS:
            began = time.monotonic()
            command = [sys.executable, "-m", "jaxlaws", "fit", law, str(path), "--force", "--json"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            used = resource.getrusage(resource.RUSAGE_CHILDREN)
            print(
                f"{law}, {sum(LENGTHS.values()):,} losses: {time.monotonic() - began:.1f} s, all so far "
                f"{used.ru_utime + used.ru_stime:.1f} CPU seconds and at most {used.ru_maxrss / 2**20:.2f} GiB",
                flush=True,
            )


def log(name: str, steps: int) -> pd.DataFrame:
    """One run, a row a step."""
    share = np.arange(steps) / steps
    shapes = {
        "constant": np.ones(steps),
        "cosine": 0.55 + 0.45 * np.cos(np.pi * share),
        "wsd": 0.1 ** np.clip((share - 0.8) / 0.2, 0, 1),
    }
    lr = PEAK * shapes[name] * np.minimum(1, (np.arange(steps) + 1) / WARMUP)
    loss = 2.8 + 0.5 * np.cumsum(lr) ** -0.5 + 0.1 * (lr / PEAK) ** 0.5
    noise = NOISE * np.random.default_rng(steps).standard_normal(steps)
    return pd.DataFrame({"run_id": name, "step": np.arange(steps), "lr": lr, "loss": loss * np.exp(noise)})


def coverage(tables: int = 60) -> None:
    """Of tables of 18 runs at six points of their training each, with an error a run: intervals by run and by row."""
    from dataclasses import replace

    from jaxlaws.fitting.fit import fit
    from jaxlaws.records.check import check
    from jaxlaws.records.table import Runs

    truth, exponents = {"E": 1.8, "A": 400.0, "B": 1500.0}, {"alpha": 0.34, "beta": 0.35}
    inside = {"by run": 0, "by row": 0}
    for seed in range(tables):
        rng = np.random.default_rng(seed)
        n, end = (x.ravel() for x in np.meshgrid(np.geomspace(5e7, 2e9, 6), np.geomspace(5e9, 1e11, 3)))
        params, run = np.repeat(n, 6), np.repeat(np.arange(len(n)), 6)
        tokens = (end[:, None] * np.geomspace(0.1, 1, 6)).ravel()
        error = 0.01 * rng.standard_normal(len(n))[run] + 1e-3 * rng.standard_normal(len(run))
        loss = (truth["E"] + truth["A"] / params**0.34 + truth["B"] / tokens**0.35) * np.exp(error)
        table = pd.DataFrame({"params_nonembedding": params, "tokens": tokens, "loss_nats": loss})
        runs = check(Runs(table.set_axis([f"m{i}" for i in run]), assume={"checkpoints": ""}))
        for how, one in (("by run", runs), ("by row", replace(runs, table=runs.table.drop(columns="cluster")))):
            intervals = fit("chinchilla", one, starts=2, bootstrap=100, fixed=exponents).intervals
            inside[how] += sum(low <= truth[name] <= high for name, (low, high) in intervals.items())
    print({how: round(count / tables / len(truth), 3) for how, count in inside.items()}, "of a nominal .9")


if __name__ == "__main__":
    main()
