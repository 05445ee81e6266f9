"""`jaxlaws collect SWEEP`: the sweep as one table, a row a run, or a row a step."""

from __future__ import annotations

import argparse
import gzip
from pathlib import Path
from typing import TYPE_CHECKING

from jaxlaws.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd

    from jaxlaws.records.table import Runs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", metavar="SWEEP", help="directory of a sweep, such as sweeps/NAME")
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="runs.csv, runs.csv.gz or runs.parquet; without it, CSV on stdout"
    )
    parser.add_argument(
        "--curves",
        action="store_true",
        help="a row a step with its LR, and the loss where it was measured: what laws of loss curves are fitted to",
    )


def run(args: argparse.Namespace) -> int:
    from jaxlaws.records.files import Output
    from jaxlaws.records.run import collect
    from jaxlaws.text import spreadsheet_safe

    with Output(args.output) as file:
        runs = collect(args.sweep)
        table = _along(runs) if args.curves else runs.table
        if file and args.output.endswith(".parquet"):
            file.write(_parquet(table))
        else:
            words = table.select_dtypes(exclude="number").columns
            safe = table.assign(**{name: table[name].map(spreadsheet_safe) for name in words})
            text = safe.set_axis(table.index.map(spreadsheet_safe)).to_csv()
            if not file:
                print(text, end="")
                return 0
            file.write(gzip.compress(text.encode(), mtime=0) if args.output.endswith(".gz") else text)
    count = f"{len(runs.curves)} curves, {len(table)} steps" if args.curves else f"{len(table)} runs"
    print(f"{Path(args.output)}: {count}")
    return 0


def _along(runs: Runs) -> pd.DataFrame:
    """A row a step of each run that has a curve; what is constant along a run is in its first row alone."""
    import numpy as np
    import pandas as pd

    if not runs.curves:
        raise BadInput(f"{runs.source} has no run with a curve: collect its runs without --curves.")
    constant = runs.table.drop(columns=["steps", "peak_lr", "final_lr", "val_loss_nats"], errors="ignore")
    parts = []
    for name, curve in runs.curves.items():
        loss = np.full(len(curve.lr), np.nan)
        loss[curve.at] = curve.loss
        rows = pd.DataFrame({"step": np.arange(len(loss)), "lr": curve.lr, "loss": loss})
        rows.index = pd.Index([name] * len(rows), name="run_id")
        first = constant.loc[[name]].reset_index(drop=True).reindex(range(len(rows)))
        parts.append(pd.concat([rows, first.set_axis(rows.index)], axis=1))
    return pd.concat(parts)


def _parquet(table: pd.DataFrame) -> bytes:
    try:
        return table.to_parquet()
    except ImportError:
        raise BadInput("a Parquet file needs pyarrow: pip install 'jaxlaws[parquet]'.") from None
