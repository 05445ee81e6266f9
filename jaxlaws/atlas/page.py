"""The page of an atlas, made of the rows of its CSV."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from jaxlaws.atlas import figures
from jaxlaws.atlas.rows import COLUMNS, Row
from jaxlaws.atlas.score import EFFORTS
from jaxlaws.records.files import write_atomic

#: The text of a row in a column.
_Text = Callable[[Row], str]


def write(path: Path, rows: Sequence[Row], laws: Sequence[str], expected: Sequence[tuple[str, str]]) -> None:
    """Write the page and its pictures, in the folder beside it that has its name.

    Args:
      path: of the page.
      rows: of the CSV beside it, by table.
      laws: all that there are, of which those that no table is for are named.
      expected: table and law of all rows that there could be, of which those that are missing are named.
    """
    pictures = {
        "curve": figures.errors(_of(rows, "curve"), "laws of losses along runs"),
        "point": figures.errors(_of(rows, "point"), "laws of final losses"),
        "coverage": figures.coverage(rows),
    }
    folder = path.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in pictures.items():
        write_atomic(folder / f"{name}.svg", figures.svg(figure))
    write_atomic(path, text(rows, laws, expected, folder.name))


def text(rows: Sequence[Row], laws: Sequence[str], expected: Sequence[tuple[str, str]], folder: str) -> str:
    """The page as Markdown, with the pictures of a folder; see `write`."""
    present = {(row["table"], row["law"]) for row in rows}
    without = [law for law in laws if law not in {law for _, law in (*present, *expected)}]
    missing: dict[str, list[str]] = {}
    for table, law in expected:
        if (table, law) not in present:
            missing.setdefault(table, []).append(law)
    parts = [
        _INTRODUCTION.format(**_facts(rows), csv=f"{folder}.csv", losses=EFFORTS["curve"].losses),
        "## Coverage\n\n" + _coverage(rows),
        f"![Share of held-out losses in their intervals]({folder}/coverage.svg)",
        "## Laws side by side\n\n" + _RATIOS + "\n\n" + _side_by_side(rows),
        f"![Errors of laws of curves]({folder}/curve.svg)",
        f"![Errors of laws of final losses]({folder}/point.svg)",
    ]
    for kind, (heading, columns) in _TABLES.items():
        parts.append(f"## {heading}")
        for name in dict.fromkeys(row["table"] for row in _of(rows, kind)):
            of_table = sorted((row for row in _of(rows, kind) if row["table"] == name), key=_by_error)
            first = of_table[0]
            parts.append(
                f"### {name}\n\n`{first['source']}`, {_whole(first['runs'])} runs\n\n" + _grid(of_table, columns)
            )
    nothing = f"No table has what they read: {', '.join(without)}." if without else "None."
    parts.append(f"## Laws without a table\n\n{nothing}")
    if missing:
        lines = [f"- {table}: {', '.join(names)}" for table, names in missing.items()]
        parts.append(_MISSING + "\n\n" + "\n".join(lines))
    parts.append("## Columns of the CSV\n\n" + "\n".join(f"- `{name}`: {meaning}" for name, meaning in COLUMNS.items()))
    return "\n\n".join(parts) + "\n"


_INTRODUCTION = """# The atlas: every law on every table

This page is made by a command and not by hand: {rows} rows, each a law on a table, computed {dates} at
{commits} ({cpu:.0f} minutes of CPU together). A [CSV]({csv}) has the same rows with all
their columns. A law is fitted to every table that has the columns that it reads; rows that were refused or are not to
be trusted stay, and say why.

    python experiments/atlas.py                           # the rows that the CSV lacks, then the page
    python experiments/atlas.py --law noise_memory        # the rows of one law anew
    python experiments/atlas.py --table multi_power_25M   # the rows of one table anew
    python experiments/atlas.py --fresh                   # everything anew

A new law, or one of yours with `--plugin FILE.py`, gets its rows by the first of them, and a new table by a line in
`experiments/atlas_tables.csv`. A folder of yours (`--data DIR`) has the same layouts, or a list `tables.csv` of its own
with the columns name, format, path and, where they are needed, where, target, metric and columns.

- **Left out**: each of up to nine runs, or each of five random parts of a table, predicted from the others. Rows of
  one training run are in one part, where the table says which are.
- **Forward**: the largest fifth of the runs (by N·D, or what of it the table has; of curves the longest), predicted
  from the rest.
- **error**: mean of |L − L̂|/L. **const**: that of the mean loss of what was fitted. **inside**: share of losses in
  their 90% intervals, of laws of LR and batch share of best values in their 80% intervals. **gaps**: mean error of
  differences between schedules, of their mean size, nats. **regret**: loss of the advice over the lowest of its cell.
- **CPU**: seconds of the first fit (compiled, or read from a cache) and of the last; noisy.
- Fits are smaller than by default (see `starts` and `bootstrap` of the CSV; at most {losses} losses a curve). A law of
  final losses that does not see a setting is fitted across it all the same."""
_MISSING = """## Rows that are missing

