"""`jaxlaws laws`: every law and preset with formula, units, range and reference."""

from __future__ import annotations

import argparse
import json
from typing import Any

from jaxlaws.errors import unknown


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("law", nargs="?", metavar="LAW", help="one law only")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout and nothing else")


def run(args: argparse.Namespace) -> int:
    from jaxlaws.laws.table import LAWS

    laws, advice = list(LAWS.values()), advice_laws()
    if args.law:
        if args.law not in (*LAWS, *advice):
            raise unknown("law", args.law, (*LAWS, *advice))
        laws = [law for law in laws if law.name == args.law]
        advice = {name: about for name, about in advice.items() if name.split(" ")[0] == args.law}
    if args.json:
        print(json.dumps({law.name: describe(law) for law in laws} | advice, allow_nan=False))
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
    for name, about in advice.items():
        print(f"{name}   {about['formula']}")
        print(f"    {about['reference']}; a law of the best learning rate and batch size")
        for preset, more in about["presets"].items():
            print(f"    {preset}" + (f"  {more['formula']}" if more["formula"] != about["formula"] else ""))
            print(f"        {more['reference']}; range: {more['range']}")
        print()
    return 0


def advice_laws() -> dict[str, Any]:
    """The laws of LR and batch that `jaxlaws recommend` knows, as plain data like `describe`."""
    from jaxlaws.laws.table import LAWS
    from jaxlaws.recommender.presets import PRESETS

    laws: dict[str, Any] = {}
    for preset, source in PRESETS.items():
        name = preset.split(":")[0]
        name += " (advice)" if name in LAWS else ""
        about = laws.setdefault(
            name, {"formula": source.formula, "reference": source.reference, "kind": "advice", "presets": {}}
        )
        ranges = {key: [float(value) for value in pair] for key, pair in source.ranges.items()}
        about["params"] = {"peak_lr": "largest LR of the schedule", "batch_tokens": "tokens a step"}
        about["convention"] = dict(source.convention)
        about["presets"][preset] = {
            "formula": source.formula,
            "params": dict(getattr(source, "params", {})),
            "reference": source.reference,
            "range": "; ".join(f"{key} {low:.3g} to {high:.3g}" for key, (low, high) in ranges.items()) or "not stated",
            "convention": dict(source.convention),
        }
    return laws


def describe(law) -> dict:
    """A loss law as plain data."""
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
                "ranges": {axis: list(pair) for axis, pair in preset.ranges.items()},
                "convention": {**law.convention, **preset.convention},
            }
            for variant, preset in law.presets.items()
        },
    }
