"""Five optimisers, each at its own optimum: do rank orders and laws of small cells hold at the largest ones?

    python experiments/recipes.py [--out DIR] [--stage STAGE] [--tiny]

AdamW, Muon, SOAP, Lion and schedule-free AdamW on models of 6k to 55k parameters and Python's standard library, in
batches of 256 tokens. Every recipe has the same budget, declared here: five peak LRs, a factor of two apart, in each
cell. The stages, all of them unless one is named; each resumes when interrupted:

1. small: the grid in the nine smallest cells, three sizes at three horizons.
2. predict: a law of the best LR and one of L(N, D) for each recipe, and from them the best LR, the loss with its
   interval and the rank order in the two largest cells, written to PREDICTIONS, which is committed before stage 3.
3. large: both largest cells at the predicted LRs with three paired seeds, and the grid in the largest one.
4. score: predictions beside measurements, time to AdamW's loss, and rank agreement of every pair of cells.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import jaxlaws
from jaxlaws.cli.progress import progress
from jaxlaws.config import EngineConfig, EvalConfig, OptimizerConfig, RunConfig
from jaxlaws.data.config import DataConfig
from jaxlaws.fitting.fit import fit
from jaxlaws.fitting.ranks import Ranks, ranks
from jaxlaws.model.shape import ModelConfig, count_params, flops_per_token
from jaxlaws.quickstart import sweep
from jaxlaws.recommender.answer import recommend
from jaxlaws.recommender.estimate import estimate
from jaxlaws.recommender.hyperfit import HyperFit
from jaxlaws.records.files import finite, write_atomic
from jaxlaws.records.run import collect
from jaxlaws.records.table import Curve, Runs
from jaxlaws.schedules.spec import ScheduleConfig
from jaxlaws.sweep.packing import measure
from jaxlaws.sweep.plan import lay_out

LINEAR = ScheduleConfig(name="linear", floor=0.0, warmup_fraction=0.05)
CONSTANT = ScheduleConfig(name="constant", warmup_fraction=0.05)
BATCH, SEQ_LEN = 4, 64
T90 = 2.920  #: t quantile of a two-sided 90% interval of three seeds.


@dataclass(frozen=True)
class Recipe:
    """An optimiser with its schedule, and the middle of its five peak LRs."""

    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    middle: float

    @property
    def peak_lrs(self) -> list[float]:
        return [self.middle * 2.0**k for k in range(-2, 3)]


#: Everything but the LR as in conf/optimizer; the middles of AdamW's grid times the ranges that the authors give: a
#: third to a tenth for Lion, one to ten for schedule-free training, which is why its grid is AdamW's times two.
RECIPES = {
    "adamw": Recipe(OptimizerConfig(), LINEAR, 8e-3),
    "muon": Recipe(OptimizerConfig(name="muon", momentum=0.95), LINEAR, 8e-3),
    "soap": Recipe(OptimizerConfig(name="soap"), LINEAR, 8e-3),
    "lion": Recipe(OptimizerConfig(name="lion", weight_decay=1.0, beta2=0.99), LINEAR, 1e-3),
    "schedule_free_adamw": Recipe(OptimizerConfig(name="schedule_free_adamw"), CONSTANT, 1.6e-2),
}
BASE = "adamw"
CELL = ["params_nonembedding", "tokens"]
#: Committed before the largest cells are trained.
PREDICTIONS = Path(__file__).with_name("recipes_predictions.json")


def _model(width: int, heads: int, mlp_width: int) -> ModelConfig:
    return ModelConfig(width=width, depth=2, heads=heads, mlp_width=mlp_width)


@dataclass(frozen=True)
class Scale:
    """How much is trained: the largest cells are the last model at the last two numbers of steps.

    The other models are trained at all of them but the last.
    """

    models: tuple[ModelConfig, ...] = (_model(16, 1, 40), _model(24, 2, 64), _model(32, 2, 88), _model(48, 3, 128))
    steps: tuple[int, ...] = (147, 293, 586, 1172)
    seeds: tuple[int, ...] = (0, 1, 2)
    points: int = 12
    predictions: Path | None = PREDICTIONS


TINY = Scale(
    models=(_model(8, 1, 16), _model(12, 1, 24), _model(16, 1, 40), _model(24, 2, 64)),
    steps=(20, 40, 80, 160),
    points=4,
    predictions=None,
)


def one(name: str, model: ModelConfig, steps: int, lr: float, seed: int = 0, points: int = 1) -> RunConfig:
    recipe = RECIPES[name]
    return RunConfig(
        model=model,
        data=DataConfig(seq_len=SEQ_LEN),
        schedule=recipe.schedule,
        optimizer=replace(recipe.optimizer, peak_lr=lr),
        eval=EvalConfig(points=points, sequences=256),
        seed=seed,
        steps=steps,
        batch_sequences=BATCH,
    )


def grid(cells: Iterable[tuple[ModelConfig, int]]) -> list[RunConfig]:
    return [one(name, *cell, lr) for cell in cells for name in RECIPES for lr in RECIPES[name].peak_lrs]


def small(scale: Scale, out: Path) -> None:
    sweep(grid(product(scale.models[:-1], scale.steps[:-1])), out / "small", progress)


def losses_of_cells(law: HyperFit, source: str) -> Runs:
    """One row a cell, its loss at the best LR of the fitted curve through its five LRs."""
    rows = [(cell["params"], cell["tokens"], cell["loss"]) for cell in law.cells]
    return Runs(pd.DataFrame(rows, [f"cell_{i}" for i in range(len(rows))], [*CELL, "loss_nats"]), source=source)


def largest(scale: Scale) -> list[tuple[ModelConfig, int]]:
    return [(scale.models[-1], steps) for steps in scale.steps[-2:]]


def predict(scale: Scale, out: Path) -> None:
    runs = collect(out / "small")
    rows: list[dict[str, Any]] = []
    for name in RECIPES:
        lr_law = estimate(runs.at((runs.table["optimizer"] == name).to_numpy()))
        loss_law = fit("chinchilla", losses_of_cells(lr_law, name))
        lr_law.save(out / "laws" / f"{name}_step_law.json")
        loss_law.save(out / "laws" / f"{name}_chinchilla.json")
        for model, steps in largest(scale):
            params, tokens = count_params(model)[0], steps * BATCH * SEQ_LEN
            advice = recommend(params=params, tokens=tokens, law=lr_law, seq_len=SEQ_LEN, force=True)
            rows.append(
                {"recipe": name, "params": params, "tokens": tokens, "steps": steps}
                | {"peak_lr": interval(advice.peak_lr)}
                | {"loss": interval(jaxlaws.predict(loss_law, params=params, tokens=tokens))}
                | {"lr_law": lr_law.formula, "lr_status": lr_law.status}
                | {"loss_law": dict(loss_law.params), "loss_status": loss_law.status}
            )
    order = {
        str(steps): [row["recipe"] for row in sorted(rows, key=lambda row: row["loss"][0]) if row["steps"] == steps]
        for steps in scale.steps[-2:]
    }
    # The naive prediction: the order in the largest of the small cells.
    last = runs.table[(runs.table[CELL] == runs.table[CELL].max()).all(axis=1)]
    order["naive"] = last.groupby("optimizer")["val_loss_nats"].min().sort_values().index.tolist()
    levels = {"peak_lr": lr_law.level, "loss": loss_law.level}
    text = json.dumps(finite({"levels": levels, "order": order, "rows": rows}), indent=1)
    write_atomic(scale.predictions or out / "predictions.json", text + "\n")
    print(pd.DataFrame(rows).drop(columns=["lr_law", "loss_law"]).to_string(index=False), order, sep="\n")


def interval(answer: Any) -> list[float]:
    """[value, low, high]."""
    return [float(np.ravel(getattr(answer, name))[-1]) for name in ("value", "low", "high")]


def predicted(scale: Scale, out: Path) -> dict[str, Any]:
    return json.loads((scale.predictions or out / "predictions.json").read_text())


def large(scale: Scale, out: Path) -> None:
    verified = [
        one(row["recipe"], scale.models[-1], row["steps"], row["peak_lr"][0], seed, scale.points)
        for row, seed in product(predicted(scale, out)["rows"], scale.seeds)
    ]
    sweep(verified, out / "verified", progress)
    sweep(grid(largest(scale)[-1:]), out / "largest", progress)


def score(scale: Scale, out: Path) -> None:
    told = predicted(scale, out)
    verified, tuned = collect(out / "verified"), collect(out / "largest")
    frame, final, largest_model = verified.table, tuned.table, scale.models[-1]
    measured: dict[tuple[str, int], np.ndarray] = {}
    answer: dict[str, Any] = {"levels": told["levels"], "predicted_order": told["order"], "cells": []}
    for row in told["rows"]:
        name, steps = row["recipe"], row["steps"]
        rows = frame[(frame["optimizer"] == name) & (frame["steps"] == steps)].sort_values("seed")
        measured[name, steps] = losses = rows["val_loss_nats"].fillna(np.inf).to_numpy(float)
        (lr, lr_low, lr_high), (loss, low, high) = row["peak_lr"], row["loss"]
        item = {"recipe": name, "steps": steps, "peak_lr": lr, "predicted": loss, "low": low, "high": high}
        item |= {"losses": losses.tolist(), "measured": losses.mean(), "inside": bool(low <= losses.mean() <= high)}
        if steps == scale.steps[-1]:
            own = final[final["optimizer"] == name]
            best = own.loc[own["val_loss_nats"].idxmin()]
            item |= {"best_of_grid": best["peak_lr"], "lr_inside": bool(lr_low <= best["peak_lr"] <= lr_high)}
            item |= {"regret": losses[0] - best["val_loss_nats"]}
        answer["cells"].append(item)
    answer["order"] = {
        str(steps): sorted(RECIPES, key=lambda name: measured[name, steps].mean()) for steps in scale.steps[-2:]
    }
    costs = {name: {"flop": flops(name, largest_model), "second": seconds(name, largest_model)} for name in RECIPES}
    answer["step"] = costs
    answer["to_target"] = [
        to_target(scale, verified, measured, costs, *pair) for pair in product(RECIPES, scale.steps[-2:])
    ]
    small_runs = collect(out / "small").table
    every = pd.concat([small_runs, final]).assign(loss_nats=lambda table: table["val_loss_nats"])
    best = every.loc[every.groupby(["optimizer", "params_nonembedding", "tokens"])["loss_nats"].idxmin()]
    answer["ranks"] = {
        "recipes, each at its best LR": agreements(ranks(Runs(best, source="best"), ["optimizer"], CELL)),
        "recipes and LRs": agreements(ranks(Runs(every, source="all"), ["optimizer", "peak_lr"], CELL)),
    }
    write_atomic(out / "recipes.json", json.dumps(finite(answer), indent=1) + "\n")
    for key in ("cells", "to_target", "step"):
        print(pd.DataFrame(answer[key]).to_string(index=False), end="\n\n")
    for title, rows in answer["ranks"].items():
        print(title, pd.DataFrame(rows).to_string(index=False), sep="\n", end="\n\n")
    print("predicted order", told["order"], "measured order", answer["order"], sep="\n")


def agreements(result: Ranks) -> list[dict[str, Any]]:
    """A row for every pair of a smaller and a larger cell."""
    return [
        {"smaller": pair.score, "larger": pair.size, "shared": pair.shared, "chosen": pair.chosen, "best": pair.best}
        | {key: getattr(pair.agreement, key) and getattr(pair.agreement, key).value for key in ("spearman", "kendall")}
        | {"regret": pair.agreement.regret and pair.agreement.regret.value}
        for pair in result.pairs
        if pair.agreement
    ]


def to_target(scale: Scale, runs: Runs, measured: dict, costs: dict, name: str, steps: int) -> dict[str, Any]:
    """Loss gained over AdamW by the same seeds, and the cost of AdamW's final loss as a share of AdamW's cost."""
    gained = measured[BASE, steps] - measured[name, steps]
    edge = T90 * gained.std(ddof=1) / len(gained) ** 0.5
    curves = {
        (row.optimizer, row.seed): runs.curves[str(row.Index)] for row in runs.table.itertuples() if row.steps == steps
    }
    shares = [reached(curves[name, seed], curves[BASE, seed].loss[-1]) / steps for seed in scale.seeds]
    share = float(np.mean(shares))
    return (
        {"recipe": name, "steps": steps, "gained": gained.mean(), "edge": edge, "step_share": share}
        | {f"{key}_share": share * value / costs[BASE][key] for key, value in costs[name].items()}
        | {"step_shares": shares}
    )


def reached(curve: Curve, target: float) -> float:
    """Steps until the loss is down to a target, between evaluations along a line; infinite where it never is."""
    below = np.flatnonzero(curve.loss <= target)
    if not len(below):
        return np.inf
    ends = [below[0], max(below[0] - 1, 0)]
    return float(np.interp(target, curve.loss[ends], curve.at[ends] + 1.0))


def flops(name: str, model: ModelConfig) -> float:
    """FLOPs of a step: the model's, and the matrix products of the optimiser; QR is taken as 8/3·n³.

    Muon: five Newton–Schulz steps. SOAP: three rotations, two outer products, and a tenth of a refresh.
    """
    from jaxlaws.training.soap import REFRESH

    d, f = model.width, model.mlp_width
    shapes = model.depth * [(d, 3 * d), (d, d), (d, 2 * f), (f, d)]
    each = {
        "muon": lambda m, n: 5 * (4 * m**2 * n + 2 * m**3),
        "soap": lambda m, n: 8 * m * n * (m + n) + (2 + 8 / 3) * (m**3 + n**3) / REFRESH,
    }.get(name, lambda m, n: 0.0)
    whole = flops_per_token(model, SEQ_LEN)[1] * BATCH * SEQ_LEN
    return whole + sum(each(min(shape), max(shape)) for shape in shapes)


def seconds(name: str, model: ModelConfig) -> float:
    """Seconds of a step, the fastest of five measurements."""
    run = one(name, model, 100, 1e-3)
    planned = lay_out([run], Path("unused"), lambda config: "")[0]
    return BATCH * SEQ_LEN / max(measure(planned, "map", 1, EngineConfig()) for _ in range(5))


STAGES = {"small": small, "predict": predict, "large": large, "score": score}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("recipes"))
    parser.add_argument("--stage", choices=STAGES)
    parser.add_argument("--tiny", action="store_true")
    args = parser.parse_args()
    for stage in [args.stage] if args.stage else STAGES:
        STAGES[stage](TINY if args.tiny else Scale(), args.out)
