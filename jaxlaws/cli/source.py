"""The arguments that name a SOURCE of runs, the same for every command that reads one."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from jaxlaws.errors import BadInput
from jaxlaws.records.published import FORMATS
from jaxlaws.records.questions import QUESTIONS
from jaxlaws.records.units import parse_number

_SOURCE = (
    "sweep directory, table (CSV, JSON lines, Parquet; a row a run, a row a step, or a chart with a column a run), "
    "folder with a table a run, wandb:ENTITY/PROJECT[/sweep/ID], mlflow:EXPERIMENT, or a published table's file"
)
#: Flags of `add_source`, by the names of their values.
_FLAGS = ("format", "where", "map", "set", "join", "schedules", "name", "target", "assume")


def add_source(
    parser: argparse.ArgumentParser, what: str = "SOURCE", help: str = _SOURCE, optional: bool = False
) -> None:
    """SOURCE, --format, --where, --map, --set, --join, --schedules, --name, --target and --assume.

    Args:
      what, help: of SOURCE.
      optional: whether the command says itself that SOURCE is missing.
    """
    parser.add_argument("source", metavar=what, nargs="?" if optional else None, help=help)
    parser.add_argument("--format", help="published table: " + ", ".join(FORMATS))
    parser.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="CONDITION",
        help="which runs, such as 'params_nonembedding<=4.3e8' or 'State==finished'; all of several hold",
    )
    parser.add_argument(
        "--map",
        action="append",
        default=[],
        metavar="OURS=THEIRS",
        help="name of a column in the file, such as loss=val/ce",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="OURS=VALUE",
        help="a value that every run has, such as seq_len=2048",
    )
    parser.add_argument(
        "--join",
        action="append",
        default=[],
        metavar="FILE",
        help="another table, whose columns are added by run id: a plan of the runs, or what came of them",
    )
    parser.add_argument(
        "--schedules",
        metavar="FILE",
        help="table of run_id, schedule (a name or spec), steps and peak_lr, for curves without a learning rate",
    )
    parser.add_argument(
        "--name",
        metavar="PATTERN",
        help="what run ids say: '{params}-{}xC' reads N from 190M-10xC",
    )
    parser.add_argument(
        "--target",
        metavar="NAME",
        default="",
        help="the loss that counts, where runs have several: NAME of a column val_loss.NAME or metric.NAME",
    )
    parser.add_argument(
        "--assume",
        action="append",
        default=[],
        metavar="NAME",
        help="what you answer for yourself where a table is doubted: " + ", ".join(QUESTIONS) + " (docs/tables.md)",
    )


def add_thinning(parser: argparse.ArgumentParser) -> None:
    """--every and --from-step, of commands that read curves."""
    parser.add_argument(
        "--every",
        type=int,
        metavar="K",
        help="means of K consecutive losses of a curve; without it long logs are thinned and 1 keeps all",
    )
    parser.add_argument(
        "--from-step",
        default="0",
        metavar="STEP|SHARE",
        help="leave out the losses before this step, or before this share of the steps of each curve, such as 0.1",
    )


def source_flags(args: argparse.Namespace) -> list[str]:
    """Those flags of `add_source` that were given."""
    return [f"--{name}" for name in _FLAGS if getattr(args, name)]


def open_source(args: argparse.Namespace, collect: bool = False, curves: bool = False):
    """The runs that the arguments of `add_source` name.

    Args:
      collect, curves: of `open_runs`.
    """
    from jaxlaws.records.source import open_runs

    if not args.source:
        raise BadInput("SOURCE is empty, expected the name of a sweep directory, a table or a folder.")
    schedules = None
    if args.schedules is not None:
        from jaxlaws.schedules.of_runs import read_schedules

        schedules = read_schedules(args.schedules)
    return open_runs(
        args.source,
        format=args.format,
        where=args.where,
        map=parse_map(args.map),
        assume=args.assume,
        set=parse_map(args.set, "--set", "seq_len=2048"),
        join=args.join,
        schedules=schedules,
        name=args.name,
        target=args.target,
        collect=collect,
        curves=curves,
        progress=_progress,
        **_thinning(args),
    )


def _thinning(args: argparse.Namespace) -> dict[str, Any]:
    """What `add_thinning` adds to the arguments of `open_runs`, where the command has it."""
    if not hasattr(args, "every"):
        return {}
    return {"every": args.every, "from_step": parse_number(args.from_step, "--from-step")}


def _progress(done: int, total: int) -> None:
    """Show on a terminal how many histories a tracker has given."""
    if sys.stderr.isatty():
        print(f"\rruns read: {done}/{total}" if done < total else "\r\033[K", end="", file=sys.stderr, flush=True)


def parse_map(entries: Sequence[str], flag: str = "--map", example: str = "loss=val/ce") -> dict[str, str]:
    """{ours: theirs} of entries `ours=theirs`, several in one entry when joined by commas."""
    names: dict[str, str] = {}
    for entry in entries:
        parts = entry.split(",")
        for part in parts if all("=" in part for part in parts) else [entry]:
            ours, sign, theirs = part.partition("=")
            if not (sign and ours.strip() and theirs.strip()):
                raise BadInput(f"{flag} is '{entry}', expected OURS=THEIRS such as {example}.")
            names[ours.strip()] = theirs.strip()
    return names
