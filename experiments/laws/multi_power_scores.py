"""Test errors of every curve law on the public Multi-Power curves, fitted to the same three training curves.

    python experiments/laws/multi_power_scores.py ../shared/data/multi_power_law   # about 30 s on two cores

Published constants (25M / 100M): R2 .9988/.9983, MAE .00376/.00435, RMSE .00465/.00592, PredE .00110/.00142,
WorstE .00409/.00583.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from jaxlaws.fitting.fit import fit
from jaxlaws.fitting.score import METRICS
from jaxlaws.records.source import open_runs

TRAIN = ("cosine_24000", "constant_24000", "wsdcon_9")
FITS = (
    ("multi_power", "correlated"),
    ("multi_power", "huber"),
    ("annealing", "huber"),
    ("lldl", "huber"),
    ("opl", "huber"),
)


def main(folder: Path) -> None:
    print(f"{'law':<12} {'noise':<11} {'size':<5}", *(f"{name:>8}" for name in METRICS), f"{'gaps':>8}")
    for law, noise in FITS:
        rows = []
        for size in (25, 100):
            runs = open_runs(folder / f"csv_{size}", format="multi_power_law")
            law_fit = fit(law, runs, train=TRAIN, noise=noise, bootstrap=0)
            row = [law_fit.held_out["test"][name] for name in METRICS] + [law_fit.held_out["gaps"]["mae"]]
            rows.append(row)
            print(f"{law:<12} {noise:<11} {size}M".ljust(30), *(f"{value:8.5f}" for value in row), end="   ")
            print(
                {name: float(f"{value:.5g}") for name, value in law_fit.params.items()},
                f"{law_fit.starts_agreeing:.0%}",
            )
        print(f"{law:<12} {noise:<11} mean".ljust(30), *(f"{value:8.5f}" for value in np.mean(rows, 0)), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
