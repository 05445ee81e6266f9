"""`jaxlaws collect SWEEP`: the sweep as one table, a row a run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from jaxlaws.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", metavar="SWEEP", help="directory of a sweep, such as sweeps/NAME")
    parser.add_argument("-o", "--output", metavar="FILE", help="runs.csv or runs.parquet; without it, CSV on stdout")


def run(args: argparse.Namespace) -> int:
    from jaxlaws.records.files import Output
    from jaxlaws.records.run import collect
    from jaxlaws.text import spreadsheet_safe

    with Output(args.output) as file:
        table = collect(args.sweep).table
        if file and args.output.endswith(".parquet"):
            file.write(_parquet(table))
        else:
            safe = table.map(spreadsheet_safe).rename(index=spreadsheet_safe).to_csv()
            if not file:
                print(safe, end="")
                return 0
            file.write(safe)
    print(f"{Path(args.output)}: {len(table)} runs")
    return 0


def _parquet(table: pd.DataFrame) -> bytes:
    try:
        return table.to_parquet()
    except ImportError:
        raise BadInput("a Parquet file needs pyarrow: pip install 'jaxlaws[parquet]'.") from None
