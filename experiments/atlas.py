"""Every law on every table at hand: errors, gaps, coverage and regret on runs it was not fitted to, as page and CSV.

    python experiments/atlas.py                              # what docs/atlas.csv lacks, then docs/atlas.md
    python experiments/atlas.py --law bound --table farseer  # rows of one law, of one table or of both, anew
    python experiments/atlas.py --data DIR --out atlas.md    # tables of yours: same layouts, or a list DIR/tables.csv

The rows are in the CSV beside the page as soon as each is ready, so that the same command continues after an
interruption. A table is a line of experiments/atlas_tables.csv; which laws it gets follows from what they read.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from pathlib import Path

from jaxlaws.atlas import hyper, page
from jaxlaws.atlas.build import Task, fill, load_laws, plan
from jaxlaws.atlas.tables import tables
from jaxlaws.errors import BadInput, unknown
from jaxlaws.laws.table import LAWS
from jaxlaws.plugins import named_in

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("JAXLAWS_DATA", ROOT.parent / "shared" / "data"))
#: Each process computes one row at a time on one core.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"}


def main(arguments: list[str]) -> int:
    words, plugins = named_in(arguments)
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the tables")
    parser.add_argument("--law", default="", help="compute the rows of this law anew, and no others")
    parser.add_argument("--table", default="", help="compute the rows of this table anew, and no others")
    parser.add_argument("--fresh", action="store_true", help="compute every row anew")
    parser.add_argument("--page", action="store_true", help="compute no row, and make the page of those that are there")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "docs" / "atlas.md", help="the page; CSV and pictures beside it"
    )
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--plugin", metavar="FILE", help="a file of Python with laws of yours; may be repeated")
    args = parser.parse_args(words)
    try:
        return build(args, plugins, shlex.join(["python", "experiments/atlas.py", *arguments]))
    except BadInput as error:
        print(f"atlas: {error}", file=sys.stderr)
        return 2


def build(args: argparse.Namespace, plugins: list[str], command: str) -> int:
    load_laws(plugins)
    laws = [*LAWS, *hyper.names()]
    listed = tables(args.data, ROOT / "experiments" / "atlas_tables.csv")
    for kind, name, names in (("law", args.law, laws), ("table", args.table, [table.name for table in listed])):
        if name and name not in names:
            raise unknown(kind, name, names)
    csv = args.out.with_suffix(".csv")
    if args.fresh:
        csv.unlink(missing_ok=True)
    tasks, reasons = plan(listed, args.data, plugins=plugins)
    for (table, law), reason in reasons.items():
        if not law or (law, table) == (args.law, args.table):
            print(f"no row: {table} {law}: {reason}")
    about = {"commit": commit(), "command": command}
    os.environ.update({name: value for name, value in ONE_THREAD.items() if name not in os.environ})

    def wanted(task: Task) -> bool:
        return args.law in ("", task.law) and args.table in ("", task.table.name)

    again = bool(args.law or args.table)
    now = [] if args.page else [task for task in tasks if wanted(task)]
    rows = fill(csv, now, again, [table.name for table in listed], args.jobs, about, show)
    if not rows:
        raise BadInput(f"there is no row of a table of {args.data}: --law NAME --table NAME says why.")
    page.write(args.out, rows, laws, [task.key for task in tasks])
    print(f"{args.out}: {len(rows)} rows")
    return 0


def show(done: int, total: int, row) -> None:
    print(
        f"{done}/{total} {row['table']} {row['law']}: {row['status']}, {row['cpu_row']:.0f} s {row['note']}", flush=True
    )


def commit() -> str:
    """The commit of this repository, with `+` where files of the code differ from it; `unknown` without git."""

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", "jaxlaws", "experiments")
        return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
