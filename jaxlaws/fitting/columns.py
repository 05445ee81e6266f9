"""Which columns of a table of runs a law reads, and its inputs in them. No JAX: `jaxlaws inspect` reads it too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from jaxlaws.errors import BadInput
from jaxlaws.inputs import FOLLOWS, INPUTS, PARAMS, following
from jaxlaws.laws.law import Law
from jaxlaws.records.aliases import remedy

if TYPE_CHECKING:
    from jaxlaws.records.table import Runs


def columns_of(law: Law) -> tuple[str, ...]:
    """The columns of a table that the law may read, and those whose differences its inputs explain.

    `share.` stands for all that begin with it.
    """
    return tuple(
        column
        for name in law.inputs
        if (row := INPUTS[name]).of_run
        for column in (PARAMS if name == "N" else (f"{row.column}.",) if row.many else (row.column, *row.explains))
    )


def metric_of(law: Law) -> str:
    """The metric that a law predicts: `nats`, or that of a column `metric.NAME`."""
    return law.convention.get("loss", "nats")


def with_metric(law: Law, runs: Runs) -> Runs:
    """The runs with what a law of final losses predicts as their loss; `BadInput` where they do not state it."""
    metric = metric_of(law)
    runs = runs.measuring(metric)
    if metric != "nats" and not runs.target and law.kind == "point":
        raise BadInput(
            f"{runs.source} has no column metric.{metric}, which {law.name} predicts: name it with "
            f"--map metric.{metric}=NAME, or another metric with --target NAME."
        )
    return runs


def params_of(law: Law, runs: Runs, params_column: str | None) -> str:
    """The column that `N` is read from."""
    if params_column is not None:
        if params_column not in PARAMS:
            raise BadInput(f"params column is '{params_column}', expected {' or '.join(PARAMS)}.")
        runs.need(params_column)
        return params_column
    for name in PARAMS:
        if name in runs.table and runs.table[name].notna().all():
            return name
    unknown = runs.usage.unknown if runs.usage else ()
    raise BadInput(
        f"{runs.source} has no column params_nonembedding or params_total for every run, the law {law.name} needs N: "
        f"{remedy('params_nonembedding', runs.table.columns, unknown)}."
    )


def parts_of(law: Law, runs: Runs) -> dict[str, str]:
    """Input of several columns → the names of its parts in the table, joined by commas, as a convention has them."""
    names = {
        name: [str(column).removeprefix(f"{name}.") for column in runs.table if str(column).startswith(f"{name}.")]
        for name in law.several
    }
    return {name: ",".join(parts) for name, parts in names.items() if parts}


def read_inputs(law: Law, runs: Runs, params_column: str | None) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """What a law reads of the table besides schedules.

    Returns:
      symbol → values [runs], or [runs, names] of an input of several columns; and the conventions among them.

    Raises:
      BadInput: a column is missing, or has a value that the law is not defined for.
    """
    inputs: dict[str, np.ndarray] = {}
    convention: dict[str, str] = {}
    for name in law.inputs:
        row = INPUTS[name]
        if not row.of_run:
            continue
        if row.many:
            parts = parts_of(law, runs)
            columns = [f"{row.column}.{part}" for part in parts.get(row.column, "").split(",") if part]
            if not columns:
                raise BadInput(
                    f"{runs.source} has no columns {row.column}.NAME, the law {law.name} needs {row.meaning}: name "
                    f"each with --map {row.column}.NAME=COLUMN."
                )
            convention |= parts
        elif name == "N":
            columns = [params_of(law, runs, params_column)]
            convention["params"] = columns[0]
        else:
            columns = [row.column]
            if row.column not in runs.table and row.column in FOLLOWS:
                runs, source = _with(row.column, law, runs, params_column)
                convention |= source
        values = runs.need(*columns)[columns].to_numpy(float)
        good = row.allows(values)
        if not good.all():
            column = columns[int(np.argmin(good.all(0)))]
            raise BadInput(f"{runs.source}: {column} has a value that is not {row.domain}: drop those runs.")
        if (total := row.faulty_sum(values)) is not None:
            raise BadInput(
                f"{runs.source}: the columns {row.column}.NAME of a run sum to {total:g}, expected 1: divide them by "
                "their sum, and name those that are missing."
            )
        inputs[name] = values if row.many else values[:, 0]
    return inputs, convention


def _with(column: str, law: Law, runs: Runs, params_column: str | None) -> tuple[Runs, dict[str, str]]:
    """The runs with a column computed from others, if it can be, and the convention that the computation adds."""
    parts = {name: runs.table[name] for name in FOLLOWS[column][1] if name in runs.table}
    convention = {}
    if "params" in FOLLOWS[column][1] and any(name in runs.table for name in PARAMS):
        convention["params"] = params_of(law, runs, params_column)
        parts["params"] = runs.table[convention["params"]]
    value = following(column, parts)
    if value is None:
        return runs, {}
    return replace(runs, table=runs.table.assign(**{column: value})), convention


def cells(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """[runs] number of the combination of inputs that a run has, to six digits of a logarithm."""
    flat = np.column_stack([np.arcsinh(1e6 * value) for value in inputs.values()])
    return np.unique(np.round(flat, 6), axis=0, return_inverse=True)[1].reshape(-1)
