"""Known optima come back from simulated grids, whatever the noise does to the edges, and the file keeps everything."""

import json

import numpy as np
import pandas as pd
import pytest

from jaxlaws.bench.recommend import TRUTH, step_law_runs
from jaxlaws.errors import BadInput
from jaxlaws.recommender.cells import cells_of
from jaxlaws.recommender.estimate import estimate
from jaxlaws.recommender.hyperfit import PARAMS, HyperFit
from jaxlaws.recommender.local import local_optima
from jaxlaws.recommender.power import power_laws
from jaxlaws.recommender.stages import METHODS
from jaxlaws.recommender.words import near, rows
from jaxlaws.records.table import Runs

INSIDE = [(2.1e8, 4e9), (4.3e8, 3e10), (1.07e9, 1e11)]


def coefficients(fit: HyperFit) -> np.ndarray:
    return np.array([fit.params[name] for name in PARAMS]).reshape(2, 3)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("forms", [("N, D", "D"), ("N, D", "N, D")])
def test_known_law_comes_back(method, forms):
    fit = estimate(step_law_runs(noise=5e-4, scatter=0.0), method=method, forms=forms, bootstrap=100)
    for n, d in INSIDE:
        gap = np.array(fit.optimum(n, d)) - TRUTH @ [1, np.log(n), np.log(d)]
        assert np.abs(gap).max() < 0.08
    assert fit.status == "converged"
    assert fit.sigma == pytest.approx(5e-4, rel=0.3)
    np.testing.assert_allclose(coefficients(fit)[:, 1:], TRUTH[:, 1:], atol=0.06)


def test_penalty_comes_back():
    fit = estimate(step_law_runs(noise=5e-4, scatter=0.05), bootstrap=0)
    assert fit.excess.a == pytest.approx(0.016, rel=0.15)
    assert fit.excess.b == pytest.approx(0.014, rel=0.15)
    assert fit.excess.c == pytest.approx(-0.005, rel=0.3)
    assert fit.excess.k_lr == pytest.approx(1.4, abs=0.4)
    assert fit.excess.of_lr(np.log(2)) > 1.3 * fit.excess.of_lr(-np.log(2))


def test_batch_of_tokens_alone_is_found_where_it_is_true():
    chosen = [estimate(step_law_runs(seed=seed), bootstrap=0).forms for seed in range(6)]
    assert all(forms["lr"] == "N, D" for forms in chosen)
    assert sum(forms["batch"] == "D" for forms in chosen) >= 4


def test_intervals_hold_the_optimum_of_new_cells_at_least_as_often_as_they_say():
    """The interval is for an optimum as a grid measures it, so a true one is held a little more often than 80%."""
    held = []
    for seed in range(12):
        fit = estimate(step_law_runs(noise=5e-4, seed=seed, half_lrs=4, half_batches=3), bootstrap=100, seed=seed)
        rng = np.random.default_rng(1000 + seed)
        for n, d in INSIDE:
            new = TRUTH @ [1, np.log(n), np.log(d)] + 0.1 * rng.standard_normal(2)
            half = [fit.half_width(axis, n, d) for axis in ("lr", "batch")]
            held.append(np.abs(new - fit.optimum(n, d)) <= half)
    assert 0.75 <= np.mean(held) <= 0.98


def test_scaling_the_axes_only_moves_the_intercepts():
    runs = step_law_runs(noise=1e-3)
    table = runs.table.assign(peak_lr=3.0 * runs.table["peak_lr"], batch_tokens=0.5 * runs.table["batch_tokens"])
    one, other = estimate(runs, bootstrap=0), estimate(Runs(table), bootstrap=0)
    shift = coefficients(other) - coefficients(one)
    np.testing.assert_allclose(shift[:, 0], np.log([3.0, 0.5]), atol=1e-3)
    np.testing.assert_allclose(shift[:, 1:], 0, atol=1e-4)


def test_losses_in_another_unit_change_nothing():
    runs = step_law_runs(noise=1e-3)
    other = Runs(runs.table.assign(loss_nats=runs.table["loss_nats"] / np.log(2)))
    np.testing.assert_allclose(
        coefficients(estimate(runs, bootstrap=0)), coefficients(estimate(other, bootstrap=0)), rtol=1e-6
    )


