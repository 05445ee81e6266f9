"""Which laws a table can be fitted with, by what the laws read and the columns that the table has."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from jaxlaws.errors import BadInput
from jaxlaws.fitting.columns import columns_of, metric_of, read_inputs
from jaxlaws.inputs import INPUTS
from jaxlaws.laws.law import Law
from jaxlaws.recommender.estimate import READS
from jaxlaws.records.cells import swept
from jaxlaws.records.settings import one_setting
from jaxlaws.records.table import Runs


def obstacle(law: Law, runs: Runs, metric: str) -> str:
    """Why a table is none for a law, one sentence; empty where it is one.

    It is none where it lacks a column of an input, an input has the same value in all runs, the law is of another
    metric, or a law of curves reads nothing that tells the runs apart.

    Args:
      law: of the loss.
      runs: of the table.
      metric: what their target is; `nats` for any loss.
    """
    if metric_of(law) != metric:
        return f"{law.name} predicts {metric_of(law)}, the table has {metric}."
    if law.kind == "curve" and not runs.curves:
        return f"{law.name} reads losses along runs, the table has one a run."
    if law.kind == "point" and runs.loss_name is None:
        return f"{law.name} reads final losses, the table has none."
    logged = [INPUTS[key].column for key in law.inputs if INPUTS[key].logged]
    for column in logged:
        if not all(column in curve.logged for curve in runs.curves.values()):
            return f"{law.name} reads {column}, which the curves do not have."
    try:
        inputs, _ = read_inputs(law, in_domain(law, runs), None)
        if law.kind == "curve":
            one_setting(without_settings(runs), law.name, columns_of(law), True)
    except BadInput as error:
        return str(error)
    same = [INPUTS[key].column for key, value in inputs.items() if np.all(np.ptp(value, axis=0) == 0)]
    return f"{law.name} reads {same[0]}, which is the same in all runs." if same else ""


def hyper_obstacle(runs: Runs) -> str:
    """Why a table is none for a law of LR and batch, one sentence; empty where it is one."""
    if missing := [name for name in READS if name not in runs.table and name != "params_total"]:
        return f"laws of LR and batch read {missing[0]}, which the table does not have."
    return "" if swept(runs) else "the runs of one size and budget do not differ in LR or batch."


def in_domain(law: Law, runs: Runs) -> Runs:
    """The runs whose inputs the law is defined for."""
    keep = np.ones(len(runs.table), bool)
    for key in law.inputs:
        row = INPUTS[key]
        if row.of_run and row.column in runs.table:
            keep &= np.asarray(row.allows(runs.table[row.column].to_numpy(float)))
    return runs if keep.all() else runs.at(keep)


def without_settings(runs: Runs) -> Runs:
    """The runs, for which nobody answers that settings may differ: they move a whole curve."""
    return replace(runs, assume={name: value for name, value in runs.assume.items() if name != "settings"})
