"""`jaxlaws optimum`: a compute budget, or a loss to reach, into N, D and tokens per parameter."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

from jaxlaws.cli.inputs import add_inputs, given_inputs
from jaxlaws.cli.source import add_source, open_source, source_flags
from jaxlaws.errors import BadInput
from jaxlaws.quantity import Quantity
from jaxlaws.records.units import parse_number, parse_positive, short
from jaxlaws.status import require_trusted
from jaxlaws.text import figure

if TYPE_CHECKING:
    from jaxlaws.fitting.optimum import Optimum

#: Field of an `Optimum` → its word on the screen, and the text of its value.
QUANTITIES: dict[str, tuple[str, Callable[[float], str]]] = {
    "flops": ("C", figure),
    "params": ("N", short),
    "tokens": ("D", short),
    "tokens_per_param": ("D/N", "{:.3g}".format),
    "loss": ("loss", "{:.4f}".format),
    "exponent": ("N ~ C^", "{:.3f}".format),
    "steps": ("steps", short),
    "least_steps": ("fewest steps", short),
    "least_tokens": ("fewest tokens", short),
    "critical_batch": ("critical batch", short),
}
#: Columns of inputs without a flag here: the steps follow from tokens and batch, and --flops is the budget.
_NO_FLAG = ("steps", "flops")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_source(
        parser, what="FIT", help="fit file or preset such as chinchilla:epoch; with --approach 1 or 2 a SOURCE of runs"
    )
    parser.add_argument("--flops", help="compute budget C = 6·N·D, such as 1e21")
    parser.add_argument("--loss", help="loss to reach at least cost, instead of a budget")
    parser.add_argument(
        "--served-tokens", default="0", help="tokens that the model answers with; each adds 2·N FLOP to the cost"
    )
    parser.add_argument(
        "--approach",
        type=int,
        choices=(1, 2, 3),
        default=3,
        help="1 envelope, 2 isoFLOP parabolas, 3 a fitted law (default)",
    )
    parser.add_argument("--params-column", help="what N is in a SOURCE: params_nonembedding or params_total")
    add_inputs(parser, without=_NO_FLAG)
    parser.add_argument("--force", action="store_true", help="answer from a fit that cannot be trusted")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    law, convention, best = _of_a_fit(args) if args.approach == 3 else _of_runs(args)
    warnings = [*best.extrapolation.refuse_absurd(args.force), *best.warnings]
    quantities = {name: getattr(best, name) for name in QUANTITIES}
    if args.json:
        values = {name: None if value is None else asdict(value) for name, value in quantities.items()}
        answer = {"law": law, "approach": args.approach, **values, "served_tokens": best.served_tokens}
        answer |= {"level": best.level, "convention": convention, "extrapolation": best.extrapolation.to_json()}
        print(json.dumps({**answer, "warnings": warnings}, ensure_ascii=False, allow_nan=False))
        return 0
    meaning = [f"{key} {value}" for key, value in convention.items() if key in ("params", "loss")]
    target = f"at {best.flops.value:.3g} FLOP" if args.loss is None else f"for a loss of {args.loss}"
    serving = f" + 2·N·{short(best.served_tokens)}" if best.served_tokens else ""
    print(f"{law} {target} (C = 6·N·D{serving}; {', '.join(meaning)})")
    for name, (word, show) in QUANTITIES.items():
        if (value := quantities[name]) is not None and getattr(args, name, None) is None:
            print(f"  {word:<16}{_line(value, show)}")
    if any(value is not None and value.low is not None for value in quantities.values()):
        print(f"  brackets: {best.level:.0%} intervals{', of the loss that of one new run' if args.flops else ''}")
    for text in warnings:
        print(f"  warning: {text}")
    return 0


def _of_a_fit(args: argparse.Namespace) -> tuple[str, dict, Optimum]:
    from jaxlaws.fitting.optimum import optimum
    from jaxlaws.fitting.predict import open_fit

    flags = [*source_flags(args), *(["--params-column"] if args.params_column else [])]
    if flags:
        raise BadInput(f"{flags[0]} reads runs, for --approach 1 or 2; approach 3 reads a fit.")
    inputs, notes = given_inputs(args, without=_NO_FLAG)
    served_tokens = parse_number(args.served_tokens, "--served-tokens")
    flops = None if args.flops is None else parse_positive(args.flops, "--flops")
    loss = None if args.loss is None else parse_number(args.loss, "--loss")
    fit = open_fit(args.source)
    require_trusted(fit, args.source, args.force)
    best = optimum(fit, flops, loss=loss, served_tokens=served_tokens, **inputs)
    return fit.law, dict(fit.convention), best._replace(warnings=(*notes, *best.warnings))


def _of_runs(args: argparse.Namespace) -> tuple[str, dict, Optimum]:
    from jaxlaws.fitting.isoflop import envelope, parabolas, params_of
    from jaxlaws.fitting.optimum import frontier_optimum
    from jaxlaws.records.settings import comparable, one_setting

    inputs, _ = given_inputs(args, without=_NO_FLAG)
    if args.flops is None or args.loss is not None or args.served_tokens != "0" or any(inputs.values()):
        raise BadInput(f"approach {args.approach} answers where a budget is best spent: give --flops, and only that.")
    flops = parse_positive(args.flops, "--flops")
    settle = one_setting if args.approach == 1 else comparable
    runs = settle(open_source(args), f"approach {args.approach}", ("params_nonembedding", "params_total", "tokens"))
    column = params_of(runs, args.params_column)
    law = {1: "envelope", 2: "parabolas"}[args.approach]
    frontier = (
        envelope(runs, column) if args.approach == 1 else parabolas(runs, law=_fitted_law(runs, column), column=column)
    )
    label = require_trusted(frontier, f"of {law} to {runs.source}", args.force)
    best = frontier_optimum(frontier, flops)
    return law, {"params": column, "loss": runs.loss_label}, best._replace(warnings=(*label, *best.warnings))


def _fitted_law(runs, column: str):
    """The Chinchilla law of the same runs, by which approach 2 is judged; None where they do not identify it."""
    from jaxlaws.fitting.fit import fit

    result = fit("chinchilla", runs, bootstrap=0, params_column=column)
    p = result.params
    return (lambda n, d: p["E"] + p["A"] * n ** -p["alpha"] + p["B"] * d ** -p["beta"]) if result.trusted else None


def _line(quantity: Quantity, show: Callable[[float], str]) -> str:
    if quantity.low is None or quantity.high is None:
        return show(quantity.value)
    return f"{show(quantity.value):<10}[{show(quantity.low)}, {show(quantity.high)}]"