def test_local_optima_agree_with_a_plain_quadratic_where_the_truth_is_one():
    """An independent implementation: numpy least squares cell by cell, on noise-free quadratics."""
    rng = np.random.default_rng(0)
    rows, truth = [], []
    for n in (1e8, 2e8, 4e8):
        for d in (2e9, 8e9):
            optimum = np.log([3e-3, 3e5]) + 0.3 * rng.standard_normal(2)
            truth.append(optimum)
            for i in range(-3, 4):
                for j in range(-3, 4):
                    x = np.log([3e-3, 3e5]) + 0.5 * np.array([i, j])
                    u, v = x - optimum
                    rows.append((n, d, *np.exp(x), np.exp(1 + 0.01 * u * u + 0.008 * v * v - 0.004 * u * v)))
    names = ["params_nonembedding", "tokens", "peak_lr", "batch_tokens", "loss_nats"]
    cells, _ = cells_of(Runs(pd.DataFrame(rows, columns=names)))
    local = local_optima(cells)
    for i, cell in enumerate(cells):
        u, v = cell.x.T
        b = np.linalg.lstsq(np.stack([u**0, u, v, u * u, u * v, v * v], 1), cell.y, rcond=None)[0]
        plain = -np.linalg.solve([[2 * b[3], b[4]], [b[4], 2 * b[5]]], b[1:3])
        np.testing.assert_allclose(plain, truth[i], atol=1e-6)
        np.testing.assert_allclose(local.optimum[i], plain, atol=2e-3)


def test_power_laws_are_weighted_least_squares():
    from scipy.optimize import lsq_linear

    rng = np.random.default_rng(0)
    z = np.stack([np.ones(12), rng.uniform(18, 21, 12), rng.uniform(22, 26, 12)], 1)
    optimum = z @ TRUTH.T + 0.2 * rng.standard_normal((12, 2))
    small = np.broadcast_to(1e-8 * np.eye(2), (12, 2, 2))
    found = power_laws(z, optimum, small, np.broadcast_to(np.eye(2), (12, 2, 2)), 400, 0, ("N, D", "D"))
    np.testing.assert_allclose(found.coefficients[0], lsq_linear(z, optimum[:, 0]).x, rtol=1e-5)
    np.testing.assert_allclose(found.coefficients[1, [0, 2]], lsq_linear(z[:, [0, 2]], optimum[:, 1]).x, rtol=1e-5)
    others = [lsq_linear(np.delete(z, i, 0), np.delete(optimum[:, 0], i)).x @ z[i] for i in range(12)]
    np.testing.assert_allclose(found.left_out[:, 0], others, rtol=1e-5)
    assert found.resampling == "cells"
    assert found.draws.shape == (400, 2, 3)


def test_few_cells_are_parametric_and_say_so():
    fit = estimate(step_law_runs(params=(1e8, 4e8), tokens=(1e9, 4e9, 1.6e10)), bootstrap=200)
    assert fit.resampling.startswith("parametric")
    assert fit.dof["lr"] <= 5
    assert fit.half_width("lr", 2e8, 4e9) > 0


def test_tokens_proportional_to_params_cannot_tell_them_apart():
    rows = [
        step_law_runs(params=(n,), tokens=(20 * n,), half_lrs=3, half_batches=2, seed=i).table
        for i, n in enumerate((1e8, 2e8, 4e8, 8e8, 1.6e9, 3.2e9))
    ]
    fit = estimate(Runs(pd.concat(rows, ignore_index=True)), bootstrap=50)
    assert fit.forms["lr"] != "N, D"
    assert any("cannot identify" in text for text in fit.warnings)


def test_edges_are_reported_cell_by_cell_with_values_to_add():
    runs = step_law_runs(noise=2e-4, scatter=0.0)
    table = runs.table
    cell = (table["params_nonembedding"] == 2.1e8) & (table["tokens"] == 4e9)
    optimum = np.exp(TRUTH @ [1, np.log(2.1e8), np.log(4e9)])
    cut = table[~(cell & (table["peak_lr"] > 0.75 * optimum[0]))]
    fit = estimate(Runs(cut), bootstrap=0)
    flagged = [c for c in fit.cells if c["edges"]["peak_lr"]["edge"]]
    assert [(c["params"], c["tokens"]) for c in flagged] == [(2.1e8, 4e9)]
    edge = flagged[0]["edges"]["peak_lr"]
    assert edge["edge"] == "high"
    top = cut[cell.loc[cut.index]]["peak_lr"].max()
    np.testing.assert_allclose(edge["add"], [top * 2**0.5, top * 2], rtol=1e-6)
    assert rows([flagged[0]])[0][-1] == f"LR best at the high edge, add {top * 2**0.5:.3g}, {top * 2:.3g}"
    assert near(fit, 2.1e8, 4e9)[0].startswith("near the question, the cell N 210M, D 4B: LR best at the high edge")
    assert near(fit, 1.07e9, 1e11) == []


