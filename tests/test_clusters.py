"""Rows of one training run in a law of final losses: one cluster of correlated errors, left out and resampled whole."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import jaxlaws
from jaxlaws.errors import BadInput
from jaxlaws.fitting.fit import fit
from jaxlaws.fitting.points import points
from jaxlaws.laws.table import get
from jaxlaws.records.check import check
from jaxlaws.records.table import Runs

TRUTH = {"E": 1.8, "A": 400.0, "alpha": 0.34, "B": 1500.0, "beta": 0.35}
EXPONENTS = {"alpha": 0.34, "beta": 0.35}


def table(seed: int = 0, sizes: int = 6, lengths: int = 3, of_run: float = 0.01, rows: int = 6) -> pd.DataFrame:
    """Runs of some sizes and lengths with an error of their own, and rows along each with a small one in addition."""
    rng = np.random.default_rng(seed)
    n, end = (x.ravel() for x in np.meshgrid(np.geomspace(5e7, 2e9, sizes), np.geomspace(5e9, 1e11, lengths)))
    error = of_run * rng.standard_normal(len(n))
    parts = [
        pd.DataFrame({"run_id": f"m{i}", "params_nonembedding": n[i], "tokens": end[i] * np.geomspace(0.1, 1, rows)})
        for i in range(len(n))
    ]
    frame = pd.concat(parts, ignore_index=True)
    loss = TRUTH["E"] + TRUTH["A"] / frame.params_nonembedding**0.34 + TRUTH["B"] / frame.tokens**0.35
    return frame.assign(loss_nats=loss * np.exp(np.repeat(error, rows) + 1e-3 * rng.standard_normal(len(frame))))


def clustered(frame: pd.DataFrame) -> Runs:
    return check(Runs(frame.set_index("run_id"), assume={"checkpoints": ""}))


def naive(runs: Runs) -> Runs:
    return replace(runs, table=runs.table.drop(columns="cluster"))


def width(fit, name: str) -> float:
    low, high = fit.intervals[name]
    return high - low


def test_rows_of_one_run_id_need_an_answer_and_are_then_a_cluster():
    frame = table()
    with pytest.raises(BadInput, match="108 rows are of 18 runs, m0 among them, each row at tokens of its own"):
        check(Runs(frame.set_index("run_id")))
    runs = clustered(frame.sample(frac=1, random_state=0))
    assert runs.table.index.is_unique
    assert runs.table["cluster"].nunique() == 18
    flat = points(get("chinchilla"), runs)
    assert not flat.single
    assert len(flat.names) == flat.cells == 18
    for run in range(18):
        part = flat.inputs["D"][flat.run == run]
        assert np.all(np.diff(part) > 0)
        assert np.ptp(np.flatnonzero(flat.run == run)) == 5


def test_checkpoints_that_names_number_become_a_cluster():
    frame = table()
    count = frame.groupby("run_id").cumcount()
    runs = clustered(frame.assign(run_id=frame["run_id"] + "_step" + (100 * (count + 1)).astype(str)))
    assert runs.table["cluster"].nunique() == 18
    assert runs.table.groupby("cluster")["params_nonembedding"].nunique().max() == 1


def test_runs_are_left_out_and_resampled_whole():
    runs = clustered(table())
    whole, rows = (fit("chinchilla", one, starts=8, bootstrap=60, fixed=EXPONENTS) for one in (runs, naive(runs)))
    assert whole.resampling == "bootstrap of 18 runs"
    assert whole.data["runs"] == 18
    assert whole.data["points"] == rows.data["points"] == 108
    assert whole.params == pytest.approx(rows.params, rel=1e-6)
    assert width(whole, "E") > 1.6 * width(rows, "E")
    assert whole.held_out["leave_one_run_out"]["rmse"] > 1.05 * rows.held_out["leave_one_run_out"]["rmse"]
    assert whole.diagnostics["sd_of_ln"]["E"] > 1.6 * rows.diagnostics["sd_of_ln"]["E"]
    assert 0.005 < whole.scatter["offset"] < 0.02
    assert whole.scatter["sigma"] < 0.005


def test_a_run_that_is_fitted_in_part_is_held_out_in_part():
    runs = clustered(table())
    early = [str(name) for name in runs.table.index[runs.table["tokens"] < 2e10]]
    answer = fit("chinchilla", runs, train=early, starts=8, bootstrap=0, fixed=EXPONENTS)
    assert answer.data["points"] == len(early)
    assert answer.held_out["test"]["rmse"] < 0.05
    one = fit("chinchilla", runs, train=[f"m{i}" for i in range(12)], starts=8, bootstrap=0, fixed=EXPONENTS)
    assert one.data["points"] == 72
    with pytest.raises(BadInput, match="'nobody'"):
        fit("chinchilla", runs, train=["m1", "nobody"], starts=8, bootstrap=0, fixed=EXPONENTS)


@pytest.mark.slow
def test_intervals_of_clusters_hold_the_truth_and_those_of_rows_do_not():
    """Sixty tables with known constants: 90% intervals of E, A and B, resampled by run and by row."""
    inside = {"runs": 0, "rows": 0}
    for seed in range(60):
        runs = clustered(table(seed))
        for how, one in (("runs", runs), ("rows", naive(runs))):
            answer = fit("chinchilla", one, starts=2, bootstrap=100, fixed=EXPONENTS)
            inside[how] += sum(low <= TRUTH[name] <= high for name, (low, high) in answer.intervals.items())
    assert inside["runs"] / 180 > 0.8
    assert inside["rows"] / 180 < 0.65


def test_a_column_of_ones_own_names_the_clusters(tmp_path):
    frame = table(rows=4).rename(columns={"run_id": "trunk"})
    path = tmp_path / "branches.csv"
    frame.assign(run_id=[f"r{i}" for i in range(len(frame))]).to_csv(path, index=False)
    runs = jaxlaws.open_runs(path, map={"cluster": "trunk"})
    assert len(points(get("chinchilla"), runs).names) == 18
