"""Held-out errors of a fit: each run predicted from the others, and the largest from the smaller, against refits."""

import json

import numpy as np
import pandas as pd
import pytest

from jaxlaws.cli import main
from jaxlaws.fitting.fit import fit
from jaxlaws.fitting.predict import predict
from jaxlaws.records.table import Curve, Runs

RNG = np.random.default_rng(3)


def table(noise=0.002):
    n, d = (x.ravel() for x in np.meshgrid(np.geomspace(1e8, 2e9, 4), np.geomspace(2e9, 1e11, 4)))
    loss = (1.8 + 480 * n**-0.35 + 2100 * d**-0.37) * np.exp(noise * RNG.standard_normal(16))
    frame = pd.DataFrame({"params_total": n, "tokens": d, "loss_nats": loss})
    return Runs(frame.rename(index="r{}".format))


def ramps(noise=0.001):
    """Constant-LR curves of two peaks and six lengths."""
    curves = {}
    for peak in (3e-4, 6e-4):
        for steps in (1000, 1500, 2000, 3000, 4500, 9000):
            at = np.arange(99, steps, 100)
            loss = (2.5 + 0.5 * (peak * (at + 1)) ** -0.5) * np.exp(noise * RNG.standard_normal(len(at)))
            curves[f"lr{peak:g}_T{steps}"] = Curve(np.full(steps, peak), at, loss, 0)
    frame = pd.DataFrame({"loss_nats": {name: curve.loss[-1] for name, curve in curves.items()}})
    return Runs(frame, curves)


def test_leave_one_out_is_the_error_of_refits():
    runs = table()
    found = fit("chinchilla", runs, bootstrap=0)
    off = []
    for name, row in runs.table.iterrows():
        others = fit("chinchilla", runs.select([other for other in runs.table.index if other != name]), bootstrap=0)
        off.append(predict(others, params=row["params_total"], tokens=row["tokens"]).value - row["loss_nats"])
    assert found.held_out["leave_one_run_out"]["mae"] == pytest.approx(np.mean(np.abs(off)), rel=1e-3)


def test_extrapolation_is_the_error_of_a_fit_to_the_smaller_runs():
    runs = table()
    found = fit("chinchilla", runs, bootstrap=0)
    compute = runs.table["params_total"] * runs.table["tokens"]
    large = compute > compute.quantile(0.8)
    split = fit("chinchilla", runs, train=list(runs.table.index[~large]), bootstrap=0)
    assert found.held_out["extrapolation"]["runs"] == large.sum() == 3
    assert found.held_out["extrapolation"]["rmse"] == pytest.approx(split.held_out["test"]["rmse"], rel=1e-3)


def test_extrapolation_of_curves_predicts_the_longest():
    runs = ramps()
    found = fit("opl", runs, bootstrap=0)
    assert found.held_out["extrapolation"]["runs"] == 2
    assert found.held_out["extrapolation"]["mae"] < 0.005
    assert found.held_out["leave_one_run_out"]["mae"] < 0.005


def test_a_law_that_is_wrong_shows_it_outside_and_not_in_sample():
    runs = ramps()
    floor = {
        name: Curve(c.lr, c.at, np.where(c.at > 5000, c.loss + 0.05, c.loss), c.warmup_steps)
        for name, c in runs.curves.items()
    }
    wrong = fit("opl", Runs(runs.table, floor), bootstrap=0)
    assert wrong.held_out["extrapolation"]["mae"] > 4 * fit("opl", runs, bootstrap=0).held_out["extrapolation"]["mae"]


def test_runs_to_fit_by_condition_or_by_name(tmp_path, capsys):
    runs = table()
    runs.table.rename_axis("run_id").to_csv(tmp_path / "runs.csv")
    small = runs.table.index[runs.table["params_total"] <= 1e9]
    answers = []
    for train in ("params_total<=1e9", ",".join(small)):
        assert (
            main(["fit", "chinchilla", str(tmp_path / "runs.csv"), "--train", train, "--bootstrap", "0", "--json"]) == 0
        )
        answers.append(json.loads(capsys.readouterr().out))
    assert answers[0]["data"]["train"] == list(small)
    assert answers[0]["params"] == answers[1]["params"]
    assert answers[0]["held_out"]["test"]["mae"] < 0.01
