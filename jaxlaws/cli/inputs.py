"""Flags of the inputs of laws, generated from the table of inputs: every command that asks a law has the same ones."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping
from typing import Any

from jaxlaws.cli.source import parse_map
from jaxlaws.errors import BadInput
from jaxlaws.inputs import INPUTS, Input
from jaxlaws.records.units import parse_number, parse_tokens


def add_inputs(parser: argparse.ArgumentParser, without: Collection[str] = ()) -> None:
    """Add a flag such as --unique-tokens for every input that is a value of a run, those of plug-ins included.

    Args:
      parser: to add them to.
      without: columns that the command has no flag for, or another one.
    """
    from jaxlaws.laws.table import LAWS

    for name in LAWS.added():
        _ = LAWS[name]
    group = parser.add_argument_group("inputs of the law")
    for row in _rows(without):
        if row.many:
            group.add_argument(row.flag, metavar="NAME=VALUE,…", action="append", default=[], help=row.meaning)
        else:
            more = "; 20xN is tokens a parameter" if row.column == "tokens" else ""
            group.add_argument(row.flag, metavar="NUMBER", help=row.meaning + more)


def given_inputs(args: argparse.Namespace, without: Collection[str] = ()) -> tuple[dict[str, Any], list[str]]:
    """(column → value of the flags of `add_inputs`, None without the flag; sentences on how tokens were read).

    Tokens may be `20xN`, tokens a parameter; a number may have a suffix such as 7B.
    """
    values: dict[str, Any] = {}
    notes: list[str] = []
    for row in _rows(without):
        text = getattr(args, row.column)
        if row.many:
            values[row.column] = _shares(text, row) or None
        elif text is None:
            values[row.column] = None
        elif row.column == "tokens":
            values[row.column], note = parse_tokens(text, values.get("params"), "--tokens")
            notes += [note] if note else []
        else:
            values[row.column] = _number(text, row)
    return values, notes


def _rows(without: Collection[str]) -> list[Input]:
    return [row for row in INPUTS.values() if row.of_run and row.column not in without]


def _shares(entries: list[str], row: Input) -> Mapping[str, float]:
    shares = parse_map(entries, row.flag, f"{row.flag} web=0.5,code=0.5")
    return {name: _number(value, row) for name, value in shares.items()}


def _number(text: str, row: Input) -> float:
    value = parse_number(text, row.flag)
    if not row.allows(value):
        raise BadInput(f"{row.flag} is {text}, expected {'at least 0' if row.zero else 'more than zero'}.")
    return value
