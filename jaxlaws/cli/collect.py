"""`jaxlaws collect SWEEP`: the sweep as one table, a row a run."""

from __future__ import annotations

import argparse
from pathlib import Path

from jaxlaws.errors import BadInput


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", metavar="SWEEP", help="directory of a sweep, such as sweeps/NAME")
    parser.add_argument("-o", "--output", metavar="FILE", help="runs.csv or runs.parquet; without it, CSV on stdout")


def run(args: argparse.Namespace) -> int:
    from jaxlaws.records.files import write_atomic
    from jaxlaws.records.run import collect

    table = collect(args.sweep).table
    if args.output is None:
        print(table.to_csv(), end="")
        return 0
    if args.output.endswith(".parquet"):
        try:
            write_atomic(args.output, table.to_parquet())
        except ImportError:
            raise BadInput("a Parquet file needs pyarrow: pip install 'jaxlaws[parquet]'.") from None
    else:
        write_atomic(args.output, table.to_csv())
    print(f"{Path(args.output)}: {len(table)} runs")
    return 0
