"""`jaxlaws completion`: commands, options, keys and choices at the press of TAB, through argcomplete. No JAX."""

from __future__ import annotations

import argparse
import os
from typing import Any

from jaxlaws.errors import BadInput

SHELLS = ("bash", "zsh", "fish")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS, help='what to print for: eval "$(jaxlaws completion bash)"')


def run(args: argparse.Namespace) -> int:
    """Print what a shell has to run for completion, once or in its start-up file."""
    from argcomplete.shell_integration import shellcode

    print(shellcode(["jaxlaws"], shell=args.shell))
    return 0


def complete(parser: argparse.ArgumentParser, **how: Any) -> None:
    """Answer the shell, which asks by the variables of argcomplete, and end the process."""
    from argcomplete import CompletionFinder

    CompletionFinder()(parser, always_complete_options="long", **how)


def add_train(parser: argparse.ArgumentParser) -> None:
    """Add the options and overrides of `jaxlaws train` that completion needs."""
    from jaxlaws.cli.train import FLAGS

    for name, values in {**FLAGS, "--dry-run": None, "-o": ()}.items():
        if name in ("-h", "--help"):
            continue
        if values is None:
            parser.add_argument(name, action="store_true")
        else:
            parser.add_argument(name, choices=values or None)
    action: Any = parser.add_argument("overrides", nargs="*")
    action.completer = overrides


def overrides(prefix: str, parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    """The continuations of an override: groups and keys, then the choices of a group, or a file.

    Args:
      prefix: what the user has typed so far.
      parsed_args: the words before it, with `config_dir` and `config_name` where they are given.
    """
    from jaxlaws.compose import PRIMARY, Sources, groups, options
    from jaxlaws.overrides import FILE, KEYS

    folder = getattr(parsed_args, "config_dir", None)
    name = getattr(parsed_args, "config_name", None) or PRIMARY
    sources = Sources(name, os.path.abspath(folder) if folder else "")
    key, equals, value = prefix.partition("=")
    field = key.lstrip("+")
    try:
        if equals:
            before = prefix[: len(prefix) - len(value.rpartition(",")[2])]
            return [f"{before}{choice}" for choice in options(field, sources) if not choice.startswith(FILE)]
        sections = {path.rpartition(".")[0] for path in KEYS} - {""}
        names = [f"{group}=" for group in groups(sources)]
        names += [f"{path}." if path in sections else f"{path}=" for path in KEYS]
        depth = field.count(".")
        return sorted(
            {f"{key[: len(key) - len(field)]}{text}" for text in names if text.rstrip(".=").count(".") == depth}
        )
    except BadInput:
        return []
