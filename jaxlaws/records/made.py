"""Derived columns: from the values that the user sets, from run ids, and products such as batch · length."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from jaxlaws.errors import BadInput, unknown
from jaxlaws.records.aliases import ALIASES, is_ours, our_names
from jaxlaws.records.columns import WORDS
from jaxlaws.records.naming import candidates, normal
from jaxlaws.records.understood import Table
from jaxlaws.records.units import parse_number
from jaxlaws.text import printable, quoted

#: Ratio by which steps · batch may miss the tokens where the batch counts tokens.
_CLOSE = 1.25


def set_columns(table: Table, values: Mapping[str, object]) -> None:
    """Give every row the values that the user sets, by our name or another known one."""
    for name, value in values.items():
        ours = ours_of(name, table.along)
        if ours is None or ours == "run_id":
            raise unknown("column in --set", name, set(our_names()) - {"run_id"})
        table.data[ours] = str(value) if ours in WORDS else parse_number(_truth(value), f"--set {name}")  # type: ignore[arg-type]
        table.origins[ours] = f"{printable(value)} (--set)"


def _truth(value: object) -> object:
    """The value, with 1 for true or yes and 0 for false or no."""
    return {"true": 1, "yes": 1, "false": 0, "no": 0}.get(str(value).lower(), value)


def ours_of(name: str, along: bool) -> str | None:
    """Our name for any known name, None for an unknown one."""
    if is_ours(name):
        return name
    return next((ours for ours, *_ in candidates(name, along)), None)


def name_parts(table: Table, pattern: str | None) -> None:
    """Columns from the run ids: `{params_nonembedding}-{}xC` reads N from `190M-10xC`; `{}` is anything."""
    if pattern is None:
        return
    names = [ours_of(part, False) if part else "" for part in re.findall(r"{(.*?)}", pattern)]
    for part, ours in zip(re.findall(r"{(.*?)}", pattern), names, strict=True):
        if ours is None:
            raise unknown("column in --name", part, our_names())
    literal = [re.escape(text) for text in re.split(r"{.*?}", pattern)]
    expression = re.compile("(.*?)".join(literal)) if names else None
    if expression is None or "run_id" not in table.data:
        raise BadInput(f"--name is '{printable(pattern)}', expected a pattern of run ids such as '{{params}}-{{}}xC'.")
    codes, ids = pd.factorize(table.data["run_id"])
    matches = [expression.fullmatch(str(name)) for name in ids]
    if None in matches:
        raise BadInput(f"--name '{printable(pattern)}' does not fit the run '{printable(ids[matches.index(None)])}'.")
    for place, ours in enumerate(names, 1):
        if ours:
            texts = [match[place] for match in matches if match]
            values = texts if ours in WORDS else [parse_number(text, f"{ours} in --name") for text in texts]
            table.data[ours] = np.array(values, object if ours in WORDS else float)[codes]
            table.origins[ours] = "the run id (--name)"


class Rule(NamedTuple):
    """A formula for the column `ours` of other columns, for tables that lack it."""

    ours: str
    needs: tuple[str, ...]
    make: Callable[..., np.ndarray]
    words: str


def _whole(values: Any) -> np.ndarray:
    return np.round(np.asarray(values, float))


#: Rules in order. In a table with D and T the batch is D/T, whatever its batch column counts.
RULES: tuple[Rule, ...] = (
    Rule("batch_tokens", ("batch_sequences", "seq_len"), lambda b, length: b * length, "{} × {}"),
    Rule("batch_tokens", ("tokens", "steps"), lambda d, t: d / t, "{} / {}"),
    Rule("tokens", ("steps", "batch_tokens"), lambda t, b: t * b, "{} × {}"),
    Rule("warmup_steps", ("warmup_fraction", "steps"), lambda share, t: _whole(share * t), "{} × {}"),
    Rule(
        "params_nonembedding",
        ("params_total", "vocab", "width", "untied"),
        lambda n, v, w, untied: n - v * w * np.where(untied > 0, 2, 1),
        "{} − {} × {}, twice where untied",
    ),
    Rule("params_nonembedding", ("params_total", "vocab", "width"), lambda n, v, w: n - v * w, "{} − {} × {}"),
)


def derive(table: Table) -> None:
    """Derive the columns of `RULES` that the table lacks, and decide the meaning of N and of a batch without a unit."""
    _unspecified_params(table)
    _batch_in_tokens(table)
    counts_log = _logged_steps(table)
    for rule in RULES:
        if counts_log and rule.ours != "params_nonembedding" and "steps" in rule.needs:
            continue
        if rule.ours not in table.data and set(rule.needs) <= set(table.data.columns):
            with np.errstate(all="ignore"):
                table.data[rule.ours] = rule.make(*(table.data[name].to_numpy(float) for name in rule.needs))
            table.origins[rule.ours] = rule.words.format(*(_origin(table, name) for name in rule.needs))
    if counts_log:
        _drop_contradicted_steps(table)
    warmup = table.data.get("warmup_steps")
    if warmup is not None and ((warmup > 0) & (warmup < 1)).any():
        steps = table.data.get("steps")
        table.data["warmup_steps"] = np.nan if steps is None else np.where(warmup < 1, _whole(warmup * steps), warmup)


def _origin(table: Table, name: str) -> str:
    origin = table.origins.get(name, name)
    if origin.endswith(" (--set)"):
        return origin.removesuffix(" (--set)")
    return f"({origin})" if " " in origin else origin


def _unspecified_params(table: Table) -> None:
    """Decide whether N of an unspecific name counts embeddings: the opposite of the other N, else it does not."""
    if "params" not in table.data:
        return
    data, theirs = table.data, table.origins.pop("params", "params")
    values = data.pop("params").to_numpy(float)
    inner, total = (data[name].to_numpy(float) if name in data else None for name in _PARAMS)
    if inner is not None and total is not None:
        return
    if inner is not None:
        if (values >= inner).all() and (values > inner).any():
            data["params_total"], table.origins["params_total"] = values, theirs
    elif total is not None:
        if (values <= total).all() and (values < total).any():
            data["params_nonembedding"], table.origins["params_nonembedding"] = values, theirs
    else:
        data["params_nonembedding"], table.origins["params_nonembedding"] = values, theirs
        table.notes.append(
            f"N is read from {theirs}, whose name does not say whether embeddings count: it is taken as N without "
            f"them; where they count, say params_total instead"
            + (f", with --map {quoted(f'params_total={theirs}')}." if theirs in table.raw else ".")
        )


_PARAMS = ("params_nonembedding", "params_total")


def _logged_steps(table: Table) -> bool:
    """Whether the steps are a tracker's count of log entries, from which nothing is derived."""
    theirs = table.origins.get("steps")
    return not table.along and theirs is not None and normal(theirs) in map(normal, ALIASES["steps"][1].split())


def _drop_contradicted_steps(table: Table) -> None:
    if not {"tokens", "batch_tokens"} <= set(table.data.columns):
        return
    ratio = (table.data["steps"] * table.data["batch_tokens"] / table.data["tokens"]).dropna()
    if not ratio.between(1 / _CLOSE, _CLOSE).all():
        table.data = table.data.drop(columns="steps")
        theirs = table.origins.pop("steps")
        table.notes.append(f"'{theirs}' is no count of optimiser steps (tokens / batch is another): left out.")


def _batch_in_tokens(table: Table) -> None:
    """Take `batch_sequences` as tokens if its product with the steps is the tokens of the run."""
    data = table.data
    if "batch_sequences" not in table.origins or "batch_tokens" in data or not {"tokens", "steps"} <= set(data.columns):
        return
    ratio = (data["batch_sequences"] * data["steps"] / data["tokens"]).dropna()
    if len(ratio) and ratio.between(1 / _CLOSE, _CLOSE).all():
        data["batch_tokens"] = data.pop("batch_sequences")
        table.origins["batch_tokens"] = table.origins.pop("batch_sequences")
