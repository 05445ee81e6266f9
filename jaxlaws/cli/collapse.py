"""`jaxlaws collapse`: whether the normalised curves of several sizes coincide, and which runs leave their curve."""

from __future__ import annotations

import argparse
import json

from jaxlaws.cli.source import add_source, add_thinning, open_source
from jaxlaws.records.units import parse_number


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_source(parser)
    add_thinning(parser)
    parser.add_argument(
        "--irreducible-loss", required=True, metavar="LOSS", help="E of a law of N and D fitted to runs of this data"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    from jaxlaws.fitting.collapse import collapse

    runs = open_source(args, curves=True)
    answer = collapse(runs, parse_number(args.irreducible_loss, "--irreducible-loss"))
    warnings = [*runs.warnings, *answer.warnings]
    if args.json:
        rows = answer.runs.astype(object).where(answer.runs.notna(), None).reset_index()
        body = {
            "reached": answer.reached,
            "below_seed_noise": answer.share,
            "table": answer.table.to_dict("records"),
            "runs": rows.to_dict("records"),
            "warnings": warnings,
        }
        print(json.dumps(body, ensure_ascii=False, allow_nan=False))
        return 0
    print(answer.table.iloc[::7].to_string(index=False, float_format="{:.4f}".format))
    if answer.share is not None:
        print(f"the runs differ by less than seeds do at {answer.share:.0%} of these shares of the steps")
    for name, row in answer.runs.sort_values("deviation").iterrows():
        leaving = f"  leaves the curve of the others at {row['leaves_at']:.0%} of the steps" if row["leaves"] else ""
        print(f"{name}  {row['deviation']:.2%} from the median of the others{leaving}")
    for warning in warnings:
        print(f"warning: {warning}")
    return 0
