"""`jaxlaws status SWEEP`: what is done, running, failed, diverged and pending, and how long the rest will take."""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxlaws.errors import BadInput, Failed
from jaxlaws.records.claim import STALE
from jaxlaws.records.units import short
from jaxlaws.text import quoted

if TYPE_CHECKING:
    from jaxlaws.records.run import Look, RunDir
    from jaxlaws.sweep.lanes import Summary

#: The table at the end of a sweep: its runs, the fewest of one (N, D), and the largest number of rows.
_ROWS, _LEAST_OF_A_CELL, _MOST_ROWS = 30, 3, 60
STATES = ("ok", "diverged", "failed", "running", "pending")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", metavar="SWEEP", help="directory of a sweep, such as sweeps/NAME")
    parser.add_argument("--retry-failed", action="store_true", help="make the failed runs pending again")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    from jaxlaws.records.run import run_dirs

    runs = run_dirs(args.sweep)
    code = _retry(runs) if args.retry_failed else 0
    answer = status(runs)
    if args.json:
        print(json.dumps(answer, allow_nan=False))
        return code
    print(f"{args.sweep}: {len(runs)} runs, " + ", ".join(f"{answer[name]} {name}" for name in STATES))
    for name, reason in answer["failures"].items():
        print(f"  {name} failed: {reason}")
    for text in answer["mixed"]:
        print(f"  {text}")
    for who, seconds in answer["heartbeats"].items():
        print(f"  {who}: last heartbeat {_ago(seconds)}")
    if answer["pending"] + answer["running"] and answer["eta_s"] is not None:
        print(f"  about {answer['eta_s']:.0f} s left at the pace of the runs that have ended")
    return code


def status(runs: Sequence[RunDir]) -> dict[str, Any]:
    """Counts by state, the last line of every failure, what differs between runs, and the seconds left.

    Those follow from FLOPs over seconds of the runs that have ended, for each of the processes at work. Their last
    heartbeats are dated by the clock of the file system that the runs are on, whatever the clocks of the processes say.
    """
    from jaxlaws.records.claim import clock_of
    from jaxlaws.sweep.ledger import mixed

    looks, flops_to_go = _looks(runs)
    records = [look.record for look in looks.values() if look.state in ("ok", "diverged")]
    timings = [record for record in records if record.get("seconds") and record.get("flops_exact")]
    seconds = sum(record["seconds"] for record in timings)
    flops = sum(record["flops_exact"] * (1 - _not_repeated(record)) for record in timings)
    running = [item for item in runs if looks[item.name].state == "running"]
    now = clock_of(running[0].path.parent) if running else None
    beats: dict[str, float] = {}
    for item in running:
        if owner := item.owner():
            beats[owner] = max(beats.get(owner, 0.0), item.heartbeat() or 0.0)
    counts = Counter(look.state for look in looks.values())
    return {
        **{name: counts[name] for name in STATES},
        "failures": {name: look.reason for name, look in looks.items() if look.state == "failed"},
        "eta_s": flops_to_go * seconds / flops / max(1, len(beats)) if flops > 0 else None,
        "workers": sorted(beats),
        "heartbeats": {who: None if now is None else max(0.0, now - beat) for who, beat in sorted(beats.items())},
        "mixed": mixed(runs),
        "at": time.time(),
    }


def _looks(runs: Sequence[RunDir]) -> tuple[dict[str, Look], float]:
    """(run id → the content of its files, FLOPs that the runs without an end still need)."""
    from jaxlaws.records.run import Look

    looks, flops_to_go = {item.name: item.look(whole=True) for item in runs}, 0.0
    for item in runs:
        if looks[item.name].state in ("running", "pending"):
            try:
                flops_to_go += _remaining_flops(item, looks[item.name].state)
            except FileNotFoundError:
                continue
            except BadInput as error:
                looks[item.name] = Look("failed", {}, f"{item.path / 'config.yaml'}: {error}")
    return looks, flops_to_go


def _retry(runs: Sequence[RunDir]) -> int:
    """Make the failed runs pending again; exit code 1 where one cannot be."""
    code = 0
    looks, _ = _looks(runs)
    for item in runs:
        if looks[item.name].state == "failed":
            try:
                item.reset()
            except (Failed, OSError) as error:
                print(f"jaxlaws: {error}", file=sys.stderr)
                code = 1
    return code


def _ago(seconds: float | None) -> str:
    if seconds is None:
        return "at an unknown time, since nothing can be written here to compare it with"
    remark = "" if seconds < STALE else f"; `jaxlaws train` takes its runs over after {STALE:g} s without another one"
    return f"{seconds:.0f} s ago{remark}"


