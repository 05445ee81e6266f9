"""`jaxlaws compare`: fits side by side, by held-out error."""

from __future__ import annotations

import argparse
import json

from jaxlaws.errors import BadInput


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("fits", metavar="FIT", nargs="+", help="fit files that `jaxlaws fit … -o` wrote")
    parser.add_argument("--by", default="mae", help="metric: mae (default), rmse, pred_e or worst_e")
    parser.add_argument(
        "--held-out", metavar="KIND", help="test, forward or leave_one_run_out; the first that all have"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    from jaxlaws.fitting.compare import KINDS, METRICS, compare
    from jaxlaws.fitting.predict import open_fit

    if len(set(args.fits)) < len(args.fits):
        raise BadInput("a fit is named twice, expected different ones.")
    found = compare({name: open_fit(name) for name in args.fits}, by=args.by, kind=args.held_out)
    if args.json:
        print(json.dumps(found._asdict(), ensure_ascii=False, allow_nan=False))
        return 0
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"errors on {KINDS[found.kind]}", title_justify="left")
    for column in ("fit", "law", "noise", "constants"):
        table.add_column(column)
    for column in ("ratio", *METRICS, "R²", "gap error", "curves won"):
        table.add_column(column, justify="right")
    for name in found.ranking or found.rows:
        row = found.rows[name]
        errors, gap = row["held_out"][found.kind], row["held_out"].get("gaps", {}).get("mae")
        numbers = [row["ratio_to_best"], *(errors.get(metric) for metric in METRICS), errors.get("r2"), gap]
        cells = ["–" if value is None else f"{value:.4g}" for value in numbers]
        won = row["curves_won"]
        table.add_row(name, row["law"], row["noise"], str(row["constants"]), *cells, "–" if won is None else str(won))
    console = Console()
    console.print(table)
    for text in found.warnings:
        console.print(f"warning: {text}", markup=False)
    return 0
