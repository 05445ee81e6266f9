"""`jaxlaws laws`: every law and preset with formula, units, range and reference."""

from __future__ import annotations

import argparse
import json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("law", nargs="?", metavar="LAW", help="one law only")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout and nothing else")


def run(args: argparse.Namespace) -> int:
    from jaxlaws.laws.table import LAWS, get

    laws = [get(args.law)] if args.law else list(LAWS.values())
    if args.json:
        print(json.dumps({law.name: describe(law) for law in laws}))
        return 0
    for law in laws:
        print(f"{law.name}   {law.formula}")
        print(f"    {law.reference}; a law of {'loss curves' if law.kind == 'curve' else 'final losses'}")
        for parameter in law.parameters:
            print(f"    {parameter.name:<7} {parameter.meaning}")
        for variant, preset in law.presets.items():
            values = ", ".join(f"{name} {value:.10g}" for name, value in preset.values.items())
            print(f"    {law.name}:{variant}  {values}")
            print(f"        {preset.reference}; range: {preset.range}")
        print()
    return 0


def describe(law) -> dict:
    """A law as plain data."""
    return {
        "formula": law.formula,
        "reference": law.reference,
        "kind": law.kind,
        "params": {parameter.name: parameter.meaning for parameter in law.parameters},
        "convention": dict(law.convention),
        "presets": {
            f"{law.name}:{variant}": {
                "params": dict(preset.values),
                "reference": preset.reference,
                "range": preset.range,
                "convention": {**law.convention, **preset.convention},
            }
            for variant, preset in law.presets.items()
        },
    }
