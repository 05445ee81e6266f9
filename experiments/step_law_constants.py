"""The constants that `jaxlaws.recommender.presets` carries for the step law, from the public Step Law files.

    python experiments/step_law_constants.py [--data DIR]

Two seconds. Prints the mean and covariance of the authors' 1,000 stored bootstraps, the scatter of the 17 cells' optima
about their mean, the loss around the optimum, and our own two-stage fit, each as it stands in the presets.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from jaxlaws.recommender.cells import cells_of
from jaxlaws.recommender.estimate import estimate
from jaxlaws.recommender.exponents import drift, prior
from jaxlaws.recommender.surface import Surface
from jaxlaws.records.source import open_runs

DATA = Path(os.environ.get("JAXLAWS_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA / "step_law")
    folder = parser.parse_args().data
    stored = pd.read_csv(folder / "1004_fitted_lr_bs_scaling_model_parameters.csv").to_numpy(float)
    runs = open_runs(folder / "dense_lr_bs_loss.csv", format="step_law")
    cells, _ = cells_of(runs)
    fit = estimate(runs, bootstrap=4000)
    mean = stored.mean(0)
    advice = np.array(
        [[mean[:3] @ [1, np.log(c.params), np.log(c.tokens)], mean[3:] @ [1, np.log(c.tokens)]] for c in cells]
    )
    local = np.log([[cell["peak_lr"], cell["batch_tokens"]] for cell in fit.cells])
    surface = np.array([Surface(cell).minimum for cell in cells])
    gap = np.maximum(np.abs(advice - local), np.abs(advice - surface))
    show("bootstrap mean", mean.tolist())
    show("bootstrap covariance, LR", np.cov(stored[:, :3].T).tolist())
    show("bootstrap covariance, batch", np.cov(stored[:, 3:].T).tolist())
    show("scatter of cells about the bootstrap mean", np.sqrt((gap**2).mean(0)).tolist())
    assert fit.excess is not None
    show("excess", asdict(fit.excess))
    show("ranges", fit.ranges)
    show("refit params", fit.params)
    show("refit covariance", fit.covariance)
    show("refit scatter", fit.scatter)
    show("refit dof", fit.dof)
    show("refit drift", fit.drift)
    spread = prior().covariance
    seen = {"lr": np.cov(stored[:, 1:3].T), "batch": np.diag([0.0, stored[:, 4].var(ddof=1)])}
    show("bootstrap drift", {axis: drift(spread[k], seen[axis]).tolist() for k, axis in enumerate(seen)})


def show(name: str, value: object) -> None:
    print(f"{name}: {json.dumps(value)}")


if __name__ == "__main__":
    main()