They were not computed yet; `python experiments/atlas.py` adds them."""
_RATIOS = (
    "Error over that of the best law of the table, as the median over the tables of a law; on how many tables it is "
    "the best; share inside, as the mean over tables."
)


def _facts(rows: Sequence[Row]) -> dict[str, object]:
    dates, commits = (sorted({str(row[name]) for row in rows}) for name in ("date", "commit"))
    return {
        "rows": len(rows),
        "dates": " to ".join(dict.fromkeys((dates[0], dates[-1]))),
        "commits": ("commit " if len(commits) == 1 else "the commits ") + ", ".join(commits),
        "cpu": float(np.nansum([row["cpu_row"] for row in rows])) / 60,
    }


def _of(rows: Sequence[Row], kind: str) -> list[Row]:
    return [row for row in rows if row["kind"] == kind]


def _by_error(row: Row) -> float:
    values = [row[name] for name in ("error", "regret", "forward_error") if math.isfinite(row[name])]
    return values[0] if values else math.inf


def _coverage(rows: Sequence[Row]) -> str:
    """Shares inside by kind and by how runs were left out, a run counting once for each law."""
    lines = [
        "| laws | nominal | left out: inside | predictions | rows | forward: inside | predictions | rows |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind, (heading, _) in _TABLES.items():
        cells = [_share(next((row["level"] for row in _of(rows, kind) if math.isfinite(row["level"])), math.nan))]
        for prefix in ("", "forward_"):
            valid = [row for row in _of(rows, kind) if math.isfinite(row[f"{prefix}inside"])]
            weight = np.array([row[f"{prefix}left_out"] for row in valid])
            inside = np.array([row[f"{prefix}inside"] for row in valid])
            pooled = float(inside @ weight / weight.sum()) if len(valid) else math.nan
            cells += [_share(pooled), _whole(float(weight.sum())), str(len(valid))]
        lines.append(f"| {heading} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _side_by_side(rows: Sequence[Row]) -> str:
    """A line a law of the loss: its errors over the best of each table, left out and forward, and coverage."""
    lines = [
        "| law | tables | left out: error ratio | best of | inside | forward: error ratio | best of | inside |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind in ("curve", "point"):
        best = {column: _least(_of(rows, kind), column) for column in ("error", "forward_error")}
        for law in sorted({row["law"] for row in _of(rows, kind)}):
            of_law = [row for row in _of(rows, kind) if row["law"] == law]
            cells = [str(len(of_law))]
            for column, inside in (("error", "inside"), ("forward_error", "forward_inside")):
                ratios = [row[column] / best[column][row["table"]] for row in of_law if math.isfinite(row[column])]
                shares = [row[inside] for row in of_law if math.isfinite(row[inside])]
                cells += [
                    f"{np.median(ratios):.2f}" if ratios else "–",
                    f"{sum(ratio == 1 for ratio in ratios)}",
                    _share(float(np.mean(shares)) if shares else math.nan),
                ]
            lines.append(f"| {law} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _least(rows: Sequence[Row], column: str) -> dict[str, float]:
    """Table → the lowest value of a column."""
    least: dict[str, float] = {}
    for row in rows:
        if math.isfinite(row[column]):
            least[row["table"]] = min(row[column], least.get(row["table"], math.inf))
    return least


def _grid(rows: Sequence[Row], columns: Mapping[str, _Text]) -> str:
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    lines += ["| " + " | ".join(text(row) for text in columns.values()) + " |" for row in rows]
    notes = [f"- {row['law']}: {row['note']}." for row in rows if row["note"]]
    return "\n".join([*lines, *(["", *notes] if notes else [])])


def _whole(value: float) -> str:
    return f"{value:.0f}" if math.isfinite(value) else "–"


def _share(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "–"


def _percent(column: str) -> _Text:
    return lambda row: f"{row[column]:.2%}" if math.isfinite(row[column]) else "–"


def _shares(column: str) -> _Text:
    return lambda row: _share(row[column])


def _gap(row: Row) -> str:
    return f"{row['gap_error']:.4f} of {row['gap_size']:.4f}" if math.isfinite(row["gap_error"]) else "–"


def _cpu(row: Row) -> str:
    return ", ".join(f"{row[name]:.1f}" for name in ("cpu_first", "cpu_again") if math.isfinite(row[name])) or "–"


_LAW: dict[str, _Text] = {"law": lambda row: str(row["law"])}
_STATUS: dict[str, _Text] = {"CPU, s": _cpu, "status": lambda row: str(row["status"]).replace("_", " ")}
_FORWARD: dict[str, _Text] = {"forward error": _percent("forward_error"), "forward inside": _shares("forward_inside")}
_ERRORS: dict[str, _Text] = {"error": _percent("error")}
_INSIDE: dict[str, _Text] = {"inside": _shares("inside")}
#: Kind of a law → the heading of its tables, and what they show: heading of a column → its text of a row.
_TABLES: dict[str, tuple[str, dict[str, _Text]]] = {
    "curve": ("Laws of losses along runs", _LAW | _ERRORS | _INSIDE | {"gaps": _gap} | _FORWARD | _STATUS),
    "point": (
        "Laws of final losses",
        _LAW | _ERRORS | {"const": _percent("constant_error")} | _INSIDE | _FORWARD | _STATUS,
    ),
    "lr_batch": (
        "Laws of LR and batch",
        _LAW
        | {"regret": _percent("regret"), "largest": _percent("regret_most")}
        | _INSIDE
        | {"forward regret": _percent("forward_regret"), "forward inside": _shares("forward_inside")}
        | _STATUS,
    ),
}
