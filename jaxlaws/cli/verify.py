"""`jaxlaws recommend --verify`: train the advice and its neighbours a factor of two away, and judge whether it held."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxlaws.errors import BadInput, Failed
from jaxlaws.records.files import write_atomic
from jaxlaws.records.units import short

if TYPE_CHECKING:
    from jaxlaws.config import RunConfig
    from jaxlaws.recommender.recommendation import Recommendation
    from jaxlaws.sweep.plan import Planned

#: Seeds of every point; all points share them, so that differences are paired.
SEEDS = (0, 1)
#: Seconds of training above which the command needs --yes.
LONG = 3600.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--verify, --dry-run and --yes."""
    parser.add_argument(
        "--verify", action="store_true", help="train it and its neighbours ÷2 and ×2 in LR and batch, and compare"
    )
    parser.add_argument("--dry-run", action="store_true", help="of --verify: say what that would cost")
    parser.add_argument("--yes", action="store_true", help="of --verify: train even for more than an hour")


def check(args: argparse.Namespace) -> None:
    """Raises `BadInput` for flags that do not go together."""
    for flag in ("dry_run", "yes"):
        if getattr(args, flag) and not args.verify:
            raise BadInput(f"--{flag.replace('_', '-')} is of --verify: give that too.")
    if args.dry_run and args.json:
        raise BadInput("--dry-run prints a table and --json an answer: leave one out.")


def verify(answer: Recommendation, dry_run: bool, yes: bool) -> dict[str, Any] | None:
    """Train an answer and its neighbours in sweeps/verify-N-D; runs that have ended there are not repeated.

    Args:
      answer: with a command that trains it.
      dry_run: only print what that costs; the answer then is None.
      yes: train for however long it takes.

    Raises:
      BadInput: no command trains the answer, or it takes more than `LONG` and `yes` is not given.
      Failed: a run failed.
    """
    from jaxlaws.cli.launch import Dry, launch
    from jaxlaws.cli.paste import trained
    from jaxlaws.config import EngineConfig, SweepConfig
    from jaxlaws.data.tokens import open_data
    from jaxlaws.sweep.plan import lay_out

    run = trained(answer)[1]
    points = neighbours(run)
    runs = [replace(point, seed=seed) for point in points.values() for seed in SEEDS]
    out = Path("sweeps") / f"verify-{short(answer.question['params'])}-{short(answer.question['tokens'])}"
    plan = lay_out(runs, out, lambda data: open_data(data).digest)
    if not dry_run and not yes:
        _refuse_long(plan)
    question = ["recommend --verify", *answer.override.split(" ")]
    with contextlib.redirect_stdout(sys.stdout if dry_run else sys.stderr):
        code = launch(runs, out, SweepConfig(), EngineConfig(), question, Dry(None) if dry_run else None)
    if dry_run:
        return None
    if code:
        raise Failed(f"not every run of {out} has ended: jaxlaws status {out} says why; the same command goes on.")
    items_of = dict(zip(points, zip(*[iter(plan)] * len(SEEDS), strict=True), strict=True))
    verdict = judge({label: [_loss(item) for item in items] for label, items in items_of.items()})
    for label, point in points.items():
        verdict["points"][label] |= {"peak_lr": point.optimizer.peak_lr, "batch_sequences": _batch(point)}
    verdict["directory"] = str(out)
    with contextlib.suppress(OSError):
        write_atomic(out / "verify.json", json.dumps(verdict, indent=1, allow_nan=False) + "\n")
    return verdict


def neighbours(run: RunConfig) -> dict[str, RunConfig]:
    """The run and those a factor of two away in LR and in batch, as far as there are such runs."""
    from jaxlaws import config, quickstart

    points: dict[str, RunConfig] = {}
    for label, (lr, batch) in quickstart.neighbours(run.optimizer.peak_lr, _batch(run)).items():
        schedule = run.schedule
        if schedule.batch_sequences is not None:
            schedule = replace(schedule, batch_sequences=batch)
        optimizer = replace(run.optimizer, peak_lr=lr)
        point = replace(run, optimizer=optimizer, schedule=schedule, batch_sequences=batch, batch_tokens=None)
        with contextlib.suppress(BadInput):
            config.check(point)
            points[label] = point
    return points