@pytest.mark.parametrize("method", METHODS)
def test_diverged_runs_do_no_harm_and_count_as_bounds(method):
    runs = step_law_runs(noise=5e-4, scatter=0.0)
    finished = Runs(runs.table[runs.table["status"] == "ok"])
    assert (runs.table["status"] == "diverged").sum() > 20
    a, b = (estimate(r, method=method, bootstrap=0, forms=("N, D", "D")) for r in (runs, finished))
    assert a.data["diverged"] > 20
    assert b.data["diverged"] == 0
    np.testing.assert_allclose(a.optimum(4.3e8, 3e10), b.optimum(4.3e8, 3e10), atol=0.03)


def test_a_diverged_run_pulls_the_one_stage_optimum_down_where_nothing_else_bounds_it():
    runs = step_law_runs(noise=2e-3, scatter=0.0, half_lrs=2, half_batches=2, params=(1e8, 2e8, 4e8))
    table = runs.table[runs.table["status"] == "ok"].reset_index(drop=True)
    top = table.groupby(["params_nonembedding", "tokens"])["peak_lr"].transform("max")
    table = table[table["peak_lr"] < 0.5 * top].reset_index(drop=True)
    lost = table.drop_duplicates(["params_nonembedding", "tokens"]).copy()
    lost["peak_lr"] = 1.5 * table["peak_lr"].groupby(table["tokens"]).transform("max").loc[lost.index]
    lost["status"], lost["loss_nats"] = "diverged", np.nan
    both = Runs(pd.concat([table, lost], ignore_index=True))
    one = estimate(Runs(table), method="one_stage", bootstrap=0, forms=("N, D", "D"))
    two = estimate(both, method="one_stage", bootstrap=0, forms=("N, D", "D"))
    assert two.optimum(2e8, 1.2e10)[0] <= one.optimum(2e8, 1.2e10)[0] + 1e-6


def test_tokens_rounded_to_whole_batches_are_one_cell():
    runs = step_law_runs(params=(1e8, 2e8, 4e8))
    steps = np.round(runs.table["tokens"] / runs.table["batch_tokens"])
    rounded = Runs(runs.table.assign(tokens=steps * runs.table["batch_tokens"]))
    assert len(cells_of(rounded)[0]) == len(cells_of(runs)[0]) == 12


def test_save_and_load_keep_full_precision(tmp_path):
    fit = estimate(step_law_runs(half_lrs=3, half_batches=3), bootstrap=50)
    fit.save(tmp_path / "fit.json")
    raw = json.loads((tmp_path / "fit.json").read_text())
    again = HyperFit.load(tmp_path / "fit.json")
    assert raw["kind"] == "hyper_law"
    assert again.params == fit.params
    assert again.half_width("lr", 7e9, 1e12) == fit.half_width("lr", 7e9, 1e12)
    assert again.to_json() == raw
    assert {name: len(values) for name, values in again.draws.items()} == dict.fromkeys(PARAMS, 50)
    assert {"loss", "params", "tokens", "edges", "peak_lr"} <= set(again.cells[0])


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"law": "foo"}, "unknown law 'foo'"),
        ({"method": "magic"}, "unknown method"),
        ({"bootstrap": -1}, "bootstrap is -1"),
        ({"bootstrap": 10**12}, "bootstrap is 1000000000000, expected a whole number from 0 to 100,000"),
    ],
)
def test_bad_requests_are_one_sentence(change, match):
    with pytest.raises(BadInput, match=match):
        estimate(step_law_runs(half_lrs=2, half_batches=2), **change)


def test_mixed_schedules_are_refused():
    runs = step_law_runs(half_lrs=2, half_batches=2)
    table = runs.table.assign(
        schedule=np.where(np.arange(len(runs.table)) % 2, "linear(floor=0.0)", "cosine(floor=0.1)")
    )
    with pytest.raises(BadInput, match=r"differ in schedule .*--where 'schedule==cosine\(floor=0\.1\)'"):
        estimate(Runs(table))


