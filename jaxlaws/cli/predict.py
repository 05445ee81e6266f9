"""`jaxlaws predict FIT`: the loss of a new run, from a fit file or published constants."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jaxlaws.cli.inputs import add_inputs, given_inputs
from jaxlaws.cli.laws import preset_names
from jaxlaws.cli.schedule import add_spec, open_schedule
from jaxlaws.errors import BadInput
from jaxlaws.records.units import parse_positive, parse_whole

if TYPE_CHECKING:
    from jaxlaws.fitting.predict import Prediction
    from jaxlaws.fitting.result import LossFit

#: Largest number of losses of one request; each is computed for every resample.
_MOST_POINTS = 20_000
#: Inputs whose flags say the length and the peak of a schedule where one is given.
_OF_A_SPEC = {"steps": "--steps", "peak_lr": "--peak-lr"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    fit: Any = parser.add_argument("fit", metavar="FIT", help="fit file, or a preset such as multi_power:25M")
    fit.completer = preset_names
    parser.add_argument("--params-column", help="what --params counts; refused where the fit counts otherwise")
    parser.add_argument("--schedule", metavar="FILE|SPEC", help="what `jaxlaws schedule` reads and writes")
    add_spec(parser)
    add_inputs(parser, without=_OF_A_SPEC)
    parser.add_argument("--warmup-ld", help="convention of the warm-up; refused where the fit has another")
    parser.add_argument(
        "--then",
        metavar="FIT",
        help="a fit that reads what FIT predicts, such as accuracy by bits a byte; the interval has the errors of both",
    )
    parser.add_argument("--every", help="predict the loss every so many steps instead of at the end only")
    parser.add_argument("--force", action="store_true", help="answer from a fit, or so far out, as cannot be trusted")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout and nothing else")


def run(args: argparse.Namespace) -> int:
    import numpy as np

    from jaxlaws.fitting.predict import open_fit, predict, unit_of
    from jaxlaws.status import require_trusted

    fit = open_fit(args.fit)
    require_trusted(fit, args.fit, args.force)
    lr, warmup, at = None, 0, None
    if args.schedule is not None:
        _, lr, warmup = open_schedule(args.schedule, args.steps, args.peak_lr, args.warmup)
        if args.every is not None:
            every = parse_whole(args.every, "--every")
            if len(lr) > _MOST_POINTS * every:
                raise BadInput(
                    f"--every {every} asks for {len(lr) // every} losses, expected at most {_MOST_POINTS}: use --every "
                    f"{-(-len(lr) // _MOST_POINTS)}."
                )
            at = np.unique(np.append(np.arange(max(warmup, every) - 1, len(lr), every), len(lr) - 1))
    elif args.every is not None or args.warmup is not None:
        raise BadInput(f"{'--warmup' if args.every is None else '--every'} is of a schedule: give --schedule too.")
    inputs, notes = given_inputs(args, without=_OF_A_SPEC)
    if args.schedule is None:
        inputs |= {name: _positive(getattr(args, name), flag) for name, flag in _OF_A_SPEC.items()}
    answer = predict(
        fit,
        **inputs,
        lr=lr,
        at=at,
        warmup_steps=warmup,
        params_column=args.params_column,
        warmup_ld=args.warmup_ld,
    )
    if args.then is not None:
        fit, answer = _then(args, fit, inputs)
    warnings = [*answer.extrapolation.refuse_absurd(args.force), *notes, *answer.warnings]
    kind = "a new run, not of the mean"
    if args.json:
        body = {
            "law": fit.law,
            "convention": dict(fit.convention),
            **{name: _plain(getattr(answer, name)) for name in ("value", "low", "high")},
            "level": answer.level,
            "interval": kind,
            "at": None if at is None else at.tolist(),
            "extrapolation": answer.extrapolation.to_json(),
            "warnings": warnings,
        }
        print(json.dumps(body, allow_nan=False))
        return 0
    if at is None:
        edges = "" if answer.low is None else f"  ({answer.level:.0%} of {kind}: {answer.low:.4f} to {answer.high:.4f})"
        print(f"{answer.value:.4f} {unit_of(fit)}{edges}")
    else:
        print("step,loss" if answer.low is None else "step,loss,low,high")
        columns = [column for column in answer[:3] if column is not None]
        for i, step in enumerate(at):
            print(",".join([str(step), *(f"{np.asarray(column)[i]:.6f}" for column in columns)]))
    for warning in warnings:
        print(f"warning: {warning}")
    return 0


def _then(args: argparse.Namespace, first: LossFit, inputs: Mapping[str, Any]) -> tuple[LossFit, Prediction]:
    """The fit that reads what the first one predicts, and its answer."""
    from jaxlaws.fitting.chain import chain
    from jaxlaws.fitting.predict import open_fit
    from jaxlaws.status import require_trusted

    if args.schedule is not None:
        raise BadInput("--then reads the final loss of a law without a schedule: leave out --schedule.")
    second = open_fit(args.then)
    require_trusted(second, args.then, args.force)
    return second, chain(first, second, **inputs)


def _positive(text: str | None, name: str) -> float | None:
    return None if text is None else parse_positive(text, name)


def _plain(value):
    return value.tolist() if hasattr(value, "tolist") else value
