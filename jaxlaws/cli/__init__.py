"""The command line: one small module a command, loaded only when its command is called, none of them loading JAX."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from jaxlaws import plugins
from jaxlaws.cli.guard import guarded
from jaxlaws.errors import BadInput, unknown
from jaxlaws.text import printable, quoted

#: Command → what it does. Its module jaxlaws.cli.<command> has `add_arguments(parser)` and `run(args) -> exit code`.
COMMANDS = {
    "quickstart": "the whole loop on a laptop CPU: sweep, fit, recommend, verify",
    "train": "one run, or with -m a sweep (Hydra)",
    "data": "text, JSONL, Parquet or a Hugging Face data set into token shards",
    "status": "done, running, failed, diverged and pending runs of a sweep",
    "collect": "a sweep as one table",
    "fit": "fit a law to a sweep, a table or a published table",
    "inspect": "what a table was understood as, its grid cell by cell, which laws it identifies",
    "optimum": "a compute budget into model size and tokens",
    "cross": "where two fitted laws cross along compute, tokens or model size",
    "ranks": "whether the best recipes of a small size are the best of a larger one",
    "compare": "fits side by side, by held-out error",
    "collapse": "whether curves of several sizes are one once normalised, and which runs leave it",
    "predict": "the loss of a new run, from a fit or published constants",
    "schedule": "the learning rate of every step, shown and written for any trainer",
    "design": "the best schedule for a fitted law, which cooldown, and how to extend a run",
    "bound": "the convex bound of a schedule, its best base LR, transfer and extension",
    "laws": "every law and preset: formula, units, range, reference",
    "bench": "the benchmarks, reproducible by anyone",
    "recommend": "learning rate and batch size for a model and a token budget",
    "init": "configs of your own to start from, commented: a model, an experiment, a sweep",
    "completion": 'completion of all of this by TAB: eval "$(jaxlaws completion bash)"',
}
#: What people call an option → ours, the first that the command has.
_SYNONYMS = {
    **dict.fromkeys(("--model", "--size", "--model-size", "--n", "--N"), ("--params",)),
    **dict.fromkeys(("--data", "--dataset-size", "--budget", "--d", "--D", "--num-tokens"), ("--tokens", "--flops")),
    **dict.fromkeys(("--loss", "--metric", "--lr", "--column"), ("--map OURS=THEIRS",)),
    **dict.fromkeys(("--batch-size", "--bs", "--batch"), ("--batch-tokens", "--map batch_sequences=NAME")),
    **dict.fromkeys(("--context", "--context-length", "--sequence-length"), ("--seq-len", "--set seq_len=2048")),
    **dict.fromkeys(("--seq-len", "--seq_len", "--vocab", "--width"), ("--set seq_len=2048",)),
    "--law": ("LAW SOURCE",),
    **dict.fromkeys(("--filter", "--query", "--select"), ("--where",)),
    **dict.fromkeys(("--out", "--output-file", "--save"), ("--output",)),
}
#: Commands that read their own arguments (Hydra's grammar).
_RAW = {"train"}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        options = [option for action in self._actions for option in action.option_strings]
        flag = re.search(r"unrecognized arguments: (--[\w-]+)", message)
        synonyms = [name for name in _SYNONYMS.get(flag[1], ()) if name.split()[0] in (*options, "LAW")] if flag else []
        near = synonyms or (get_close_matches(flag[1], options, n=1) if flag else [])
        hint = f": did you mean {near[0]}?" if near else ";"
        raise BadInput(f"{self.prog}: {message}{hint} see {self.prog} --help.")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 bad input, 3 not to be trusted."""
    return guarded(_command, sys.argv[1:] if argv is None else list(argv))


def entry() -> NoReturn:
    """The command as a process of its own.

    An interrupted one ends without the interpreter's own end, at which threads that still compute may fail, and which
    makes a death by SIGINT of an interrupt that was met during an import.
    """
    if "_ARGCOMPLETE" in os.environ:
        from jaxlaws.cli.completion import complete

        complete(whole_parser(os.environ["COMP_LINE"].split()))
    code = main()
    if code == 130:
        os._exit(code)
    sys.exit(code)


def _command(argv: Sequence[str]) -> int:
    argv, files = plugins.named_in(argv)
    if files:
        from jaxlaws.laws.table import LAWS, of_module

        for file in files:
            LAWS.update(of_module(plugins.load(file)))
    with plugins.for_children(files):
        return _without_plugins(argv)


def _without_plugins(argv: Sequence[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        print(_overview())
        return 0
    if argv[0] == "--version":
        from jaxlaws import __version__

        print(__version__)
        return 0
    if argv[0] not in COMMANDS:
        if Path(argv[0]).exists():
            raise BadInput(f"{printable(argv[0])} is no command; look at it with jaxlaws inspect {quoted(argv[0])}.")
        raise unknown("command", argv[0], COMMANDS)
    command = import_module(f"jaxlaws.cli.{argv[0]}")
    if argv[0] in _RAW:
        return command.run(argv[1:])
    parser = _Parser(prog=f"jaxlaws {argv[0]}", description=COMMANDS[argv[0]])
    command.add_arguments(parser)
    _add_plugin(parser)
    try:
        args = parser.parse_args(argv[1:])
    except SystemExit:  # of --help, which has printed it
        return 0
    return command.run(args)


def _add_plugin(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--plugin", action="append", metavar="FILE.py", help="run a file of Python that adds laws or other rows first"
    )


def whole_parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """All commands in one parser, for completion, with the arguments of those that are among the words."""
    parser = _Parser(prog="jaxlaws")
    parser.add_argument("--version", action="store_true")
    commands = parser.add_subparsers()
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text)
        if name in words:
            module = import_module(f"jaxlaws.cli.{name}")
            (module.add_arguments if name not in _RAW else import_module("jaxlaws.cli.completion").add_train)(command)
            _add_plugin(command)
    return parser


def _overview() -> str:
    lines = ["usage: jaxlaws COMMAND …   (jaxlaws COMMAND --help for its options)", ""]
    return "\n".join(lines + [f"  {name:<12}{text}" for name, text in COMMANDS.items()])
