"""`jaxlaws laws`: every law in a line, by what it reads; `jaxlaws laws NAME`: its constants, presets and ranges."""

from __future__ import annotations

import argparse
import json
import shutil
import textwrap
from collections.abc import Mapping
from typing import Any

#: Fewest characters beside the inputs of a law in which its formula stands; in fewer it has lines of its own.
_LEAST = 48
#: Width where the output is no terminal and so has none: a line a law.
_ENDLESS = 100_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    law: Any = parser.add_argument("law", nargs="?", metavar="LAW", help="one law, with its constants and presets")
    law.completer = law_names
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout and nothing else")


def law_names(prefix: str = "", **_: Any) -> list[str]:
    """The names of all laws, for completion."""
    from jaxlaws.listing import laws

    return [name for name in laws() if " " not in name]


def preset_names(prefix: str = "", **_: Any) -> list[str]:
    """The presets of laws of the loss, and the fit files here, for completion."""
    from argcomplete.completers import FilesCompleter

    from jaxlaws.listing import laws

    presets = [preset for law in laws().values() if law["kind"] != "advice" for preset in law["presets"]]
    return [*presets, *FilesCompleter(("json",))(prefix)]


def run(args: argparse.Namespace) -> int:
    from jaxlaws.listing import laws

    every = laws(args.law)
    if args.json:
        print(json.dumps(every, allow_nan=False))
    elif args.law:
        for name, law in every.items():
            _show(name, law)
    else:
        _list(every)
    return 0


def _list(every: Mapping[str, Mapping[str, Any]]) -> None:
    """What each law reads, its formula and the variants of its presets, as wide as the terminal, a heading a kind."""
    from jaxlaws.listing import KINDS

    width = shutil.get_terminal_size((_ENDLESS, 24)).columns
    reads = {name: ", ".join(law["inputs"]) for name, law in every.items()}
    for kind, of in KINDS.items():
        names = sorted((name for name in every if every[name]["kind"] == kind), key=lambda name: len(reads[name]))
        wide, wider = (max(len(text[name]) for name in names) + 2 for text in ({n: n for n in names}, reads))
        print(f"laws of {of}")
        for name in names:
            variants = ", ".join(preset.partition(":")[2] for preset in every[name]["presets"])
            formula = f"{every[name]['formula']}{variants and f'   [{variants}]'}"
            print(_beside(f"  {name:<{wide}}{reads[name]:<{wider}}", formula, width))
        print()
    print(
        "jaxlaws laws NAME has the constants and ranges of a law; NAME:VARIANT is a preset, whose variants are in []."
    )


def _beside(start: str, formula: str, width: int) -> str:
    """The formula beside the start of a line, on several lines where one is too narrow, or below it."""
    below = width - len(start) < _LEAST
    indent = " " * (6 if below else len(start))
    lines = textwrap.wrap(
        formula,
        max(width, _LEAST),
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join([start.rstrip(), *lines]) if below else start + "\n".join(lines).lstrip()


def _show(name: str, law: Mapping[str, Any]) -> None:
    from jaxlaws.listing import KINDS

    print(f"{name}   {law['formula']}")
    print(f"    {law['reference']}; a law of {KINDS[law['kind']]}")
    for symbol, meaning in law["inputs"].items():
        print(f"    reads {symbol:<7} {meaning}")
    for constant, meaning in law["params"].items():
        print(f"    {constant:<7} {meaning}")
    for variant, preset in law["presets"].items():
        values = ", ".join(f"{constant} {value:.10g}" for constant, value in preset["params"].items())
        own_formula = preset["formula"] if preset["formula"] != law["formula"] else ""
        print("  ".join(text for text in (f"    {variant}", own_formula or values) if text))
        print(f"        {preset['reference']}; range: {preset['range']}")
    print()
