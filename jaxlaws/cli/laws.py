"""`jaxlaws laws`: every law in a line, by what it reads; `jaxlaws laws NAME`: its constants, presets and ranges."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any


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
    """A line a law with what it reads, its formula and the variants of its presets, under a heading a kind."""
    from jaxlaws.listing import KINDS

    reads = {name: ", ".join(law["inputs"]) for name, law in every.items()}
    for kind, of in KINDS.items():
        names = sorted((name for name in every if every[name]["kind"] == kind), key=lambda name: len(reads[name]))
        wide, wider = (max(len(text[name]) for name in names) + 2 for text in ({n: n for n in names}, reads))
        print(f"laws of {of}")
        for name in names:
            variants = ", ".join(preset.partition(":")[2] for preset in every[name]["presets"])
            print(f"  {name:<{wide}}{reads[name]:<{wider}}{every[name]['formula']}{variants and f'   [{variants}]'}")
        print()
    print(
        "jaxlaws laws NAME has the constants and ranges of a law; NAME:VARIANT is a preset, whose variants are in []."
    )


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
