"""`jaxlaws quickstart`: the whole loop on this machine's CPU, and prediction beside measurement at its end."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxlaws.errors import BadInput

#: Warnings on the screen; quickstart.json has all of them.
_WARNINGS = 6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", metavar="DIR", default="quickstart", help="directory of the results (quickstart)")
    parser.add_argument("--tiny", action="store_true", help="the same in about a minute, too small for good laws")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    from jaxlaws.training.devices import use_host_devices

    if not args.out:
        raise BadInput("--out is empty, expected the name of a folder.")
    use_host_devices()
    from jaxlaws import quickstart
    from jaxlaws.cli.progress import progress

    began, out = time.monotonic(), Path(args.out)
    scale = quickstart.TINY if args.tiny else quickstart.FULL
    answer = quickstart.run(scale, out, progress, lambda line: print(line, file=sys.stderr, flush=True))
    if args.json:
        print(json.dumps(answer, allow_nan=False))
        return 0
    show(answer)
    print(f"written: {out}/quickstart.json, runs.csv, step_law.json, chinchilla.json, schedule_law.json, figures/*.png")
    print(f"done in {time.monotonic() - began:.0f} s")
    return 0


def show(answer: Mapping[str, Any]) -> None:
    """The last screen: what was predicted beside what was measured, and what the advice cost."""
    from rich.table import Table

    from jaxlaws.cli.screen import Screen
    from jaxlaws.figures import cell_name

    console = Screen()
    schedule, cell, advice, regret = (answer[name] for name in ("schedule", "cell", "recommended", "regret"))
    name = cell_name(cell["params_nonembedding"], cell["tokens"])
    table = Table(
        "not trained before",
        "law",
        "predicted loss",
        f"{cell['level']:.0%} interval",
        "measured",
        "error",
        title="Predictions",
    )
    for what, part in ((schedule["name"], schedule), (name, cell)):
        p = part["predicted"]
        table.add_row(
            what,
            _law_and_status(part, answer),
            f"{p['value']:.4f}",
            f"{p['low']:.4f} … {p['high']:.4f}",
            *_beside(p, part["measured"]),
        )
    console.print(table)

    table = Table(
        "for " + name,
        "recommended",
        f"{advice['level']:.0%} interval",
        title=f"Advice of the fitted {_law_and_status(advice, answer)}",
    )
    for label, key in (("peak LR", "peak_lr"), ("batch, tokens", "batch_tokens")):
        value = advice[key]
        interval = "not measured" if value["low"] is None else f"{value['low']:.3g} … {value['high']:.3g}"
        table.add_row(label, f"{value['value']:.3g}", interval)
    console.print(table)

    table = Table("trained in that cell", "peak LR", "batch, sequences", "loss, mean of two seeds", "above the best")
    table.title = "The advice and its neighbours"
    least = regret["losses"][regret["of_best"]]["mean"]
    for label, point in regret["losses"].items():
        lr, batch, mean = f"{point['peak_lr']:.3g}", str(point["batch_sequences"]), point["mean"]
        cost = ("diverged", "") if mean is None else (f"{mean:.4f}", f"{mean / least - 1:.2%}")
        table.add_row(label, lr, batch, *cost)
    console.print(table)
    value = "diverged" if regret["value"] is None else f"{regret['value']:.2%}"
    console.print(
        f"Regret of the advice: {value} above the best of these {len(regret['losses'])} points, "
        f"'{regret['of_best']}'; half the spread of two seeds is {regret['seed_noise']:.2%}.",
    )
    warnings = [*advice["warnings"], *answer["warnings"]]
    for warning in warnings[:_WARNINGS]:
        console.print(f"warning: {warning}", style="yellow")
    if len(warnings) > _WARNINGS:
        console.print(f"… and {len(warnings) - _WARNINGS} more warnings in quickstart.json", style="yellow")


def _law_and_status(part: Mapping[str, Any], answer: Mapping[str, Any]) -> str:
    """The law of a part of the answer, and its status where the data leave something open."""
    law, status = part["law"], answer["status"][part["law"]]
    return law if status == "converged" else f"{law} ({status.replace('_', ' ')})"


def _beside(prediction: Mapping[str, float], loss: float | None) -> tuple[str, str]:
    """The measured loss, and the error of its prediction."""
    if loss is None:
        return "diverged", ""
    inside = "inside" if prediction["low"] <= loss <= prediction["high"] else "outside"
    return f"{loss:.4f}", f"{prediction['value'] / loss - 1:+.2%}, {inside}"
