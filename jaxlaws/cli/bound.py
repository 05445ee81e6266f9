"""`jaxlaws bound SCHEDULE`: the convex last-iterate bound, its best base LR, transfer and extension."""

from __future__ import annotations

import argparse
import json
import math
from typing import Any

from jaxlaws.cli.schedule import add_spec, open_schedule
from jaxlaws.records.units import parse_positive, parse_whole


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("schedule", metavar="SCHEDULE", help="such as 'wsd(cooldown=0.2)', or a .csv, .npy, .json")
    add_spec(parser)
    parser.add_argument("--against", metavar="SCHEDULE", help="another one, to which a tuned peak LR is carried over")
    parser.add_argument(
        "--extend", metavar="STEPS", help="how a run of wsd with this cooldown goes on to so many steps"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout and nothing else")


def run(args: argparse.Namespace) -> int:
    from jaxlaws.designs.bound import transfer

    name, lr, _ = open_schedule(args.schedule, args.steps, "1", args.warmup, 0)
    answer: dict[str, Any] = {"schedule": name, **_about(lr), "against": None, "transfer": None, "extension": None}
    peak = None if args.peak_lr is None else parse_positive(args.peak_lr, "--peak-lr")
    if args.against is not None:
        second, second_lr, _ = open_schedule(args.against, args.steps, "1", args.warmup, 0)
        factor = transfer(lr, second_lr)
        answer["against"] = {"schedule": second, **_about(second_lr)}
        answer["transfer"] = {"factor": factor, "peak_lr": None if peak is None else factor * peak}
    if args.extend is not None:
        answer["extension"] = _extension(args, len(lr))
    if args.json:
        print(json.dumps(answer, ensure_ascii=False, allow_nan=False))
        return 0
    _show(answer, peak)
    return 0


def _about(lr: Any) -> dict[str, Any]:
    from jaxlaws.designs.bound import bound

    best, root = bound(lr), math.sqrt(len(lr))
    return {
        "steps": len(lr),
        "best_lr": best.best_lr,
        "value": best.value,
        "scaled_lr": root * best.best_lr,
        "scaled_value": root * best.value,
    }


def _extension(args: argparse.Namespace, steps: int) -> dict[str, Any]:
    from jaxlaws.designs.bound import longer_cooldown, second_stage
    from jaxlaws.errors import BadInput
    from jaxlaws.schedules.config import numbers
    from jaxlaws.schedules.spec import ScheduleConfig, parse

    longer = parse_whole(args.extend, "--extend")
    text = args.schedule.split("(")[0].strip()
    if text != "wsd":
        raise BadInput(f"--extend is for a wsd schedule, got '{text}': its trunk is what goes on.")
    cooldown = float(numbers(ScheduleConfig(**parse(args.schedule)))["cooldown"])
    return {
        "steps": longer,
        "second_stage": second_stage(steps, longer, cooldown),
        "cooldown": longer_cooldown(steps, longer, cooldown),
    }


def _show(answer: dict[str, Any], peak: float | None) -> None:
    print(f"  {'':<52}{'best LR · √T':>14}{'bound · √T':>14}   (gradients and distance of norm 1)")
    for part in (answer, answer["against"]):
        if part is not None:
            print(f"  {part['schedule']:<52}{part['scaled_lr']:>14.3f}{part['scaled_value']:>14.3f}")
    if answer["transfer"] is not None:
        factor = answer["transfer"]["factor"]
        print(f"A peak LR that is tuned for the first is multiplied by {factor:.3f} for the second", end="")
        print("." if peak is None else f": {peak:.4g} becomes {answer['transfer']['peak_lr']:.4g}.")
    if (more := answer["extension"]) is not None:
        print(f"To go on to {more['steps']} steps at the LR that {answer['steps']} steps were tuned for:")
        print(f"  LR × {more['second_stage']:.3f} from where the cooldown began, and as large a share of cooldown;")
        share = more["cooldown"]
        print("  no longer cooldown does it." if share is None else f"  or the same LR and a cooldown of {share:.0%}.")
