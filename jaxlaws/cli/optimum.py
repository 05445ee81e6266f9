"""`jaxlaws optimum`: a compute budget into N, D and tokens per parameter."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from jaxlaws.cli.source import add_source, open_source
from jaxlaws.errors import BadInput
from jaxlaws.records.units import parse_positive, short
from jaxlaws.status import require_trusted

if TYPE_CHECKING:
    from jaxlaws.fitting.optimum import Optimum, Quantity

#: Field of an `Optimum` → its word on the screen, and how it is shown.
QUANTITIES: dict[str, tuple[str, Callable[[float], str]]] = {
    "params": ("N", short),
    "tokens": ("D", short),
    "tokens_per_param": ("D/N", "{:.3g}".format),
    "loss": ("loss", "{:.4f}".format),
    "exponent": ("N ~ C^", "{:.3f}".format),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_source(
        parser, what="FIT", help="fit file or preset such as chinchilla:epoch; with --approach 1 or 2 a SOURCE of runs"
    )
    parser.add_argument("--flops", required=True, help="compute budget C = 6·N·D, such as 1e21")
    parser.add_argument(
        "--approach",
        type=int,
        choices=(1, 2, 3),
        default=3,
        help="1 envelope, 2 isoFLOP parabolas, 3 a fitted law (default)",
    )
    parser.add_argument("--params-column", help="what N is in a SOURCE: params_nonembedding or params_total")
    parser.add_argument("--force", action="store_true", help="answer from a fit that cannot be trusted")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    flops = parse_positive(args.flops, "--flops")
    law, convention, found = _of_a_fit(args, flops) if args.approach == 3 else _of_runs(args, flops)
    warnings = [*found.extrapolation.refuse_absurd(args.force), *found.warnings]
    if args.json:
        quantities = {name: getattr(found, name)._asdict() for name in QUANTITIES if getattr(found, name) is not None}
        answer = {"law": law, "approach": args.approach, "flops": flops, **quantities, "level": found.level}
        answer |= {"convention": convention, "extrapolation": found.extrapolation.to_json(), "warnings": warnings}
        print(json.dumps(answer, ensure_ascii=False, allow_nan=False))
        return 0
    meaning = [f"{key} {value}" for key, value in convention.items() if key in ("params", "loss")]
    print(f"{law} at {flops:.3g} FLOP (C = 6·N·D; {', '.join(meaning)})")
    for name, (word, show) in QUANTITIES.items():
        if (quantity := getattr(found, name)) is not None:
            print(f"  {word:<14}{_line(quantity, show)}")
    if found.params.low is not None:
        print(f"  brackets: {found.level:.0%} intervals, of the loss that of one new run")
    for text in warnings:
        print(f"  warning: {text}")
    return 0


def _of_a_fit(args: argparse.Namespace, flops: float) -> tuple[str, dict, Optimum]:
    from jaxlaws.fitting.optimum import optimum
    from jaxlaws.fitting.predict import open_fit
    from jaxlaws.status import require_trusted

    if args.format or args.where or args.map or args.params_column:
        raise BadInput(
            "--format, --where, --map and --params-column read runs, for --approach 1 or 2; approach 3 reads a fit."
        )
    fit = open_fit(args.source)
    require_trusted(fit, args.source, args.force)
    return fit.law, dict(fit.convention), optimum(fit, flops)


def _of_runs(args: argparse.Namespace, flops: float) -> tuple[str, dict, Optimum]:
    from jaxlaws.fitting.isoflop import envelope, parabolas, params_of
    from jaxlaws.fitting.optimum import frontier_optimum
    from jaxlaws.records.settings import comparable, one_setting

    settle = one_setting if args.approach == 1 else comparable
    runs = settle(open_source(args), f"approach {args.approach}", ("params_nonembedding", "params_total", "tokens"))
    column = params_of(runs, args.params_column)
    law = {1: "envelope", 2: "parabolas"}[args.approach]
    frontier = (
        envelope(runs, column) if args.approach == 1 else parabolas(runs, law=_fitted_law(runs, column), column=column)
    )
    label = require_trusted(frontier, f"of {law} to {runs.source}", args.force)
    found = frontier_optimum(frontier, flops)
    return law, {"params": column}, found._replace(warnings=(*label, *found.warnings))


def _fitted_law(runs, column: str):
    """The Chinchilla law of the same runs, by which approach 2 is judged; None where they do not identify it."""
    from jaxlaws.fitting.fit import fit

    found = fit("chinchilla", runs, bootstrap=0, params_column=column)
    p = found.params
    return (lambda n, d: p["E"] + p["A"] * n ** -p["alpha"] + p["B"] * d ** -p["beta"]) if found.trusted else None


def _line(quantity: Quantity, show: Callable[[float], str]) -> str:
    if quantity.low is None or quantity.high is None:
        return show(quantity.value)
    return f"{show(quantity.value):<10}[{show(quantity.low)}, {show(quantity.high)}]"
