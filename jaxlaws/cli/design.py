"""`jaxlaws design …`: the best schedule for a law, which cooldown, and how to extend a run."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple

from jaxlaws.cli.inputs import add_inputs, given_inputs
from jaxlaws.cli.laws import preset_names
from jaxlaws.cli.schedule_files import ScheduleFiles, schedule_files
from jaxlaws.errors import BadInput
from jaxlaws.extrapolation import Extrapolation, farthest
from jaxlaws.records.units import parse_positive, parse_whole

if TYPE_CHECKING:
    import numpy as np

    from jaxlaws.designs.schedule import Design
    from jaxlaws.fitting.result import LossFit

#: Largest number of horizons of one request; each horizon takes a search of its own.
_MOST_HORIZONS = 32
#: Columns of inputs that are flags of the schedule in this command.
_OTHERS = ("steps", "peak_lr", "phase_start")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    schedule = what.add_parser("schedule", help="the schedule with the lowest predicted final loss")
    _common(schedule)
    schedule.add_argument("--steps", help="T, warm-up included")
    schedule.add_argument("--horizons", metavar="A,B,…", help="several T that share one trunk")
    schedule.add_argument("--weights", metavar="A,B,…", help="of the horizons' losses (equal)")
    schedule.add_argument("--peak-lr", help="peak of the schedule")
    schedule.add_argument("--free-peak", action="store_true", help="find the peak, within those that were fitted")
    schedule.add_argument(
        "--family", metavar="SPEC", help="the numbers of a family, such as wsd or 'wsd(shape=linear)'"
    )
    schedule.add_argument("--knots", type=int, metavar="K", help="a decay that is linear between K knots")
    schedule.add_argument("--seed", type=int, default=0, help="of the random starts")
    schedule.add_argument("-o", "--out", metavar="FILE", help="write step,lr as .csv (or .npy, .json for LambdaLR)")
    schedule.add_argument("--plot", metavar="FILE", help="draw it into a .png, .svg or .pdf")
    cooldown = what.add_parser("cooldown", help="which share of the steps to cool down over")
    _common(cooldown)
    cooldown.add_argument("--horizons", "--steps", required=True, metavar="A,B,…", help="one T or several")
    cooldown.add_argument("--peak-lr", required=True)
    cooldown.add_argument("--shape", default="linear", help="of the cooldown (linear)")
    extend = what.add_parser("extend", help="a finished run to more steps: go on, or start again")
    _common(extend)
    extend.add_argument("--schedule", required=True, metavar="FILE|SPEC", help="of the finished run")
    extend.add_argument("--steps", help="that a SPEC has")
    extend.add_argument("--peak-lr", help="that a SPEC has")
    extend.add_argument("--to", required=True, metavar="STEPS", help="the horizon in view")
    extend.add_argument("-o", "--out", metavar="FILE", help="write step,lr of the best way, all its steps")


def _common(parser: argparse.ArgumentParser) -> None:
    fit: Any = parser.add_argument("fit", metavar="FIT", help="fit file, or a preset such as multi_power:25M")
    fit.completer = preset_names
    parser.add_argument("--warmup", help="warm-up steps (5%% of the shortest horizon)")
    add_inputs(parser, _OTHERS)
    parser.add_argument("--force", action="store_true", help="answer from a fit that cannot be trusted")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout and nothing else")


def run(args: argparse.Namespace) -> int:
    from jaxlaws.designs.schedule import curve_law
    from jaxlaws.fitting.predict import open_fit
    from jaxlaws.status import require_trusted

    fit = open_fit(args.fit)
    inputs, notes = given_inputs(args, _OTHERS)
    curve_law(fit, inputs)
    label = [*require_trusted(fit, args.fit, args.force), *notes]
    with _files(args) as files:
        result = {"schedule": _schedule, "cooldown": _cooldown, "extend": _extend}[args.what](args, fit, inputs)
        label += result.reach.refuse_absurd(args.force)
        warnings = [*label, *result.reach.sentences(), *result.warnings]
        answer = result.answer | {"extrapolation": result.reach.to_json(), "warnings": warnings}
        if result.tables:
            answer["files"] = files.write(result.tables)
        outputs = zip(result.tables, answer["files"], strict=False) if getattr(args, "out", None) else ()
        answer["train"] = [*result.train, *(_trains(fit, lr, file) for (_, lr), file in outputs)]
        if args.json:
            print(json.dumps(answer, ensure_ascii=False, allow_nan=False))
        else:
            result.show()
            for text in warnings:
                print(f"warning: {text}")
    for file in [] if args.json else answer.get("files", []):
        print(f"written to {file}")
    for line in [] if args.json else answer["train"]:
        print(f"  {line}")
    return 0


def _trains(fit: LossFit, lr: np.ndarray, file: str) -> str:
    """The command that trains a schedule from the file that it was written to."""
    from jaxlaws.cli.train_line import train_line

    return train_line(fit, {"name": "table", "file": file}, len(lr), float(lr.max()))


def _files(args: argparse.Namespace) -> AbstractContextManager[ScheduleFiles]:
    if args.what != "schedule":
        return schedule_files(getattr(args, "out", None), None)
    return schedule_files(args.out, args.plot, _list(args.horizons or "1", "--horizons"))


class _Answer(NamedTuple):
    """The answer to one of the questions.

    Attributes:
      answer: as data.
      reach: how far it lies outside the law's data.
      show: prints it for people.
      warnings: sentences.
      tables: (name, lr[steps]) of the schedules that can be written.
      train: commands that train what needs no file.
    """

    answer: dict[str, Any]
    reach: Extrapolation
    show: Callable[[], None]
    warnings: Sequence[str] = ()
    tables: Sequence[tuple[str, np.ndarray]] = ()
    train: Sequence[str] = ()


def _schedule(args: argparse.Namespace, fit: LossFit, inputs: Mapping[str, Any]) -> _Answer:
    from jaxlaws.designs import gain
    from jaxlaws.fitting.predict import predict

    if (args.steps is None) == (args.horizons is None):
        raise BadInput("give the length as exactly one of --steps and --horizons.")
    horizons = [parse_whole(args.steps, "--steps")] if args.horizons is None else _list(args.horizons, "--horizons")
    weights = None if args.weights is None else [parse_positive(w, "--weights") for w in args.weights.split(",")]
    warmup = _warmup(args, horizons)
    best = _design(args, fit, inputs, horizons, weights, warmup)
    shares = weights or [1.0] * len(horizons)
    warnings = _edge_of_peaks(fit, best.peak_lr) if args.free_peak else []
    reaches, parts = [], []
    for steps, lr, loss in zip(horizons, best.lr, best.loss, strict=True):
        prediction = predict(fit, lr=lr, warmup_steps=warmup, **inputs)
        gains = gain.gains(fit, lr, gain.baselines(steps, best.peak_lr, warmup), warmup, **inputs)
        below = [t for t in range(warmup, steps) if lr[t] < 0.999 * best.peak_lr]
        parts.append(
            {
                "steps": steps,
                "objective": loss,
                "predicted": {name: getattr(prediction, name) for name in ("value", "low", "high", "level")},
                "decay_begins": below[0] if below else None,
                "final_lr": float(lr[-1]),
                "gains": {name: value._asdict() for name, value in gains.items()},
            }
        )
        reaches.append(prediction.extrapolation)
        warnings += [text for text in gain.warnings(fit, lr, warmup) if text not in warnings]
    answer = {
        "law": fit.law,
        "convention": dict(fit.convention),
        "form": best.form,
        "peak_lr": best.peak_lr,
        "warmup_steps": warmup,
        "objective": sum(w * loss for w, loss in zip(shares, best.loss, strict=True)) / sum(shares),
        "schedules": parts,
        "starts": list(best.starts),
    }
    tables = [(f"{best.form}, {len(lr)} steps", lr) for lr in best.lr]
    return _Answer(answer, farthest(reaches), lambda: _show(answer, best), warnings, tables)


def _design(args, fit: LossFit, inputs, horizons: list[int], weights, warmup: int) -> Design:
    from jaxlaws.designs.family import best_of_family
    from jaxlaws.designs.schedule import design

    peak: float | tuple[float, float]
    if args.free_peak:
        if args.peak_lr is not None:
            raise BadInput("--free-peak finds the peak LR: leave out --peak-lr.")
        low, high = fit.ranges.get("peak_lr", (0.0, 0.0))
        if not high > 1.05 * low:
            raise BadInput(
                "--free-peak needs a fit whose runs had several peak LRs: give --peak-lr, or fit a sweep of them."
            )
        peak = (low, high)
    elif args.peak_lr is None:
        raise BadInput("--peak-lr is missing: give the peak of the schedule, or --free-peak.")
    else:
        peak = parse_positive(args.peak_lr, "--peak-lr")
    if args.family is None:
        steps = horizons if args.horizons is not None else horizons[0]
        return design(fit, steps, peak, warmup, knots=args.knots, weights=weights, seed=args.seed, **inputs)
    if args.knots is not None or args.horizons is not None:
        raise BadInput("--family goes with neither --knots nor --horizons: they are other forms of a schedule.")
    return best_of_family(fit, args.family, horizons[0], peak, warmup, **inputs)


def _edge_of_peaks(fit: LossFit, peak: float) -> list[str]:
    """A warning where the peak that was found is an end of the range that was searched."""
    low, high = fit.ranges["peak_lr"]
    end = "highest" if peak > 0.999 * high else "lowest" if peak < 1.001 * low else ""
    if not end:
        return []
    return [
        f"the peak LR that was found, {peak:.3g}, is the {end} of those that were fitted, so that the law does not say "
        "where the best one is: find it by a sweep of peak LRs, and give it as --peak-lr."
    ]


def _show(answer: dict[str, Any], design: Design) -> None:
    from rich.table import Table

    from jaxlaws.cli.schedule import picture
    from jaxlaws.cli.screen import Screen

    console = Screen()
    print(f"{answer['law']}, {answer['form']}: peak LR {design.peak_lr:.4g}, {answer['warmup_steps']} steps of warm-up")
    for part, lr in zip(answer["schedules"], design.lr, strict=True):
        value = part["predicted"]
        edges = "" if value["low"] is None else f" [{value['low']:.4f}, {value['high']:.4f}]"
        begins = "no decay" if part["decay_begins"] is None else f"decay from step {part['decay_begins']}"
        print(
            f"{part['steps']} steps, {begins} to LR {part['final_lr']:.3g}: predicted loss {value['value']:.4f}{edges}"
        )
        print(picture(lr))
        table = Table("gain over", "predicted", "90% interval", "expected", "noise of a pair", "verdict")
        for name, gain in part["gains"].items():
            interval = "none" if gain["low"] is None else f"{gain['low']:+.4f} … {gain['high']:+.4f}"
            verdict = gain["verdict"] + ("" if gain["pairs"] in (None, 1) else f", {gain['pairs']} pairs show it")
            table.add_row(
                name, f"{gain['predicted']:+.4f}", interval, f"{gain['expected']:+.4f}", f"{gain['noise']:.4f}", verdict
            )
        console.print(table)


def _cooldown(args: argparse.Namespace, fit: LossFit, inputs: Mapping[str, Any]) -> _Answer:
    from jaxlaws.cli.train_line import train_line
    from jaxlaws.designs.budget import FLOOR, cooldowns

    horizons = _list(args.horizons, "--horizons")
    peak, warmup = parse_positive(args.peak_lr, "--peak-lr"), _warmup(args, horizons)
    rows = cooldowns(fit, horizons, peak, warmup, args.shape, **inputs)
    reach = farthest(row.pop("extrapolation") for row in rows)

    def show() -> None:
        print(f"{fit.law}: predicted final loss of wsd({args.shape}) by the share of its cooldown")
        print(f"{'steps':>10}", *(f"{share:>8.0%}" for share in rows[0]["losses"]), f"{'best':>8}{'loss':>9}", sep="")
        for row in rows:
            losses = (f"{value:>8.4f}" for value in row["losses"].values())
            print(f"{row['steps']:>10}", *losses, f"{row['best']:>8.1%}{row['loss']:>9.4f}", sep="")

    answer = {"law": fit.law, "shape": args.shape, "peak_lr": peak, "warmup_steps": warmup, "horizons": rows}
    wsd = {"name": "wsd", "shape": args.shape, "warmup_steps": warmup}
    wsd |= {"floor": FLOOR} if args.shape == "exponential" else {}
    best = ((row["steps"], {**wsd, "cooldown": float(f"{row['best']:.6g}")}) for row in rows)
    return _Answer(answer, reach, show, train=[train_line(fit, schedule, steps, peak) for steps, schedule in best])


def _extend(args: argparse.Namespace, fit: LossFit, inputs: Mapping[str, Any]) -> _Answer:
    from jaxlaws.cli.schedule import open_schedule
    from jaxlaws.designs.budget import extend

    name, lr, warmup = open_schedule(args.schedule, args.steps, args.peak_lr, args.warmup)
    ways = extend(fit, lr, parse_whole(args.to, "--to"), warmup, **inputs)

    def show() -> None:
        print(f"{fit.law}: from {name}, {len(lr)} steps, to {len(ways[0].lr)}")
        for way in ways:
            print(f"  {way.name:<16} predicted loss {way.loss:.4f}, {way.steps} steps to train")

    body = [{"name": way.name, "loss": way.loss, "steps": way.steps} for way in ways]
    answer = {"law": fit.law, "schedule": name, "steps": len(ways[0].lr), "ways": body}
    tables = [(ways[0].name, ways[0].lr)]
    return _Answer(answer, farthest(way.extrapolation for way in ways), show, tables=tables)


def _warmup(args: argparse.Namespace, horizons: list[int]) -> int:
    if args.warmup is None:
        return round(0.05 * min(horizons))
    return parse_whole(args.warmup, "--warmup", 0)


def _list(text: str, name: str) -> list[int]:
    parts = text.split(",")
    if len(parts) > _MOST_HORIZONS:
        raise BadInput(f"{name} names {len(parts)} horizons, expected at most {_MOST_HORIZONS}: ask for fewer.")
    return [parse_whole(part, name) for part in parts]
