"""`jaxlaws compare`: fits side by side, by held-out error."""

from __future__ import annotations

import argparse
import json

from jaxlaws.errors import BadInput


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("fits", metavar="FIT", nargs="+", help="fit files that `jaxlaws fit … -o` wrote")
    parser.add_argument("--by", default="mae", help="metric: mae (default), rmse, pred_e or worst_e")
    parser.add_argument(
        "--held-out", metavar="KIND", help="test, extrapolation or leave_one_run_out; the first that all have"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    from jaxlaws.fitting.compare import KINDS, METRICS, compare
    from jaxlaws.fitting.predict import open_fit

    if len(set(args.fits)) < len(args.fits):
        raise BadInput("a fit is named twice, expected different ones.")
    comparison = compare({name: open_fit(name) for name in args.fits}, by=args.by, kind=args.held_out)
    if args.json:
        print(json.dumps(comparison._asdict(), ensure_ascii=False, allow_nan=False))
        return 0
    print(f"errors on {KINDS[comparison.kind]}, {args.by}:" if comparison.ranking else "not ranked:")
    columns = ("fit", "law", "noise", "constants", "ratio", *METRICS, "R²", "gaps", "curves won")
    lines = [columns]
    for name in comparison.ranking or comparison.rows:
        row = comparison.rows[name]
        errors = row["held_out"][comparison.kind]
        gap = row["held_out"].get("gaps", {}).get("mae")
        values = (row["ratio_to_best"], *(errors.get(metric) for metric in METRICS), errors.get("r2"), gap)
        wins = row["curves_won"]
        texts = ("–" if value is None else f"{value:.4g}" for value in values)
        lines.append(
            (name, row["law"], row["noise"], str(row["constants"]), *texts, "–" if wins is None else str(wins))
        )
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        words, numbers = line[:3], line[3:]
        labels = "  ".join(text.ljust(width) for text, width in zip(words, widths, strict=False))
        print(labels, *(text.rjust(width) for text, width in zip(numbers, widths[3:], strict=True)), sep="  ")
    for text in comparison.warnings:
        print(f"warning: {text}")
    return 0
