"""The Chinchilla law on Epoch's points: the published optimum from every start, intervals, and what D = 20 N hides."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import least_squares

from jaxlaws.cli import main
from jaxlaws.fitting.fit import fit
from jaxlaws.records.published import load

#: Besiroglu et al. 2024: the optimum of their objective, and the standard errors that they publish.
CONSTANTS = {"E": 1.81715, "A": 477.7, "B": 2141.6, "alpha": 0.34729, "beta": 0.36713}
STANDARD_ERRORS = {"E": 0.026, "A": 124.5, "B": 1293.0, "alpha": 0.015, "beta": 0.021}


@pytest.fixture(scope="module")
def runs(published):
    return load(published("isoflops/chinchilla_figure4_epoch.csv"), "isoflop")


@pytest.fixture(scope="module")
def found(runs):
    return fit("chinchilla", runs, starts=200, bootstrap=4000)


def test_every_start_ends_at_the_published_optimum(found):
    assert found.objective_plain == pytest.approx(1.01827e-3, rel=1e-5)
    assert found.starts_agreeing >= 0.96
    assert found.status == "converged"
    for name, value in CONSTANTS.items():
        assert found.params[name] == pytest.approx(value, rel=1e-3)


def test_intervals_of_4000_resamples_agree_with_the_published_errors(found):
    assert found.diagnostics["resamples"] == {"resamples": 4000, "rank_deficient": 0, "not_converged": 0}
    for name, error in STANDARD_ERRORS.items():
        low, high = found.intervals[name]
        assert low < CONSTANTS[name] < high
        assert (high - low) / (2 * 1.645) == pytest.approx(error, rel=0.15)


def test_intervals_agree_with_an_independent_bootstrap(runs, found):
    n, d, loss = (np.log(runs.table[name].to_numpy()) for name in ("params_total", "tokens", "loss_nats"))
    n, d = n - n.mean(), d - d.mean()

    def residual(p, rows):
        return np.logaddexp.reduce([p[0] + 0 * n[rows], p[1] - p[3] * n[rows], p[2] - p[4] * d[rows]]) - loss[rows]

    def solve(start, rows):
        return least_squares(residual, start, args=(rows,), loss="huber", f_scale=1e-3, x_scale="jac", xtol=1e-10).x

    rng = np.random.default_rng(0)
    best = solve([0.6, -1.5, -1.0, 0.35, 0.35], np.arange(240))
    draws = np.array([solve(best, rng.integers(0, 240, 240)) for _ in range(300)])
    for name, column in (("alpha", 3), ("beta", 4)):
        low, high = found.intervals[name]
        theirs = np.percentile(draws[:, column], [5, 95])
        assert (low, high) == pytest.approx(tuple(theirs), abs=0.15 * (high - low))


def test_the_optimum_of_this_casehas_the_published_ratio(found, tmp_path, capsys):
    answers = []
    for case in (replace(found, form_error={}), found):
        case.save(tmp_path / "fit.json")
        assert main(["optimum", str(tmp_path / "fit.json"), "--flops", "5.88e23", "--json"]) == 0
        answers.append(json.loads(capsys.readouterr().out))
        assert answers[-1]["tokens_per_param"]["value"] == pytest.approx(17.9, abs=0.05)
        assert answers[-1]["extrapolation"]
    sampling, both = (answer["tokens_per_param"] for answer in answers)
    assert 5 < sampling["low"] < 12
    assert 25 < sampling["high"] < 45
    assert both["low"] < sampling["low"]
    assert both["high"] > sampling["high"]


@pytest.mark.parametrize("noise", [0.003, 1e-6])
def test_a_design_of_20_tokens_a_parameter_is_not_trusted(tmp_path, capsys, noise):
    n = np.geomspace(3e7, 1e10, 24)
    loss = 1.81715 + 477.7 * n**-0.34729 + 2141.6 * (20 * n) ** -0.36713
    scatter = np.exp(noise * np.random.default_rng(0).standard_normal(24))
    table = pd.DataFrame({"params_total": n, "tokens": 20 * n, "loss_nats": loss * scatter})
    table.to_csv(tmp_path / "runs.csv", index=False)
    code = main(["fit", "chinchilla", str(tmp_path / "runs.csv"), "--bootstrap", "100", "--json"])
    printed = capsys.readouterr()
    answer = json.loads(printed.out)
    assert code == 3
    assert answer["status"] == "unidentified"
    assert "alpha and beta cannot be identified" in answer["warnings"][0]
    assert "D = 20 N" in answer["warnings"][0]
    assert printed.err.count("\n") == 1