def test_one_cell_is_refused():
    with pytest.raises(BadInput, match="expected 2 or more"):
        estimate(step_law_runs(params=(1e8,), tokens=(1e9,)))


def test_a_loss_without_a_minimum_is_not_identified():
    runs = step_law_runs(half_lrs=3, half_batches=3)
    slope = 3.0 - 0.02 * np.log(runs.table["peak_lr"]) + 0.01 * np.log(runs.table["batch_tokens"])
    slope -= 0.004 * (np.log(runs.table["peak_lr"]) + 6) ** 2
    fit = estimate(Runs(runs.table.assign(loss_nats=slope, status="ok")), bootstrap=0)
    assert fit.status == "unidentified"
    assert "no minimum" in fit.warnings[0]


def test_effects_shared_by_a_size_widen_what_is_said_of_other_sizes():
    rng = np.random.default_rng(0)
    sizes = np.repeat([19.2, 19.6, 20.0, 20.4], 5)
    z = np.stack([np.ones(20), sizes, np.tile(np.linspace(22, 26, 5), 4)], 1)
    flat = np.broadcast_to(1e-6 * np.eye(2), (20, 2, 2)), np.broadcast_to(np.eye(2), (20, 2, 2))
    noise = 0.05 * rng.standard_normal((20, 2))
    shared = np.repeat([0.2, -0.2, -0.2, 0.2], 5)[:, None]
    alone = power_laws(z, z @ TRUTH.T + noise, *flat, 800, 0, ("N, D", "N, D"))
    grouped = power_laws(z, z @ TRUTH.T + noise + shared, *flat, 800, 0, ("N, D", "N, D"))
    assert alone.shared.std(0)[0, 1] < 0.1
    assert grouped.shared.std(0)[0, 1] > 0.15
    far = np.array([1.0, 22.0, 24.0])
    assert (grouped.draws @ far).std(0)[0] > 2 * (alone.draws @ far).std(0)[0]


def break_(raw, path, value):
    *parents, last = path
    for name in parents:
        raw = raw[name]
    raw[last] = value


@pytest.mark.parametrize(
    ("path", "value", "match"),
    [
        (("params", "lr_N"), None, "params.lr_N is null, expected a finite number"),
        (("params", "lr_N"), "steep", "params.lr_N"),
        (("params", "lr_Q"), 1.0, "params"),
        (("covariance", "lr"), [[1, 2], [3, 4]], "covariance.lr"),
        (("scatter", "batch"), -1, "scatter.batch is -1"),
        (("dof", "lr"), 0, "dof.lr is 0"),
        (("forms", "lr"), "cubic", "forms.lr"),
        (("excess",), {"a": 1}, "excess"),
        (("ranges", "tokens"), [2, 1], "ranges.tokens"),
        (("status",), "fine", "status"),
        (("level",), 1.5, "level"),
        (("draws", "lr_N"), [1.0], "draws"),
        (("warnings",), "none", "warnings"),
        (("convention",), [], "convention"),
        (("rivals",), {"lr": [{"N": 1}]}, "rivals.lr"),
    ],
)
def test_every_field_of_a_file_is_checked(tmp_path, path, value, match):
    estimate(step_law_runs(half_lrs=2, half_batches=2), bootstrap=20).save(tmp_path / "fit.json")
    raw = json.loads((tmp_path / "fit.json").read_text())
    break_(raw, path, value)
    (tmp_path / "fit.json").write_text(json.dumps(raw))
    with pytest.raises(BadInput, match=match) as caught:
        HyperFit.load(tmp_path / "fit.json")
    assert "\n" not in str(caught.value)


def test_a_file_with_sorted_keys_says_the_same(tmp_path):
    fit = estimate(step_law_runs(half_lrs=2, half_batches=2), bootstrap=20)
    (tmp_path / "fit.json").write_text(json.dumps(fit.to_json(), sort_keys=True))
    again = HyperFit.load(tmp_path / "fit.json")
    assert again.half_width("lr", 7e9, 1e12) == fit.half_width("lr", 7e9, 1e12)
    assert again.to_json() == json.loads(json.dumps(fit.to_json()))