def judge(losses: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Whether the advice held: no point is better than it by more than a safe band and the noise of the seeds.

    Args:
      losses: point → the loss of every seed, infinite where it diverged; the first point is the advice.

    Returns:
      `held`, `best` point, `regret` of the advice against it, `noise`, two standard errors of a paired difference,
      `within`, what an advice may be above the best, and `points`: name → losses, their mean, above_best.
    """
    from jaxlaws.recommender.safety import WITHIN

    means = {label: sum(values) / len(values) for label, values in losses.items()}
    best = min(means, key=means.__getitem__)
    advice, *rivals = losses.values()
    variance = sum(_variance(advice, rival) for rival in rivals) / max(len(rivals), 1)
    noise = 2 * math.sqrt(variance / len(advice))
    lowest = means[best]
    above = {label: mean / lowest - 1 if math.isfinite(lowest) else math.inf for label, mean in means.items()}
    regret = above[next(iter(losses))]
    return {
        "held": math.isfinite(regret) and regret <= WITHIN + noise,
        "best": best,
        "regret": _number(regret),
        "noise": noise,
        "within": WITHIN,
        "points": {
            label: {
                "losses": [_number(value) for value in values],
                "mean": _number(means[label]),
                "above_best": _number(above[label]),
            }
            for label, values in losses.items()
        },
    }


def show(verdict: Mapping[str, Any]) -> None:
    """The points as a table, and the verdict in a sentence."""
    from rich.table import Table

    from jaxlaws.cli.screen import Screen

    console = Screen()
    table = Table(title="The advice and its neighbours", title_justify="left")
    for name in ("trained", "peak LR", "batch, sequences", f"loss, mean of {len(SEEDS)} seeds", "above the best"):
        table.add_column(name, justify="left" if name == "trained" else "right")
    for label, point in verdict["points"].items():
        mean, above = point["mean"], point["above_best"]
        cells = ("diverged", "–") if mean is None else (f"{mean:.4f}", f"{above:.2%}")
        table.add_row(label, f"{point['peak_lr']:.3g}", f"{point['batch_sequences']}", *cells)
    console.print(table)
    if verdict["regret"] is None:
        print("NOT HELD: the run with the advice diverged.")
    elif verdict["held"]:
        print(
            f"held: {verdict['regret']:.2%} above the best of these points, '{verdict['best']}'; the safe band is "
            f"{verdict['within']:.2%}, and two seeds cannot tell differences below {verdict['noise']:.2%}."
        )
    else:
        point = verdict["points"][verdict["best"]]
        print(
            f"NOT HELD: '{verdict['best']}' (peak LR {point['peak_lr']:.3g}, {point['batch_sequences']} sequences) is "
            f"better by {verdict['regret']:.2%}, and two seeds tell differences above {verdict['noise']:.2%}: "
            "take it, and add runs like it to the law's sweep."
        )
    print(f"runs: {verdict['directory']}")


def _refuse_long(plan: Sequence[Planned]) -> None:
    from jaxlaws.cli.dry_run import duration
    from jaxlaws.cli.launch import _device
    from jaxlaws.sweep.cost import costs, remembered

    seconds = sum(group.seconds for group in costs(plan, _device(), remembered()))
    if seconds > LONG:
        raise BadInput(
            f"training the advice and its neighbours, {len(plan)} runs, takes about {duration(seconds)} here: --yes "
            "starts it all the same, and --dry-run says more."
        )


def _batch(run: RunConfig) -> int:
    from jaxlaws import config

    return config.batch_sequences(run)


def _loss(item: Planned) -> float:
    record = item.directory.record()
    loss = record.get("val_loss_nats")
    return math.inf if record["status"] != "ok" or loss is None else float(loss)


def _variance(advice: Sequence[float], rival: Sequence[float]) -> float:
    """The variance of the relative difference between two points, seed by seed; 0 if one of them diverged."""
    gaps = [b / a - 1 for a, b in zip(advice, rival, strict=True) if math.isfinite(a) and math.isfinite(b)]
    if len(gaps) < 2:
        return 0.0
    mean = sum(gaps) / len(gaps)
    return sum((gap - mean) ** 2 for gap in gaps) / (len(gaps) - 1)


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
