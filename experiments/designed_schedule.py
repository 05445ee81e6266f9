"""Designed schedules, trained: measured gains over tuned baselines beside the gains that were predicted.

    python experiments/designed_schedule.py [--study STUDY] [--out DIR] [--tiny]

For each size and horizon of a study:

1. Five schedules at four peak LRs, one seed: what the laws are fitted to, and what tunes the peaks of the baselines.
2. A law is fitted to all of them or to those at the peak that is best for WSD 20%, and designs a schedule.
3. The peaks of the designs are tuned on the same four LRs with the same seed.
4. The gains are predicted, printed and written to predicted.json, for all sizes and horizons before any goes on.
5. Every schedule at its tuned peak, with fresh seeds: the same seed is the same initial weights and data.

Data: Python's standard library. `--study noise_memory`: 25k and 56k parameters, 750 and 1,500 steps of 192 tokens, six
seeds; 296 runs. `--study multi_power`: 25k parameters, 1,500 steps of 576 tokens, five seeds; 62 runs. Both resume when
interrupted. The log has the results.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t as student

from jaxlaws.training.devices import use_host_devices

use_host_devices()

from jaxlaws.cli.progress import progress  # noqa: E402
from jaxlaws.config import EvalConfig, OptimizerConfig, RunConfig  # noqa: E402
from jaxlaws.data.config import DataConfig  # noqa: E402
from jaxlaws.designs import gain  # noqa: E402
from jaxlaws.designs.schedule import design  # noqa: E402
from jaxlaws.fitting.fit import fit  # noqa: E402
from jaxlaws.fitting.predict import final_losses  # noqa: E402
from jaxlaws.fitting.result import LossFit  # noqa: E402
from jaxlaws.model.shape import ModelConfig, count_params  # noqa: E402
from jaxlaws.quickstart import sweep  # noqa: E402
from jaxlaws.records.files import finite, write_atomic  # noqa: E402
from jaxlaws.records.run import collect  # noqa: E402
from jaxlaws.schedules.exchange import write_table  # noqa: E402
from jaxlaws.schedules.spec import ScheduleConfig, schedule_array  # noqa: E402

say = partial(print, file=sys.stderr, flush=True)
REFERENCE = "wsd 20%"
COSINE, LINEAR = ScheduleConfig(name="cosine", floor=0.1), ScheduleConfig(name="linear", floor=0.0)
SMALL, LARGE = (ModelConfig(width=w, depth=2, heads=2, mlp_width=m) for w, m in ((32, 88), (48, 128)))


def wsd(cooldown: float) -> ScheduleConfig:
    return ScheduleConfig(name="wsd", cooldown=cooldown, shape="linear", floor=0.0)


@dataclass(frozen=True)
class Recipe:
    """How a schedule is designed: `everywhere`, by a law of the runs of all peaks, which chooses its own peak."""

    law: str
    knots: int | None = None
    everywhere: bool = False


@dataclass(frozen=True)
class Study:
    """What is trained: every model at every horizon. The laws are fitted to the baselines and `others`."""

    models: Sequence[ModelConfig]
    horizons: Sequence[int]
    batch: int
    peaks: Sequence[float]
    seeds: Sequence[int]
    baselines: Mapping[str, ScheduleConfig]
    others: Mapping[str, ScheduleConfig]
    recipes: Mapping[str, Recipe]


STUDIES = {
    "noise_memory": Study(
        models=(SMALL, LARGE),
        horizons=(750, 1500),
        batch=3,
        peaks=(1.5e-3, 3e-3, 6e-3, 1.2e-2),
        seeds=tuple(range(1, 7)),
        baselines={"cosine to 10%": COSINE, "linear to 0": LINEAR, REFERENCE: wsd(0.2), "wsd 40%": wsd(0.4)},
        others={"constant": ScheduleConfig(name="constant")},
        recipes={
            "noise_memory, free": Recipe("noise_memory"),
            "noise_memory, all peaks": Recipe("noise_memory", everywhere=True),
            "multi_power, 8 knots": Recipe("multi_power", knots=8),
        },
    ),
    "multi_power": Study(
        models=(SMALL,),
        horizons=(1500,),
        batch=9,
        peaks=(2e-3, 4e-3, 8e-3, 1.6e-2),
        seeds=tuple(range(1, 6)),
        baselines={"cosine to 10%": COSINE, "linear to 0": LINEAR, REFERENCE: wsd(0.2)},
        others={"constant": ScheduleConfig(name="constant"), "wsd 60%": wsd(0.6)},
        recipes={
            "multi_power, free": Recipe("multi_power"),
            "multi_power, 8 knots": Recipe("multi_power", knots=8),
            "bound, free": Recipe("bound", everywhere=True),
        },
    ),
}


@dataclass(frozen=True)
class Cell:
    """A model and a horizon of a study, with what has been trained and found of it.

    Attributes:
      study: whose schedules, peaks and seeds are meant.
      model: of every run.
      steps: T.
      out: directory.
      losses: (schedule, peak, seed) → validation loss at the end, infinite where the run diverged.
      schedules: of the comparison by name, without warm-up.
      laws: the fit behind each design.
      peaks: the tuned peak LR of every schedule of the comparison.
      chosen: the peak LR for which each design was drawn.
    """

    study: Study
    model: ModelConfig
    steps: int
    out: Path
    losses: dict[tuple[str, float, int], float]
    schedules: dict[str, ScheduleConfig]
    laws: dict[str, LossFit]
    peaks: dict[str, float]
    chosen: dict[str, float]

    @property
    def name(self) -> str:
        return f"{count_params(self.model)[0]} parameters, {self.steps} steps"

    @property
    def warmup(self) -> int:
        return round(0.05 * self.steps)

    def run(self, schedule: ScheduleConfig, peak: float, seed: int, points: int) -> RunConfig:
        if schedule.name != "table":
            schedule = replace(schedule, warmup_steps=self.warmup)
        return RunConfig(
            model=self.model,
            data=DataConfig(seq_len=64),
            schedule=schedule,
            optimizer=OptimizerConfig(peak_lr=peak),
            eval=EvalConfig(points=points, sequences=256),
            seed=seed,
            steps=self.steps,
            batch_sequences=self.study.batch,
        )

    def train(self, jobs: list[tuple[str, ScheduleConfig, float, int]], folder: str, points: int = 25) -> None:
        planned = sweep([self.run(*job[1:], points) for job in jobs], self.out / folder, progress)
        for (name, _, peak, seed), item in zip(jobs, planned, strict=True):
            loss = item.directory.record()["val_loss_nats"]
            self.losses[name, peak, seed] = math.inf if loss is None else float(loss)

    def tune(self, schedules: Mapping[str, ScheduleConfig], folder: str) -> None:
        """Trains schedules at every peak with seed 0, and keeps the best peak of each."""
        peaks = self.study.peaks
        self.train([(name, schedule, peak, 0) for (name, schedule), peak in product(schedules.items(), peaks)], folder)
        for name in schedules:
            self.peaks[name] = min(peaks, key=lambda peak: self.losses[name, peak, 0])

    def final(self, name: str) -> np.ndarray:
        """[steps] the schedule at its tuned peak."""
        return schedule_array(self.run(self.schedules[name], 1.0, 0, 1).schedule, self.steps, self.peaks[name])


def prepare(cell: Cell) -> None:
    """Tunes the baselines, fits the laws, makes and tunes the designs, and predicts their gains."""
    study, out = cell.study, cell.out
    say(f"{cell.name}: {len(study.baselines) + len(study.others)} schedules at every peak LR")
    cell.tune({**study.baselines, **study.others}, "sweep")
    reference = cell.peaks[REFERENCE]
    runs = collect(out / "sweep").finished()
    at_reference = runs.select(runs.table.index[np.isclose(runs.table["peak_lr"].to_numpy(float), reference)])
    fits: dict[tuple[str, bool], LossFit] = {}
    designs = {}
    for name, recipe in study.recipes.items():
        key = recipe.law, recipe.everywhere
        if key not in fits:
            fits[key] = fit(recipe.law, runs if recipe.everywhere else at_reference)
            fits[key].save(out / f"{recipe.law}{'_all_peaks' * recipe.everywhere}.json")
        peak = (min(study.peaks), max(study.peaks)) if recipe.everywhere else reference
        found = design(fits[key], cell.steps, peak, cell.warmup, knots=recipe.knots)
        path = write_table(out / f"{name.replace(', ', '_').replace(' ', '_')}.csv", found.lr[0])
        designs[name] = ScheduleConfig(name="table", file=str(path))
        cell.laws[name], cell.chosen[name] = fits[key], found.peak_lr
    say(f"{cell.name}: the designs at every peak LR; reference {reference:g}")
    cell.tune(designs, "designs")
    cell.schedules.update({**study.baselines, **designs})
    predicted = predict(cell)
    write_atomic(out / "predicted.json", json.dumps(finite(predicted), indent=1) + "\n")
    print(f"\n{cell.name}; predicted before the seeds are trained")
    show(predicted)


def predict(cell: Cell) -> list[dict[str, Any]]:
    """The gain of every design over all other schedules, at their tuned peaks, by the law that made the design."""
    rows = []
    for name, law in cell.laws.items():
        ours = final_losses(law, cell.final(name), cell.warmup)
        for other in cell.schedules:
            if other != name:
                said = gain.gain(law, ours, final_losses(law, cell.final(other), cell.warmup))
                rows.append({"design": name, "over": other, **said._asdict()})
    return rows


def compare(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """Measured gains: the mean over the cells of the mean paired difference, and half the width of its 90% interval."""
    study = cells[0].study
    rows = []
    for name, other in product(study.recipes, cells[0].schedules):
        if other == name:
            continue
        differences = np.array([measured(cell, other) - measured(cell, name) for cell in cells])
        variance = differences.var(axis=1, ddof=1) / len(study.seeds)
        edge = student.ppf(0.95, len(cells) * (len(study.seeds) - 1)) * math.sqrt(variance.sum()) / len(cells)
        rows.append({"design": name, "over": other, "measured": float(differences.mean()), "edge": float(edge)})
    return rows


def measured(cell: Cell, name: str) -> np.ndarray:
    """[seeds] final losses."""
    return np.array([cell.losses[name, cell.peaks[name], seed] for seed in cell.study.seeds])


def show(rows: Sequence[Mapping[str, Any]]) -> None:
    """A table of gains; of those that are there, the measured, the predicted and the expected."""
    for row in rows:
        text = f"{row['design']:<24}{row['over']:<24}"
        if "measured" in row:
            text += f"measured {row['measured']:+.4f} ± {row['edge']:.4f}   "
        if "predicted" in row:
            low, high = (math.nan if row[end] is None else row[end] for end in ("low", "high"))
            text += f"predicted {row['predicted']:+.4f} [{low:+.4f}, {high:+.4f}] expected {row['expected']:+.4f}"
        print(text, flush=True)


def main(study: Study, out: Path) -> None:
    cells = [
        Cell(study, model, steps, out / f"width{model.width}_steps{steps}", {}, {}, {}, {}, {})
        for model, steps in product(study.models, study.horizons)
    ]
    for cell in cells:
        prepare(cell)
    answer = []
    for cell in cells:
        say(f"{cell.name}: every schedule at its tuned peak, fresh seeds")
        names = product(cell.schedules.items(), study.seeds)
        cell.train([(name, schedule, cell.peaks[name], seed) for (name, schedule), seed in names], "seeds", points=1)
        gains = [{**said, **found} for said, found in zip(predict(cell), compare([cell]), strict=True)]
        print(f"\n{cell.name}; final loss, mean of {len(study.seeds)} seeds at the tuned peak LR")
        for name in cell.schedules:
            losses = measured(cell, name)
            print(f"  {name:<24} peak {cell.peaks[name]:<8g} {losses.mean():.4f}  sd {losses.std(ddof=1):.4f}")
        show(gains)
        answer.append(
            {
                "cell": cell.name,
                "peaks": cell.peaks,
                "designed_peak": cell.chosen,
                "tuning": {name: [cell.losses[name, peak, 0] for peak in study.peaks] for name in cell.peaks},
                "losses": {name: measured(cell, name).tolist() for name in cell.schedules},
                "ratios": {name: law.held_out.get("decay_gaps") for name, law in cell.laws.items()},
                "gains": gains,
            }
        )
    pooled = compare(cells)
    print("\nmean of all sizes and horizons")
    show(pooled)
    write_atomic(out / "designed_schedule.json", json.dumps(finite({"cells": answer, "mean": pooled}), indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--study", choices=STUDIES, default="noise_memory")
    parser.add_argument("--out", default="designed_schedule")
    parser.add_argument("--tiny", action="store_true")
    args = parser.parse_args()
    chosen = STUDIES[args.study]
    if args.tiny:
        chosen = replace(chosen, horizons=(120,), peaks=chosen.peaks[1:3], seeds=(1, 2, 3))
    main(chosen, Path(args.out))
