"""`jaxlaws fit LAW SOURCE`: fit a law, show it as a table, keep it as a JSON file."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxlaws.cli.laws import law_names
from jaxlaws.cli.source import add_source, add_thinning, open_source
from jaxlaws.errors import BadInput, unknown
from jaxlaws.records.files import Output
from jaxlaws.records.units import parse_number
from jaxlaws.status import require_trusted
from jaxlaws.text import quoted

if TYPE_CHECKING:
    from jaxlaws.fits import Fit
    from jaxlaws.records.table import Runs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    law: Any = parser.add_argument("law", metavar="LAW", help="name of a law, as `jaxlaws laws` lists them")
    law.completer = law_names
    add_source(parser, optional=True)
    add_thinning(parser)
    parser.add_argument(
        "--train",
        metavar="A,B,…|CONDITION",
        help="runs to fit, by id or such as 'cooldown_fraction<=0.4'; the others are held out and scored",
    )
    parser.add_argument("--noise", help="noise model; the law's default without it")
    parser.add_argument("--starts", type=int, help="random starts (64 for points, 16 for curves)")
    parser.add_argument("--bootstrap", type=int, help="resamples for intervals (1000 for points, 200 for curves)")
    parser.add_argument("--seed", type=int, default=0, help="of random starts and resamples")
    parser.add_argument("--params-column", help="what N is: params_nonembedding or params_total")
    parser.add_argument("--warmup-ld", help="included (default) or excluded")
    parser.add_argument(
        "--fix", action="append", default=[], metavar="NAME=VALUE", help="a constant that is not fitted"
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="write the fit as JSON")
    parser.add_argument("--plot", metavar="FILE", help="draw the fit beside the runs, as .png, .svg or .pdf")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout and nothing else")
    parser.add_argument("--force", action="store_true", help="exit 0 even if the fit cannot be trusted")


def run(args: argparse.Namespace) -> int:
    from jaxlaws.api import fit, fitted_laws, reads_curves

    laws = fitted_laws()
    if args.law not in laws:
        if args.source in laws or (args.source is None and Path(args.law).exists()):
            law = args.source or "step_law"
            raise BadInput(f"the law comes before the runs, such as jaxlaws fit {law} {quoted(args.law)}.")
        raise unknown("law", args.law, laws)
    if args.source is None:
        raise BadInput(f"there are no runs to fit, expected such as jaxlaws fit {args.law} runs.csv.")
    form = None if args.plot is None else _format(args.plot)
    runs = open_source(args, curves=reads_curves(args.law))
    with Output(args.output) as file, Output(args.plot) as picture:
        result = fit(args.law, runs, progress=_progress(args), **_options(args, runs))
        file.write(result.text())
        if form is not None:
            picture.write(_picture(result, runs, form))
        if args.json:
            print(json.dumps(result.to_json(), allow_nan=False))
        else:
            _show(result)
    if not args.json:
        for name in filter(None, (args.output, args.plot)):
            print(f"written to {name}")
    require_trusted(result, f"of {args.law}", args.force)
    return 0


def _options(args: argparse.Namespace, runs: Runs) -> dict[str, Any]:
    """The options of the fit for which the user gives flags."""
    options = {
        "train": _train(args.train, runs),
        "noise": args.noise,
        "starts": args.starts,
        "bootstrap": args.bootstrap,
        "seed": args.seed,
        "params_column": args.params_column,
        "warmup_ld": args.warmup_ld,
        "fixed": _constants(args.fix) or None,
    }
    return {name: value for name, value in options.items() if value is not None}


def _format(name: str) -> str:
    from jaxlaws.figures import picture_format

    return picture_format(Path(name))


def _picture(result: Fit, runs: Runs, form: str) -> bytes:
    from jaxlaws.figures import picture

    return picture(result.figure(runs), form)


def _progress(args: argparse.Namespace) -> Callable[[str, int, int], None]:
    """A callback that shows the progress of each stage on one line of a terminal and clears the line at its end."""
    began = time.monotonic()
    last_print = began

    def progress(stage: str, done: int, total: int) -> None:
        nonlocal last_print
        if args.json or not sys.stderr.isatty():
            return
        if done >= total:
            print("\r\033[K", end="", file=sys.stderr)
        elif time.monotonic() - last_print > 0.2:
            last_print = time.monotonic()
            print(f"\r{stage}: {done}/{total}  {last_print - began:.0f} s \033[K", end="", file=sys.stderr, flush=True)

    return progress


def _train(text: str | None, runs: Runs) -> list[str] | None:
    if not text:
        return None
    if any(sign in text for sign in ("<", ">", "==", "!=")):
        from jaxlaws.records.where import where

        return [str(name) for name in where(runs, text).table.index]
    return [name.strip() for name in text.split(",")]


def _constants(entries: Sequence[str]) -> dict[str, float]:
    pairs = [entry.partition("=") for entry in entries]
    for name, sign, value in pairs:
        if not (name and sign and value):
            raise BadInput(f"--fix is '{name}{sign}{value}', expected NAME=VALUE such as lambda=0.999.")
    return {name.strip(): parse_number(value, f"--fix {name}") for name, _, value in pairs}


def _show(result: Fit) -> None:
    from jaxlaws.cli.screen import Screen

    console = Screen()
    if result.data.get("used"):
        console.print(result.data["used"], soft_wrap=True)
    console.print(f"{result.law} on {result.data['source']}: {result.status.replace('_', ' ')}")
    console.print(f"  {result.formula}", soft_wrap=True)
    console.print(result.table())
    for part in result.details():
        console.print(part, soft_wrap=isinstance(part, str))
    for warning in result.warnings:
        console.print(f"warning: {warning}", style="yellow")