def print_ended(out: Path, runs: Sequence[RunDir], summary: Summary) -> None:
    """The end of a sweep on the screen: one row a run, best first within each (N, D), and what became of the others."""
    from jaxlaws.cli.screen import Screen

    looks = {item.name: item.look() for item in runs}
    records = {name: look.record for name, look in looks.items() if look.state in ("ok", "diverged")}
    rows = _ranking(records)[:_MOST_ROWS]
    console = Screen()
    console.lines(_HEADS, rows)
    if hidden := len(records) - sum(any(row) for row in rows):
        console.print(f"… and {hidden} more: jaxlaws collect {quoted(out)} -o runs.csv")
    waiting = sum(look.state == "pending" for look in looks.values())
    diverged = sum(looks[name].state == "diverged" for name in summary.trained)
    console.print(
        f"{out}: {len(summary.trained)} trained ({diverged} diverged), {len(summary.skipped)} done before, "
        f"{len(summary.failed)} failed"
        + (f", {len(summary.busy)} held by another process" if summary.busy else "")
        + (f", {waiting} pending" if waiting else "")
    )
    savings = {
        name: _not_repeated(records[name]) * (records[name].get("flops_exact") or 0)
        for name in summary.trained
        if name in records
    }
    if any(savings.values()):
        branches = sum(value > 0 for value in savings.values())
        console.print(
            f"  {branches} runs branched off the training of others: {sum(savings.values()):.2g} FLOPs not repeated",
        )
    if summary.busy:
        console.print(f"  jaxlaws status {quoted(out)} shows when they have ended")
    for name, reason in summary.failed.items():
        console.print(f"  {name} failed: {reason}", style="red")
    if waiting and not summary.failed and not summary.busy:
        console.print("  nobody trains what is pending: the same command does")
    if any(looks[name].state == "failed" for name in summary.failed if name in looks):
        console.print(f"  jaxlaws status {quoted(out)} --retry-failed makes them pending again")


_HEADS = ("run", "N", "layers x width", "D", "batch", "peak LR", "seed", "val loss", "schedule")


def _ranking(records: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """Rows of ended runs, best first within each (N, D), with an empty row between two of those."""
    import pandas as pd

    from jaxlaws.records.cells import cell_of
    from jaxlaws.schedules.apart import names_apart

    numbers = {name: [r.get(name) or 1.0 for r in records.values()] for name in ("params_nonembedding", "tokens")}
    cells = pd.Series(cell_of(pd.DataFrame(numbers)), list(records))
    names, rows = names_apart(str(r.get("schedule") or "") for r in records.values()), list[list[str]]()
    for _, cell in sorted(cells.groupby(cells)):
        best = sorted(cell.index, key=lambda name: (records[name].get("val_loss_nats") or math.inf, name))
        top = best[: max(_LEAST_OF_A_CELL, _ROWS // cells.nunique())]
        rows += [[""] * len(_HEADS)] * bool(rows) + [[name, *_row(records[name], names)] for name in top]
    return rows


def _row(r: Mapping[str, Any], names: Mapping[str, str]) -> list[str]:
    final = f"{r.get('val_loss_nats') or math.nan:.4f}"
    loss = final if r["status"] == "ok" else f"diverged at {r.get('diverged_step')}"
    size, tokens = (short(r[key]) if r.get(key) else "–" for key in ("params_nonembedding", "tokens"))
    peak = f"{r.get('peak_lr') or math.nan:.3g}"
    about = (size, r.get("model"), tokens, r.get("batch_sequences"), peak, r.get("seed"), loss)
    return [*map(str, about), names[str(r.get("schedule") or "")]]


def _not_repeated(record: dict[str, Any]) -> float:
    """The share of a run that its trunk has trained for it."""
    return (record.get("trunk_steps") or 0) / (record.get("steps") or 1)


def _remaining_flops(item: RunDir, state: str) -> float:
    """FLOPs that a run still needs, counted from the last validation if it is running."""
    from jaxlaws.config import run_config, steps
    from jaxlaws.sweep.plan import Planned

    config = item.config()
    if not {"steps", "tokens"} & set(config):
        raise BadInput("it has neither steps nor tokens, which the config of a run states.")
    run = run_config(config)
    progress = max(item.curve_steps(), default=0) / steps(run) if state == "running" else 0.0
    return Planned(run, item).work * (1 - progress)
