"""The arguments that name a SOURCE of runs, the same for every command that reads one."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from jaxlaws.errors import BadInput
from jaxlaws.records.questions import QUESTIONS

_SOURCE = "sweep directory, CSV or Parquet file, or the file or folder of a published table"


def add_source(parser: argparse.ArgumentParser, what: str = "SOURCE", help: str = _SOURCE) -> None:
    """SOURCE, --format, --where, --map and --assume."""
    parser.add_argument("source", metavar=what, help=help)
    parser.add_argument("--format", help="published table: step_law, multi_power_law, isoflop, lr_scheduling, …")
    parser.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="CONDITION",
        help="which runs, such as 'params_nonembedding<=4.3e8'; all of several hold",
    )
    parser.add_argument(
        "--map",
        action="append",
        default=[],
        metavar="OURS=THEIRS",
        help="name of a column in the file, such as loss=val/ce",
    )
    parser.add_argument(
        "--assume",
        action="append",
        default=[],
        metavar="NAME",
        help="what you answer for yourself where a table is doubted: " + ", ".join(QUESTIONS) + " (docs/tables.md)",
    )


def open_source(args: argparse.Namespace):
    """The runs that the arguments of `add_source` name."""
    from jaxlaws.records.source import open_runs

    return open_runs(args.source, format=args.format, where=args.where, map=parse_map(args.map), assume=args.assume)


def parse_map(entries: Sequence[str]) -> dict[str, str]:
    """{ours: theirs} of entries `ours=theirs`, several in one entry when joined by commas."""
    names: dict[str, str] = {}
    for entry in entries:
        parts = entry.split(",")
        for part in parts if all("=" in part for part in parts) else [entry]:
            ours, sign, theirs = part.partition("=")
            if not (sign and ours.strip() and theirs.strip()):
                raise BadInput(f"--map is '{entry}', expected OURS=THEIRS such as loss=val/ce.")
            names[ours.strip()] = theirs.strip()
    return names
