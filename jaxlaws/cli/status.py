"""`jaxlaws status SWEEP`: what is done, running, failed, diverged and pending, and how long the rest will take."""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxlaws.records.run import RunDir
    from jaxlaws.sweep.lanes import Summary

STATES = ("ok", "diverged", "failed", "running", "pending")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", metavar="SWEEP", help="directory of a sweep, such as sweeps/NAME")
    parser.add_argument("--retry-failed", action="store_true", help="make the failed runs pending again")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    from jaxlaws.records.run import run_dirs

    runs = run_dirs(args.sweep)
    if args.retry_failed:
        for item in runs:
            if item.state() == "failed":
                item.reset()
    answer = status(runs)
    if args.json:
        print(json.dumps(answer))
        return 0
    print(f"{args.sweep}: {len(runs)} runs, " + ", ".join(f"{answer[name]} {name}" for name in STATES))
    for name, reason in answer["failures"].items():
        print(f"  {name} failed: {reason}")
    for text in answer["mixed"]:
        print(f"  {text}")
    if answer["pending"] + answer["running"] and answer["eta_s"] is not None:
        print(f"  about {answer['eta_s']:.0f} s left at the pace of the runs that have ended")
    return 0


def status(runs: Sequence[RunDir]) -> dict[str, Any]:
    """Counts by state, the last line of every failure, what differs between runs, and the seconds left.

    Those follow from FLOPs over seconds of the runs that have ended, for each of the processes at work.
    """
    from jaxlaws.sweep.ledger import mixed

    states = {item.name: item.state() for item in runs}
    records = {item.name: item.record() for item in runs if states[item.name] in ("ok", "diverged")}
    seconds = sum(record["seconds"] for record in records.values())
    flops = sum(record["flops_exact"] * (1 - _not_repeated(record)) for record in records.values())
    left = sum(_left(item, states[item.name]) for item in runs if states[item.name] in ("running", "pending"))
    workers = {item.owner() for item in runs if states[item.name] == "running"}
    counts = Counter(states.values())
    return {
        **{name: counts[name] for name in STATES},
        "failures": {item.name: item.reason() for item in runs if states[item.name] == "failed"},
        "eta_s": left * seconds / flops / max(1, len(workers)) if flops else None,
        "workers": sorted(filter(None, workers)),
        "mixed": mixed(runs),
        "at": time.time(),
    }


def print_ended(out: Path, runs: Sequence[RunDir], summary: Summary) -> None:
    """The end of a sweep on the screen: one row a run, best first, and what became of the others."""
    from rich.table import Table

    from jaxlaws.cli.screen import Screen

    ended = {item.name: item.record() for item in runs if item.state() in ("ok", "diverged")}
    order = sorted(ended, key=lambda name: (ended[name]["val_loss_nats"] is None, ended[name]["val_loss_nats"]))
    table = Table("run", "model", "tokens", "batch", "schedule", "peak LR", "seed", "val loss", title=str(out))
    for name in order[:20]:
        r = ended[name]
        loss = f"{r['val_loss_nats']:.4f}" if r["status"] == "ok" else f"diverged at {r['diverged_step']}"
        kind = r["schedule"].split("(")[0]
        cells = (r["model"], r["tokens"], r["batch_sequences"], kind, f"{r['peak_lr']:.3g}", r["seed"], loss)
        table.add_row(name, *map(str, cells))
    console = Screen()
    console.print(table)
    if len(order) > 20:
        console.print(f"… and {len(order) - 20} more: jaxlaws collect {out} -o runs.csv")
    waiting = sum(item.state() == "pending" for item in runs)
    diverged = sum(ended[name]["status"] == "diverged" for name in summary.trained)
    console.print(
        f"{out}: {len(summary.trained)} trained ({diverged} diverged), {len(summary.skipped)} done before, "
        f"{len(summary.failed)} failed"
        + (f", {len(summary.busy)} held by another process" if summary.busy else "")
        + (f", {waiting} pending" if waiting else "")
    )
    saved = {name: _not_repeated(ended[name]) * ended[name]["flops_exact"] for name in summary.trained}
    if any(saved.values()):
        branched = sum(value > 0 for value in saved.values())
        console.print(
            f"  {branched} runs branched off the training of others: {sum(saved.values()):.2g} FLOPs not repeated",
        )
    if summary.busy:
        console.print(f"  jaxlaws status {out} shows when they have ended")
    for name, reason in summary.failed.items():
        console.print(f"  {name} failed: {reason}", style="red")
    if summary.failed:
        console.print(f"  jaxlaws status {out} --retry-failed makes them pending again")


def _not_repeated(record: dict[str, Any]) -> float:
    """The share of a run that its trunk has trained for it."""
    return record["trunk_steps"] / record["steps"] if "trunk_steps" in record else 0.0


def _left(item: RunDir, state: str) -> float:
    """FLOPs that a run still needs; of a running one, what its last validation leaves."""
    from jaxlaws.config import run_config, steps
    from jaxlaws.sweep.plan import Planned

    run = run_config(item.config())
    done = item.done() / steps(run) if state == "running" else 0.0
    return Planned(run, item).work * (1 - done)
