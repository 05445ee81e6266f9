"""`jaxlaws laws`: every law and preset with formula, units, range and reference."""

from __future__ import annotations

import argparse
import json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("law", nargs="?", metavar="LAW", help="one law only")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout and nothing else")


def run(args: argparse.Namespace) -> int:
    from jaxlaws.listing import KINDS, laws

    every = laws(args.law)
    if args.json:
        print(json.dumps(every, allow_nan=False))
        return 0
    for name, law in every.items():
        print(f"{name}   {law['formula']}")
        print(f"    {law['reference']}; a law of {KINDS[law['kind']]}")
        for constant, meaning in law["params"].items():
            print(f"    {constant:<7} {meaning}")
        for variant, preset in law["presets"].items():
            values = ", ".join(f"{constant} {value:.10g}" for constant, value in preset["params"].items())
            other = preset["formula"] if preset["formula"] != law["formula"] else ""
            print("  ".join(text for text in (f"    {variant}", other or values) if text))
            print(f"        {preset['reference']}; range: {preset['range']}")
        print()
    return 0
