"""`jaxlaws inspect SOURCE`: what a table was understood as, its grid cell by cell, and which laws it can identify."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxlaws.cli.source import add_source, add_thinning, open_source
from jaxlaws.records.files import finite
from jaxlaws.records.units import short
from jaxlaws.text import brief

#: Largest numbers of rows of each table, and of commands, on the screen.
_ROWS, _COMMANDS = 60, 12


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_source(parser)
    add_thinning(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout and nothing else")


def run(args: argparse.Namespace) -> int:
    answer = inspect(open_source(args, collect=True), Path(args.source))
    if args.json:
        print(json.dumps(answer, ensure_ascii=False, allow_nan=False))
    else:
        _show(answer)
    return 0


def inspect(runs: Any, source: Path) -> dict[str, Any]:
    """The whole answer as plain data.

    Args:
      runs: opened so that refusals are collected.
      source: where they are from.
    """
    from jaxlaws.recommender.identifiable import identifiable
    from jaxlaws.recommender.survey import additions, cells, columns, curves

    grid, notes = cells(runs)
    answer = {
        "source": runs.source,
        "used": runs.usage.sentence(),
        "columns": columns(runs),
        "refused": [{"question": question or None, "sentence": sentence} for question, sentence in runs.refusals],
        "warnings": [*runs.answers, *notes],
        "cells": grid,
        "curves": curves(runs),
        "laws": identifiable(runs),
        "add": _additions(runs, additions(grid), source),
    }
    return finite(answer)


def _additions(runs: Any, gaps: Sequence[Mapping[str, Any]], source: Path) -> list[dict[str, Any]]:
    """The runs to add, each with its command in a sweep of our own; none while units are in doubt."""
    if any(question for question, _ in runs.refusals):
        return []
    if source.is_dir() and (source / "sweep.yaml").exists():
        from jaxlaws.cli.again import with_command

        return [with_command(runs, entry, source) for entry in gaps]
    return [{**entry, "command": None} for entry in gaps]


def _show(answer: Mapping[str, Any]) -> None:
    from jaxlaws.cli.screen import Screen

    console = Screen()
    console.print(f"{answer['source']}: {answer['used']}", soft_wrap=True)
    for text in answer["warnings"]:
        console.print(f"note: {text}", style="yellow", soft_wrap=True)
    console.print("\ncolumns")
    console.lines(("name", "read from", "values", "from … to", "what it is"), _column_rows(answer["columns"]))
    if answer["refused"]:
        console.print("\nrefused by a fit until it is answered")
        for entry in answer["refused"]:
            console.print(f"  {entry['sentence']}", style="yellow", soft_wrap=True)
    if any(cell["params"] or cell["tokens"] or cell["edges"] for cell in answer["cells"]):
        console.print(f"\ngrid: {len(answer['cells'])} (N, D), each with its best measured run")
        heads = ("N", "D", "D/N", "runs", "diverged", "LRs", "batches", "best LR", "at batch", "loss", "its grid")
        _table(console, heads, [_cell_row(cell) for cell in answer["cells"]])
    if answer["curves"]:
        console.print(f"\ncurves: {len(answer['curves'])}")
        of_curve = (
            "run",
            "steps",
            "losses",
            "largest gap",
            "warm-up",
            "peak LR",
            "final LR",
            "decays from",
            "last loss",
        )
        _table(console, (*of_curve, "schedule"), [_curve_row(curve) for curve in answer["curves"]])
    console.print("\nlaws that the design can identify (the losses are looked at by `jaxlaws fit`)")
    for verdict, names, why in _groups(answer["laws"]):
        console.print(f"  {verdict:<7} {', '.join(names)}" + (f": {why}" if why else ""), soft_wrap=True)
    _show_additions(console, answer["add"])


def _table(console: Any, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    console.lines(heads, rows[:_ROWS])
    if len(rows) > _ROWS:
        console.print(f"  … and {len(rows) - _ROWS} more: --json has all of them")


def _column_rows(columns: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    return [
        [
            name,
            about["from"] if about["from"] != name else "",
            str(about["distinct"]),
            brief(", ".join(about["values"]), 48) if "values" in about else _range(about),
            about["unit"],
        ]
        for name, about in columns.items()
    ]


def _range(about: Mapping[str, Any]) -> str:
    low, high = about.get("low"), about.get("high")
    if low is None:
        return "–"
    return _number(low) if low == high else f"{_number(low)} … {_number(high)}"


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    if value == round(value) and abs(value) < 1e5:
        return f"{value:,.0f}"
    return short(value) if abs(value) >= 1000 else f"{value:.4g}"


def _cell_row(cell: Mapping[str, Any]) -> list[str]:
    from jaxlaws.recommender.words import edge_words

    batch = "–" if cell["batch_tokens"] is None else f"{cell['batch_tokens']:,.0f}"
    counts = ["–" if cell[name] is None else str(cell[name]) for name in ("lrs", "batches")]
    ratio, lr = ("–" if cell[name] is None else f"{cell[name]:.3g}" for name in ("tokens_per_param", "peak_lr"))
    return [
        *(_number(cell["params"]), _number(cell["tokens"]), ratio, str(cell["runs"]), str(cell["diverged"] or "")),
        *(*counts, lr, batch, "–" if cell["loss"] is None else f"{cell['loss']:.4f}"),
        edge_words(cell["edges"]),
    ]


_CURVE_HEADS = (
    *("run", "steps", "losses", "largest gap", "warm-up", "peak LR", "final LR", "decays from", "last loss"),
    "schedule",
)


def _curve_row(curve: Mapping[str, Any]) -> list[str]:
    return [
        curve["run"],
        *(f"{curve[name]:,}" for name in ("steps", "losses", "largest_gap", "warmup_steps")),
        *(f"{curve[name]:.3g}" for name in ("peak_lr", "final_lr")),
        "never" if curve["decay_begins"] is None else f"{curve['decay_begins']:,}",
        f"{curve['loss']:.4f}",
        curve["schedule"] or "",
    ]


def _groups(laws: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, list[str], str]]:
    """(yes, weakly or no; the laws of which the same is said; why), in the order of the answers."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name, law in laws.items():
        why = " ".join(text.replace(f"the law {name}", "the law").replace(name, "the law") for text in law["why"])
        groups.setdefault((law["identified"], why), []).append(name)
    order = ("yes", "weakly", "no")
    return [
        (word, names, why) for (word, why), names in sorted(groups.items(), key=lambda item: order.index(item[0][0]))
    ]


def _show_additions(console: Any, entries: Sequence[Mapping[str, Any]]) -> None:
    if not entries:
        return
    console.print("\nto add, so that N and D are told apart and the best run of a cell lies inside its grid")
    for entry in entries[:_COMMANDS]:
        if entry["command"]:
            console.print(f"  {entry['command']}", soft_wrap=True)
            continue
        lists = [
            f"{name} {', '.join(map(show, entry[name]))}"
            for name, show in (("peak_lr", "{:.3g}".format), ("batch_tokens", "{:,.0f}".format))
            if name in entry
        ]
        where = f"N {_number(entry['params'])}, D {_number(entry['tokens'])}"
        console.print(f"  {where}{': ' if lists else ''}{' × '.join(lists)}", soft_wrap=True)
    if len(entries) > _COMMANDS:
        console.print(f"  … and {len(entries) - _COMMANDS} more: --json has all of them")
