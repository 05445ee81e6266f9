"""`jaxlaws fit LAW SOURCE`: fit a law, show it as a table, keep it as a JSON file."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxlaws.cli.source import add_source, open_source
from jaxlaws.errors import BadInput, unknown
from jaxlaws.records.files import Output
from jaxlaws.records.units import parse_number
from jaxlaws.status import require_trusted
from jaxlaws.text import quoted

if TYPE_CHECKING:
    from jaxlaws.fits import Fit

#: Flag that a law of LR and batch does not read → (whether it is used, why not).
_LOSS_LAWS_ONLY: dict[str, tuple[Callable[[argparse.Namespace], bool], str]] = {
    "--train": (lambda args: bool(args.train), "which leaves every cell out once; select runs with --where"),
    "--noise": (lambda args: args.noise is not None, "whose noise is the scatter of the cells"),
    "--starts": (lambda args: args.starts is not None, "which has no random starts"),
    "--fix": (lambda args: bool(args.fix), "whose exponents are chosen by what predicts cells that are left out"),
    "--params-column": (
        lambda args: args.params_column not in (None, "params_nonembedding"),
        "which counts params_nonembedding",
    ),
    "--warmup-ld": (lambda args: args.warmup_ld != "included", "which reads final losses and no curves"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("law", metavar="LAW", help="name of a law, as `jaxlaws laws` lists them")
    add_source(parser, optional=True)
    parser.add_argument(
        "--train",
        metavar="A,B,…|CONDITION",
        help="runs to fit, by id or such as 'cooldown_fraction<=0.4'; the others are held out and scored",
    )
    parser.add_argument("--noise", help="noise model; the law's default without it")
    parser.add_argument("--starts", type=int, help="random starts (64 for points, 16 for curves)")
    parser.add_argument("--bootstrap", type=int, help="resamples for intervals (1000 for points, 200 for curves)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--params-column", help="what N is: params_nonembedding or params_total")
    parser.add_argument("--warmup-ld", default="included", help="included (default) or excluded")
    parser.add_argument(
        "--fix", action="append", default=[], metavar="NAME=VALUE", help="a constant that is not fitted"
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="write the fit as JSON")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout and nothing else")
    parser.add_argument("--force", action="store_true", help="exit 0 even if the fit cannot be trusted")


def run(args: argparse.Namespace) -> int:
    from jaxlaws.laws.table import LAWS

    hyper = _hyper_laws()
    laws = (*LAWS, *hyper)
    if args.law not in laws:
        if args.source in laws or (args.source is None and Path(args.law).exists()):
            law = args.source or "step_law"
            raise BadInput(f"the law comes before the runs, such as jaxlaws fit {law} {quoted(args.law)}.")
        raise unknown("law", args.law, laws)
    if args.source is None:
        raise BadInput(f"there are no runs to fit, expected such as jaxlaws fit {args.law} runs.csv.")
    runs = open_source(args, curves=args.law in LAWS and LAWS[args.law].kind == "curve")
    with Output(args.output) as file:
        result = _estimate(args, runs) if args.law in hyper else _fit(args, runs)
        file.write(result.text())
        if args.json:
            print(json.dumps(result.to_json(), allow_nan=False))
        else:
            _show(result)
    if file and not args.json:
        print(f"written to {args.output}")
    require_trusted(result, f"of {args.law}", args.force)
    return 0


def _hyper_laws() -> tuple[str, ...]:
    from jaxlaws.recommender.estimate import HYPER_LAWS

    return tuple(HYPER_LAWS)


def _estimate(args: argparse.Namespace, runs: Any) -> Any:
    from jaxlaws.recommender.estimate import estimate

    useless = [flag for flag, (used, _) in _LOSS_LAWS_ONLY.items() if used(args)]
    if useless:
        raise BadInput(f"{useless[0]} is of no use to {args.law}, {_LOSS_LAWS_ONLY[useless[0]][1]}.")
    more = {} if args.bootstrap is None else {"bootstrap": args.bootstrap}
    return estimate(runs, law=args.law, seed=args.seed, **more)


def _fit(args: argparse.Namespace, runs: Any) -> Any:
    from jaxlaws.fitting.fit import fit

    began = time.monotonic()
    shown = began

    def progress(stage: str, done: int, total: int) -> None:
        nonlocal shown
        if not args.json and sys.stderr.isatty() and time.monotonic() - shown > 0.2:
            shown = time.monotonic()
            print(f"\r{stage}: {done}/{total}  {shown - began:.0f} s \033[K", end="", file=sys.stderr, flush=True)

    result = fit(
        args.law,
        runs,
        train=_train(args.train, runs),
        noise=args.noise,
        starts=args.starts,
        bootstrap=args.bootstrap,
        seed=args.seed,
        params_column=args.params_column,
        warmup_ld=args.warmup_ld,
        fixed=_fixed(args.fix),
        progress=progress,
    )
    if not args.json and sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    return result


def _train(text: str | None, runs: Any) -> list[str] | None:
    if not text:
        return None
    if any(sign in text for sign in ("<", ">", "==", "!=")):
        from jaxlaws.records.where import where

        return [str(name) for name in where(runs, text).table.index]
    return [name.strip() for name in text.split(",")]


def _fixed(entries: Sequence[str]) -> dict[str, float]:
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
