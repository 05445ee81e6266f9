"""Regret on the public Step Law runs: what the default is held to, cell by cell left out."""

from dataclasses import asdict
from functools import partial

import numpy as np
import pytest

from jaxlaws.bench.recommend import near_best_recipe
from jaxlaws.recommender.cells import cells_of
from jaxlaws.recommender.estimate import estimate
from jaxlaws.recommender.presets import _COVARIANCE, PRESETS
from jaxlaws.recommender.score import held_out, score, score_law, without
from jaxlaws.recommender.surface import Surface
from jaxlaws.records.source import open_runs


@pytest.fixture(scope="module")
def runs(published):
    return open_runs(published("step_law/dense_lr_bs_loss.csv"), format="step_law")


@pytest.fixture(scope="module")
def ours(runs):
    return held_out(runs, partial(estimate, bootstrap=200))


def test_authors_recipe(runs):
    (_, lr_n, lr_d), (b0, _, b_d) = near_best_recipe(runs, 0)
    assert (lr_n, lr_d) == pytest.approx((-0.766, 0.197), abs=6e-4)
    assert (np.exp(b0), b_d) == pytest.approx((0.209, 0.613), abs=6e-4)


def test_surface_is_the_thin_plate_spline_of_scipy(runs):
    from scipy.interpolate import RBFInterpolator

    cell = cells_of(runs)[0][5]
    surface = Surface(cell)
    keep = cell.y < cell.y.min() + np.log(1.05)
    other = RBFInterpolator(cell.x[keep], cell.y[keep], kernel="thin_plate_spline", smoothing=0.01)
    grid = np.random.default_rng(0).uniform(surface.low, surface.high, (50, 2))
    np.testing.assert_allclose(surface(grid), other(grid), rtol=1e-7)
    assert surface(grid).min() >= surface.value


def test_left_out_regret_of_the_default(runs, ours):
    published = score_law(runs, PRESETS["step_law:published"].optimum).regret.mean()
    advice = []
    for cell in ours.cells:
        table = near_best_recipe(without(runs, [cell]), 0)
        advice.append(table @ [1, np.log(cell.params), np.log(cell.tokens)])
    recipe = score(ours.cells, ours.surfaces, np.array(advice)).regret.mean()
    assert published == pytest.approx(1.11e-3, abs=5e-5)
    assert recipe == pytest.approx(8.0e-4, abs=5e-5)
    assert ours.regret.mean() <= 0.6 * published
    assert ours.regret.mean() <= recipe
    assert ours.regret.max() < 2.5e-3


def test_intervals_hold_about_what_they_say(ours):
    assert 0.6 <= ours.covered().mean() <= 0.95
    assert 0.65 <= ours.basin_covered().mean() <= 0.95


@pytest.mark.parametrize("level", ["params", "tokens"])
def test_a_size_or_a_budget_that_is_left_out(runs, ours, level):
    """The band of the coverage is the binomial one of 80% of 17 at 95%: 10 to 16."""
    keys = np.round(np.log([getattr(cell, level) for cell in ours.cells]), 2)
    advice, half = np.zeros((17, 2)), np.zeros((17, 2))
    for key in np.unique(keys):
        law = estimate(without(runs, [c for c, k in zip(ours.cells, keys, strict=True) if k == key]), bootstrap=100)
        for i in np.flatnonzero(keys == key):
            n, d = ours.cells[i].params, ours.cells[i].tokens
            advice[i], half[i] = law.optimum(n, d), [law.half_width(axis, n, d) for axis in ("lr", "batch")]
    found = score(ours.cells, ours.surfaces, advice, half)
    assert found.regret.mean() < 0.8e-3
    assert found.regret.max() < 2.5e-3
    assert np.all((found.covered().sum(0) >= 10) & (found.covered().sum(0) <= 16))


def test_extrapolation_to_larger_models(runs):
    for method in ("two_stage", "one_stage"):
        found = held_out(runs, partial(estimate, bootstrap=0, method=method), lambda cell: cell.params <= 4.3e8)
        assert len(found.cells) == 5
        assert found.regret.mean() < 1.5e-3
        assert found.inside.all()


def test_presets_carry_what_the_files_say(runs, published):
    stored = np.loadtxt(published("step_law/1004_fitted_lr_bs_scaling_model_parameters.csv"), delimiter=",", skiprows=1)
    preset = PRESETS["step_law:bootstrap"]
    names = ("lr_intercept", "lr_N", "lr_D", "batch_intercept", "batch_D")
    np.testing.assert_allclose([preset.params[name] for name in names], stored.mean(0), rtol=1e-10)
    np.testing.assert_allclose(_COVARIANCE["lr"], np.cov(stored[:, :3].T), rtol=1e-9)
    refit = estimate(runs, bootstrap=0)
    for name, value in PRESETS["step_law:refit"].params.items():
        assert refit.params[name] == pytest.approx(value, rel=1e-4, abs=1e-9)
    for name, value in asdict(PRESETS["step_law:refit"].excess).items():
        assert getattr(refit.excess, name) == pytest.approx(value, rel=1e-3)
