"""`jaxlaws recommend --for torch|optax|yaml|wandb`: the advice as a text that runs elsewhere as it is pasted."""

from __future__ import annotations

import argparse
import shlex
import sys
from typing import TYPE_CHECKING

from jaxlaws.errors import BadInput, unknown
from jaxlaws.recommender.setting import sentence
from jaxlaws.records.units import short
from jaxlaws.text import printable

if TYPE_CHECKING:
    from jaxlaws.config import RunConfig
    from jaxlaws.recommender.recommendation import Recommendation

TARGETS = ("torch", "optax", "yaml", "wandb")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--for and -o."""
    parser.add_argument(
        "--for", dest="pasted", metavar="WHAT", help="print it as a text to paste: " + ", ".join(TARGETS)
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="of --for: write the text there")


def check(args: argparse.Namespace) -> None:
    """Raises `BadInput` for flags that do not go together."""
    if args.pasted is None:
        if args.output is not None:
            raise BadInput(f"-o is where the text of --for goes: give --for {'|'.join(TARGETS)} too.")
    elif args.pasted not in TARGETS:
        raise unknown("text to paste", args.pasted, TARGETS)
    else:
        for name in ("json", "compare", "verify"):
            if getattr(args, name, False):
                raise BadInput(f"--for prints a text to paste and --{name} something else: leave one out.")


def trained(answer: Recommendation) -> tuple[dict[str, str], RunConfig]:
    """(arguments of the command, the run that it trains) of an answer, composed and checked.

    Raises:
      BadInput: no command trains the answer.
    """
    from jaxlaws.cli.composed import composed

    if not answer.override:
        raise BadInput(f"there is nothing to run: {answer.warnings[-1]}")
    texts = shlex.split(answer.override)
    pairs = (text.partition("=") for text in texts)
    return {key: value for key, _, value in pairs}, composed(texts)


def paste(answer: Recommendation, target: str, output: str | None) -> None:
    """Print the text, its warnings on stderr, or write it."""
    from jaxlaws.records.files import Output
    from jaxlaws.report.snippets import SNIPPETS

    question = answer.question
    title = f"{answer.law} for N = {short(question['params'])}, D = {short(question['tokens'])}: {answer.reference}"
    with Output(output) as file:
        text = SNIPPETS[target](*trained(answer), printable(title))
        if file:
            file.write(text)
        else:
            print(text, end="")
    for warning in answer.warnings:
        print(f"warning: {printable(warning)}", file=sys.stderr)
    print(sentence(answer.measured_under), file=sys.stderr)
    if output:
        print(f"written to {printable(output)}", file=sys.stderr)
