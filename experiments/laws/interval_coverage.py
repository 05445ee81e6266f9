"""How often the 90% interval of a prediction holds the loss of a new run.

    python experiments/laws/interval_coverage.py ../shared/data   # about 30 s on two cores

Multi-Power Law: points of the six test curves, fitted to the three training curves. Chinchilla: the half of the points
with more compute, fitted to the other half, and a random half fitted to the other.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from jaxlaws.fitting.fit import fit
from jaxlaws.fitting.predict import predict
from jaxlaws.records.source import open_runs

TRAIN = ("cosine_24000", "constant_24000", "wsdcon_9")


def main(folder: Path) -> None:
    for size in (25, 100):
        runs = open_runs(folder / f"multi_power_law/csv_{size}", format="multi_power_law")
        for noise in ("correlated", "huber"):
            law_fit = fit("multi_power", runs, train=TRAIN, noise=noise)
            row, width = {}, np.nan
            for name in sorted(set(runs.curves) - set(TRAIN)):
                curve = runs.curves[name]
                answer = predict(law_fit, curve=curve)
                assert answer.low is not None
                assert answer.high is not None
                width = float(np.mean(answer.high - answer.low))
                row[name] = round(float(np.mean((curve.loss >= answer.low) & (curve.loss <= answer.high))), 2)
            mean = np.mean(list(row.values()))
            print(f"multi_power {size}M {noise}: {mean:.2f} of points inside, last width {width:.4f}", row, flush=True)
    runs = open_runs(folder / "isoflops/chinchilla_figure4_epoch.csv", format="isoflop")
    compute = (runs.table["params_total"] * runs.table["tokens"]).to_numpy()
    halves = {"larger from smaller": compute <= np.median(compute)}
    halves["random half"] = np.random.default_rng(0).random(len(compute)) < 0.5
    for name, half in halves.items():
        law_fit = fit("chinchilla", runs.select(runs.table.index[half]))
        inside = []
        for _, run in runs.table[~half].iterrows():
            answer = predict(law_fit, params=run["params_total"], tokens=run["tokens"])
            assert answer.low is not None
            assert answer.high is not None
            inside.append(answer.low <= run["loss_nats"] <= answer.high)
        print(f"chinchilla, {name}: {np.mean(inside):.2f} of {len(inside)} inside")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
