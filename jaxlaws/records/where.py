"""Selecting runs by comparisons of their columns, as `--where` gives them. Conditions are parsed, never evaluated."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from jaxlaws.errors import BadInput
from jaxlaws.records.columns import STATUS, WORDS, status_of, word_of
from jaxlaws.records.table import Runs
from jaxlaws.records.tabular import names_of
from jaxlaws.records.units import parse_number
from jaxlaws.text import printable

_OPERATORS: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "<=": np.less_equal,
    ">=": np.greater_equal,
    "!=": lambda column, value: ~np.isclose(column, value, rtol=1e-9, atol=0),
    "==": lambda column, value: np.isclose(column, value, rtol=1e-9, atol=0),
    "<": np.less,
    ">": np.greater,
}
_CLAUSE = re.compile(r"\s*([^<>=!]*?)\s*(<=|>=|!=|==|<|>)(?![<>=!])\s*(.*?)\s*", re.DOTALL)
#: The word that joins clauses, and a quoted value, inside which it does not join.
_PARTS = re.compile(r"'[^']*'|\"[^\"]*\"|(\s+and\s+)")


def where(
    runs: Runs, conditions: str | Sequence[str], theirs: Callable[[str], pd.Series | None] = lambda name: None
) -> Runs:
    """The runs for which every condition holds: comparisons of columns joined by `and`, as `tokens<=4.3e8`.

    Numbers may have suffixes (`4.3B`) and are equal to within rounding; words are compared with == and !=, may be
    quoted, and a tracker's word for a status means ours (`status==finished`). `run_id` is a column too.

    Args:
      runs: to select from.
      conditions: of which all hold.
      theirs: name → [runs] a column of the file that is none of ours, None where it has none.

    Raises:
      BadInput: no such column, not a comparison, or no run satisfies it.
    """
    conditions = [conditions] if isinstance(conditions, str) else list(conditions)
    keep = np.ones(len(runs.table), bool)
    for condition in conditions:
        for clause in _clauses(condition):
            keep &= _compare(runs, clause, theirs)
    if not keep.any():
        raise BadInput(f"no run of {runs.source} satisfies '{printable(' and '.join(conditions))}'.")
    return runs if keep.all() else runs.at(keep)


def _clauses(condition: str) -> list[str]:
    cuts = [match.span() for match in _PARTS.finditer(condition) if match[1]]
    starts, ends = [0, *(end for _, end in cuts)], [*(start for start, _ in cuts), len(condition)]
    return [condition[start:end] for start, end in zip(starts, ends, strict=True)]


def _compare(runs: Runs, clause: str, theirs: Callable[[str], pd.Series | None]) -> np.ndarray:
    match = _CLAUSE.fullmatch(clause)
    if match is None or not match[1] or not match[3]:
        raise BadInput(
            f"'{printable(clause)}' is not a comparison, expected COLUMN<=VALUE with one of {' '.join(_OPERATORS)}."
        )
    name, sign, value = match.groups()
    column = runs.table.index.to_series() if name == "run_id" else runs.table.get(name)
    words = name in (*WORDS, "run_id")
    if column is None and (column := theirs(name)) is not None:
        name = "status" if column.name == "status" else name
        words = pd.to_numeric(column.replace("", np.nan), errors="coerce").notna().sum() < column.notna().sum()
    if column is None:
        others = f", and of its own {names_of(runs.usage.unknown)}" if runs.usage and runs.usage.unknown else ""
        raise BadInput(
            f"--where '{printable(clause)}': {runs.source} has no column {printable(name)}; it has "
            f"{', '.join(runs.table.columns)}{others}."
        )
    if not words:
        return _OPERATORS[sign](pd.to_numeric(column, errors="coerce").to_numpy(float), parse_number(value, name))
    if sign not in ("==", "!="):
        raise BadInput(f"'{printable(clause)}' compares words, expected == or != for {name}.")
    word = value[1:-1] if value[:1] in ("'", '"') and value[-1:] == value[:1] and len(value) > 1 else value
    text = column.astype(str)
    equal = text.to_numpy() == word_of(name, word)
    if word in STATUS:
        equal |= text.map(status_of).to_numpy() == word
    return np.asarray(equal if sign == "==" else ~equal, bool)
