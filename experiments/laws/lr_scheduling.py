"""One set of constants for every peak LR, cooldown and horizon.

Fitted to the final losses of cooldowns of .1, .2 and .4 of the run, scored on those of .6, .8 and .9.

    python experiments/laws/lr_scheduling.py ../shared/data/lr_scheduling   # about 20 s on two cores

Expected: mean error of the held-out final losses .0343 (opl), .0201 (annealing), .0178 (multi_power), .0057 (bound).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from jaxlaws.fitting.fit import fit
from jaxlaws.records.source import open_runs

LAWS = ("opl", "lldl", "annealing", "multi_power", "bound")


def main(folder: Path) -> None:
    runs = open_runs(folder, format="lr_scheduling_final")
    fraction = {name: float(name.split("_")[2]) for name in runs.curves}
    train = [name for name, value in fraction.items() if value in (0.1, 0.2, 0.4)]
    test = [name for name, value in fraction.items() if value >= 0.6]
    print(f"{'law':<16}{'train':>8}{'test':>8}{'worst':>8}{'left out':>10}   by peak LR")
    for law in LAWS:
        law_fit = fit(law, runs, train=train, noise="huber", bootstrap=0)
        error = {name: curve["mae"] for name, curve in law_fit.curves.items()}
        row = [np.mean([error[name] for name in names]) for names in (train, test)]
        row += [max(error[name] for name in test), law_fit.held_out["leave_one_run_out"]["mae"]]
        peaks = sorted({name.split("_lr")[1].split("_")[0] for name in test}, key=float)
        by_peak = {p: round(float(np.mean([error[n] for n in test if f"_lr{p}_" in n])), 4) for p in peaks}
        print(f"{law:<16}", *(f"{value:8.4f}" for value in row), f"  {by_peak}", end="  ")
        print({name: float(f"{value:.4g}") for name, value in law_fit.params.items()}, law_fit.status, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
