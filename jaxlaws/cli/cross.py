"""`jaxlaws cross`: where two fitted laws cross, how sure that is, and which is better on either side."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from jaxlaws.cli.inputs import add_inputs, given_inputs
from jaxlaws.errors import BadInput
from jaxlaws.records.units import parse_positive, short
from jaxlaws.status import require_trusted

if TYPE_CHECKING:
    from jaxlaws.fitting.cross import Cross

#: Path → its letter.
_LETTER = {"flops": "C", "params": "N", "tokens": "D"}
#: Columns of inputs without a flag here: the steps follow from tokens and batch.
_NO_FLAG = ("steps",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    for name in ("a", "b"):
        parser.add_argument(name, metavar=name.upper(), help="fit file, or a preset as `jaxlaws laws` lists them")
    parser.add_argument(
        "--before",
        metavar="NUMBER",
        help="C, or D with --params and N with --tokens: the probability that they cross before it",
    )
    add_inputs(parser, without=_NO_FLAG)
    parser.add_argument("--force", action="store_true", help="answer from fits, or so far out, as cannot be trusted")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    from jaxlaws.fitting.cross import cross
    from jaxlaws.fitting.predict import open_fit

    names = (args.a, args.b)
    if args.a == args.b:
        raise BadInput(f"both laws are {args.a}, expected two different ones.")
    inputs, notes = given_inputs(args, without=_NO_FLAG)
    before = None if args.before is None else parse_positive(args.before, "--before")
    fits = [open_fit(name) for name in names]
    for fit, name in zip(fits, names, strict=True):
        require_trusted(fit, name, args.force)
    answer = cross(*fits, before=before, **inputs)
    warnings = [*answer.extrapolation.refuse_absurd(args.force), *notes, *answer.warnings]
    if args.json:
        body = answer._asdict() | {
            "at": None if answer.at is None else asdict(answer.at),
            "better_below": names[answer.better_below],
            "better_above": names[answer.better_above],
            "extrapolation": answer.extrapolation.to_json(),
            "warnings": warnings,
        }
        print(json.dumps({"laws": names, **body}, ensure_ascii=False, allow_nan=False))
        return 0
    path = "each at its own compute optimum" if answer.along == "flops" else f"along {answer.along}"
    print(f"{args.a} and {args.b}, {path}, {_LETTER[answer.along]} {short(answer.low)} to {short(answer.high)}")
    for word, value in _lines(answer, names):
        print(f"  {word:<16}{value}")
    for text in warnings:
        print(f"  warning: {text}")
    return 0


def _lines(answer: Cross, names: tuple[str, str]) -> list[tuple[str, str]]:
    """The lines of the answer: (word, value)."""
    letter = _LETTER[answer.along]
    lines = [("cross at", "nowhere")]
    if answer.at is not None:
        low, high = answer.at.low, answer.at.high
        edges = "" if answer.probability is None else f"  [{_edge(low)}, {_edge(high)}], {answer.level:.0%}"
        lines = [("cross at", f"{letter} {short(answer.at.value)}{edges}"), ("loss there", f"{answer.loss:.4f}")]
        lines += [("better below", names[answer.better_below]), ("better above", names[answer.better_above])]
    else:
        lines.append(("better", names[answer.better_above]))
    if answer.others:
        lines.append(("cross also at", ", ".join(map(short, answer.others))))
    if answer.probability is not None:
        lines.append(("probability", f"{answer.probability:.0%} of the pairs of resamples cross"))
    if answer.before is not None and answer.probability_before is not None:
        lines.append((f"before {short(answer.before)}", f"{answer.probability_before:.0%}"))
    return lines


def _edge(value: float | None) -> str:
    return "open" if value is None else short(value)
