"""`jaxlaws bench NAME`: the benchmarks, both sides in the same run."""

from __future__ import annotations

import argparse
import json
from importlib import import_module

from jaxlaws.errors import BadInput, unknown
from jaxlaws.records.units import parse_whole

#: Largest number of repeats of a benchmark.
_MOST = 1000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="fit, …")
    parser.add_argument("--repeats", default=5, help="of which the median is taken")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout and nothing else")


def run(args: argparse.Namespace) -> int:
    from jaxlaws.bench import BENCHES

    if args.name not in BENCHES:
        raise unknown("benchmark", args.name, BENCHES)
    repeats = parse_whole(args.repeats, "--repeats", 0)
    if not 1 <= repeats <= _MOST:
        raise BadInput(f"--repeats is {repeats}, expected at least 1 and at most {_MOST}.")
    rows = [row.to_json() for row in import_module(BENCHES[args.name]).rows(repeats)]
    if args.json:
        print(json.dumps({"bench": args.name, "rows": rows}, allow_nan=False))
        return 0
    for row in rows:
        print(row["name"])
        print(f"    ours {_seconds(row['ours_s'])}", end="")
        if row["baseline_s"] is not None:
            speedup = f"{row['speedup']:.1f}" if row["speedup"] < 10 else f"{row['speedup']:.0f}"
            print(f", baseline {_seconds(row['baseline_s'])}: {speedup}×   ({row['baseline']})", end="")
        print(f"\n    {row['note']}")
    return 0


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value >= 0.1 else f"{1000 * value:.2f} ms"
