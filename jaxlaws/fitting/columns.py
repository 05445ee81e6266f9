"""Which columns of a table of runs a law reads. No JAX: `jaxlaws inspect` reads it too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxlaws.errors import BadInput
from jaxlaws.laws.names import Shape
from jaxlaws.records.aliases import remedy

if TYPE_CHECKING:
    from jaxlaws.records.table import Runs

#: Input of a point law → column of the table (`N` comes from one of the `PARAMS` columns).
COLUMNS = {"D": "tokens", "B": "batch_tokens", "steps": "steps"}
PARAMS = ("params_nonembedding", "params_total")


def columns_of(law: Shape) -> tuple[str, ...]:
    """The columns of a table that the law may read."""
    return (*(PARAMS if "N" in law.inputs else ()), *(COLUMNS[name] for name in law.inputs if name in COLUMNS))


def params_of(law: Shape, runs: Runs, params_column: str | None) -> str:
    """The column that `N` is read from."""
    if params_column is not None:
        if params_column not in PARAMS:
            raise BadInput(f"params column is '{params_column}', expected {' or '.join(PARAMS)}.")
        runs.need(params_column)
        return params_column
    for name in PARAMS:
        if name in runs.table and runs.table[name].notna().all():
            return name
    unknown = runs.used.unknown if runs.used else ()
    raise BadInput(
        f"{runs.source} has no column params_nonembedding or params_total for every run, the law {law.name} needs N: "
        f"{remedy('params_nonembedding', runs.table.columns, unknown)}."
    )
