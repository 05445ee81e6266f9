"""`jaxlaws init`: a directory of configs of one's own, commented, that runs as it is."""

from __future__ import annotations

import argparse
from pathlib import Path

from jaxlaws.errors import BadInput
from jaxlaws.records.files import write_atomic
from jaxlaws.text import quoted

#: The folder of the files that the command writes.
STARTER = Path(__file__).resolve().parent.parent / "starter"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", metavar="DIR", nargs="?", type=Path, default=Path(), help="by default this one")


def run(args: argparse.Namespace) -> int:
    """Write the files without replacing any, and print the next commands."""
    files = sorted(path for path in STARTER.rglob("*") if path.suffix in (".yaml", ".md"))
    targets = {args.directory / path.relative_to(STARTER): path for path in files}
    for folder in (args.directory, *args.directory.parents):
        if folder.exists() and not folder.is_dir():
            raise BadInput(f"'{folder}' is not a directory, expected one for the configs, new or without them.")
    if obstacle := next((path for path in targets if path.exists() or path.is_symlink()), None):
        raise BadInput(f"'{obstacle}' is there and nothing is written over it: give another directory.")
    for target, path in targets.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(target, path.read_text())
        print(target)
    print(f"\ncd {quoted(args.directory)}")
    print("\n".join(commands()))
    return 0


def commands() -> list[str]:
    """The commands of the README."""
    return [line.strip() for line in (STARTER / "README.md").read_text().splitlines() if line.startswith("    ")]
