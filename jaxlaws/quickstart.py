"""The whole loop on a laptop CPU: sweep, fit, recommend, predict, then train what was predicted and compare.

Two small sweeps on the standard library's own source: LR × batch in cells of (N, D), and schedules on one model. From
them a step law (LR and batch), a Chinchilla law (loss of a cell) and a schedule law (loss along a schedule). One cell
and one schedule are left out, recommended for and predicted, and then trained.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxlaws.config import EvalConfig, OptimizerConfig, RunConfig
from jaxlaws.data.config import DataConfig
from jaxlaws.errors import Failed
from jaxlaws.model.shape import ModelConfig, count_params
from jaxlaws.records.files import finite, write_atomic
from jaxlaws.records.run import collect
from jaxlaws.schedules.spec import ScheduleConfig, spec_string
from jaxlaws.status import TRUSTED
from jaxlaws.sweep.lanes import OnProgress, train_sweep
from jaxlaws.sweep.plan import Planned, plan

if TYPE_CHECKING:
    from jaxlaws.records.table import Runs

SEQ_LEN = 64
#: Opens the progress of training a plan.
Watch = Callable[[Sequence[Planned]], AbstractContextManager[OnProgress]]
#: Four constants, and the smallest error on runs of another group (experiments/LOG.md).
SCHEDULE_LAW = "bound"
#: Seeds of every run that verifies a prediction.
SEEDS = (0, 1)


@dataclass(frozen=True)
class Scale:
    """How much is trained.

    Attributes:
      models: shapes, smallest first.
      tokens: budgets, smallest first, whole numbers of every batch; the largest model at the largest budget is the
        cell that is left out.
      peak_lrs: the grid of every cell at a batch of one sequence; it moves with √batch, as the best LR about does, so
        that the grid lies along the valley of the loss.
      batches: the grid of every cell, in sequences of `SEQ_LEN`.
      schedule_tokens, schedule_batch, schedule_lr: budget, batch and peak LR of the schedules, on the largest model.
      points: validations along a schedule.
    """

    models: Sequence[ModelConfig]
    tokens: Sequence[int]
    peak_lrs: Sequence[float]
    batches: Sequence[int]
    schedule_tokens: int
    schedule_batch: int
    schedule_lr: float
    points: int


def _model(width: int, heads: int, mlp_width: int) -> ModelConfig:
    return ModelConfig(width=width, depth=2, heads=heads, mlp_width=mlp_width)


FULL = Scale(
    models=(_model(16, 1, 40), _model(24, 2, 64), _model(32, 2, 88)),
    tokens=(347 * 576, 694 * 576, 1388 * 576),
    peak_lrs=(2e-3, 4e-3, 8e-3),
    batches=(1, 3, 9),
    schedule_tokens=800_000,
    schedule_batch=9,
    schedule_lr=5e-3,
    points=40,
)
TINY = replace(
    FULL,
    models=(_model(16, 1, 40), _model(24, 2, 64)),
    tokens=(35 * 576, 70 * 576, 140 * 576, 280 * 576),
    peak_lrs=(3e-3, 6e-3, 1.2e-2),
    schedule_tokens=280 * 576,
    schedule_batch=3,
    schedule_lr=4e-3,
    points=20,
)
TRAINED = {
    "constant": ScheduleConfig(name="constant"),
    "cosine": ScheduleConfig(name="cosine", floor=0.1),
    "linear": ScheduleConfig(name="linear", floor=0.0),
    "wsd linear 20%": ScheduleConfig(name="wsd", cooldown=0.2, shape="linear", floor=0.0),
    "wsd linear 60%": ScheduleConfig(name="wsd", cooldown=0.6, shape="linear", floor=0.1),
}
UNSEEN_NAME = "wsd 1-sqrt 40%"
UNSEEN = ScheduleConfig(name="wsd", cooldown=0.4, shape="1-sqrt", floor=0.0)


def cell_runs(scale: Scale) -> list[RunConfig]:
    """The grid of every cell but the one that is left out."""
    cells = list(product(scale.models, scale.tokens))[:-1]
    grid = [(batch, float(lr * batch**0.5)) for batch, lr in product(scale.batches, scale.peak_lrs)]
    return [_run(model, tokens, batch, lr) for (model, tokens), (batch, lr) in product(cells, grid)]


def schedule_run(scale: Scale, schedule: ScheduleConfig) -> RunConfig:
    """One schedule on the model of the schedules."""
    run = _run(scale.models[-1], scale.schedule_tokens, scale.schedule_batch, scale.schedule_lr)
    return replace(run, schedule=schedule, eval=EvalConfig(points=scale.points, sequences=256))


def _run(model: ModelConfig, tokens: int, batch: int, lr: float, seed: int = 0) -> RunConfig:
    return RunConfig(
        model=model,
        data=DataConfig(seq_len=SEQ_LEN),
        schedule=ScheduleConfig(name="cosine", floor=0.1),
        optimizer=OptimizerConfig(peak_lr=lr),
        eval=EvalConfig(points=1, sequences=256),
        seed=seed,
        tokens=tokens,
        batch_sequences=batch,
    )


def neighbours(lr: float, batch: int) -> dict[str, tuple[float, int]]:
    """The recommendation and its neighbours by a factor of two in LR and in batch: label → (LR, batch in sequences)."""
    points = {
        "advice": (lr, batch),
        "LR ÷ 2": (lr / 2, batch),
        "LR × 2": (lr * 2, batch),
        "batch ÷ 2": (lr, max(1, round(batch / 2))),
        "batch × 2": (lr, batch * 2),
    }
    return {label: point for label, point in points.items() if label == "advice" or point != points["advice"]}


def sweep(runs: Sequence[RunConfig], out: Path, watch: Watch) -> list[Planned]:
    """Train runs into a directory, one lane a device, and return their plan."""
    import jax

    from jaxlaws.data.tokens import open_data

    planned = plan(runs, out, lambda config: open_data(config).digest, ["quickstart"])
    strategy = "shard" if jax.local_device_count() > 1 else "map"
    with watch(planned) as tell:
        summary = train_sweep(planned, strategy, tell)
    if summary.failed:
        name, reason = next(iter(summary.failed.items()))
        raise Failed(f"run {name} of {out} failed: {reason}.")
    return planned


def _cells_table(runs: Runs, cells: Sequence[Mapping[str, Any]]) -> Runs:
    """One row a cell, its loss at the fitted optimum of its grid, for a law of N and D."""
    import pandas as pd

    from jaxlaws.records.table import Runs

    rows = [
        {"params_nonembedding": cell["params"], "tokens": cell["tokens"], "loss_nats": cell["loss"]} for cell in cells
    ]
    return Runs(pd.DataFrame(rows, index=pd.Index([f"cell_{i}" for i in range(len(rows))])), source=runs.source)


def run(scale: Scale, out: Path, watch: Watch, say: Callable[[str], None]) -> dict[str, Any]:
    """The whole loop into `out`; what has been trained there before is not trained again.

    Args:
      scale: `FULL` or `TINY`.
      out: directory for sweeps, fits, figures, runs.csv and quickstart.json.
      watch: progress of training.
      say: one line for people at every stage.
    """
    import pandas as pd

    from jaxlaws import figures
    from jaxlaws.fitting.fit import fit
    from jaxlaws.fitting.predict import predict
    from jaxlaws.recommender.answer import recommend
    from jaxlaws.recommender.estimate import estimate

    model, tokens = scale.models[-1], scale.tokens[-1]
    params = count_params(model)[0]
    say(f"1/5  training {len(cell_runs(scale))} runs: LR × batch in {len(scale.models) * len(scale.tokens) - 1} cells")
    sweep(cell_runs(scale), out / "cells", watch)
    say(f"2/5  training {len(TRAINED)} schedules")
    trained = sweep([schedule_run(scale, schedule) for schedule in TRAINED.values()], out / "schedules", watch)
    names = {item.directory.name: name for item, name in zip(trained, TRAINED, strict=True)}

    say("3/5  fitting: step law, Chinchilla law, schedule law")
    cells = collect(out / "cells")
    step_law = estimate(cells, law="step_law")
    step_law.save(out / "step_law.json")
    chinchilla = fit("chinchilla", _cells_table(cells, step_law.cells))
    chinchilla.save(out / "chinchilla.json")
    curves = collect(out / "schedules")
    schedule_law = fit(SCHEDULE_LAW, curves)
    schedule_law.save(out / "schedule_law.json")

    # A law that is not trusted is followed here all the same, with its label: what its advice costs is then measured.
    forced = step_law.status not in TRUSTED
    advice = recommend(params=params, tokens=tokens, law=step_law, seq_len=SEQ_LEN, force=forced)
    assert advice.peak_lr is not None
    assert advice.batch_tokens is not None
    lr, batch = advice.peak_lr.value, max(1, round(advice.batch_tokens.value / SEQ_LEN))
    cell = predict(chinchilla, params=params, tokens=tokens)

    say("4/5  training what was predicted: the unseen schedule, the unseen cell and its neighbours, two seeds each")
    points = neighbours(lr, batch)
    around = [_run(model, tokens, b, eta, seed) for (eta, b), seed in product(points.values(), SEEDS)]
    verified = sweep([schedule_run(scale, UNSEEN), *around], out / "verify", watch)
    records = [item.directory.record() for item in verified]
    measured = collect(out / "verify")
    unseen = measured.curves[verified[0].directory.name]
    along = predict(schedule_law, curve=unseen)
    losses = np.array([np.nan if r["val_loss_nats"] is None else r["val_loss_nats"] for r in records[1:]])
    by_point = dict(zip(points, losses.reshape(len(points), len(SEEDS)), strict=True))

    say("5/5  writing figures, runs.csv and quickstart.json")
    means = {label: float(value.mean()) for label, value in by_point.items()}
    best = min(means, key=lambda label: np.inf if np.isnan(means[label]) else means[label])
    answer: dict[str, Any] = {
        "status": {fit.law: fit.status for fit in (step_law, chinchilla, schedule_law)},
        "schedule": {
            "law": schedule_law.law,
            "level": schedule_law.level,
            "fitted_to": list(TRAINED),
            "name": UNSEEN_NAME,
            "unseen": spec_string(UNSEEN),
            "predicted": _interval(along),
            "measured": float(unseen.loss[-1]),
        },
        "cell": {
            "law": chinchilla.law,
            "level": chinchilla.level,
            "params_nonembedding": params,
            "tokens": tokens,
            "predicted": _interval(cell),
            "measured": means["advice"],
            "seeds": by_point["advice"].tolist(),
        },
        "recommended": {
            "law": step_law.law,
            "level": step_law.level,
            "peak_lr": _interval(advice.peak_lr),
            "batch_tokens": _interval(advice.batch_tokens),
            "batch_sequences": batch,
            "override": advice.override,
            "warnings": list(advice.warnings),
        },
        "regret": {
            "of_best": best,
            "value": means["advice"] / means[best] - 1,
            "seed_noise": float(np.nanmean([np.ptp(value) / 2 for value in by_point.values()]) / means[best]),
            "losses": {
                label: {"peak_lr": eta, "batch_sequences": b, "mean": means[label], "seeds": by_point[label].tolist()}
                for label, (eta, b) in points.items()
            },
        },
        "warnings": [
            *[
                f"{fit.law}: {text}"
                for fit, answer in ((chinchilla, cell), (schedule_law, along))
                for text in (*answer.warnings, *fit.warnings)
            ],
            *[text for text in step_law.warnings if text not in advice.warnings],
        ],
    }
    answer = finite(answer)
    write_atomic(out / "quickstart.json", json.dumps(answer, indent=1) + "\n")
    write_atomic(out / "runs.csv", pd.concat([part.table for part in (cells, curves, measured)]).to_csv())
    basins = figures.basins(*_basins(cells, step_law.cells, figures.cell_name))
    prediction = figures.prediction(
        _interval(cell),
        [(label, means[label], float(np.ptp(by_point[label]) / 2)) for label in points],
        {**{names[name]: curve for name, curve in curves.curves.items()}, UNSEEN_NAME: unseen},
        UNSEEN_NAME,
        (np.asarray(along.value), np.asarray(along.low), np.asarray(along.high)),
    )
    for name, figure in (("cells", basins), ("prediction", prediction)):
        write_atomic(out / "figures" / f"{name}.png", figures.picture(figure, "png"))
    return answer


def _interval(answer: Any) -> dict[str, Any]:
    """`value`, `low` and `high` of an answer, the last ones where it is a curve; None where there is no interval."""
    ends = {name: getattr(answer, name) for name in ("value", "low", "high")}
    return {name: None if value is None else float(np.ravel(value)[-1]) for name, value in ends.items()}


def _basins(runs: Runs, cells: Sequence[Mapping[str, Any]], name: Callable[[float, float], str]) -> tuple[dict, dict]:
    """Losses and fitted optima by the name of their cell, for the figure."""
    losses: dict[str, list[tuple[float, float, float]]] = {}
    columns = ["params_nonembedding", "tokens", "peak_lr", "batch_tokens", "val_loss_nats"]
    table = runs.finished().table[columns].sort_values(columns)
    for params, tokens, *point in table.to_numpy(float):
        losses.setdefault(name(params, tokens), []).append((point[0], point[1], point[2]))
    best = {name(cell["params"], cell["tokens"]): (cell["peak_lr"], cell["batch_tokens"]) for cell in cells}
    return losses, best
