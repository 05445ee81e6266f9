"""What cells cannot tell comes from other sweeps, forms are mixed by regret, and intervals grow with distance."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest

from jaxlaws.bench.recommend import step_law_runs
from jaxlaws.recommender.estimate import estimate
from jaxlaws.recommender.exponents import STUDIES, Study, drift, prior
from jaxlaws.recommender.hyperfit import AXES, PARAMS, HyperFit
from jaxlaws.recommender.power import power_laws
from jaxlaws.recommender.presets import _COVARIANCE, PRESETS
from jaxlaws.recommender.student import student

SMALL = {"half_lrs": 2, "half_batches": 2}
#: Exponents of η far from what sweeps publish.
ODD = np.array([[0.0, 0.9, -0.9], [0.0, 0.3, 0.2]])


def places(sizes, budgets):
    return np.array([[1.0, np.log(n), np.log(d)] for n in sizes for d in budgets])


def laws(z, table, noise=0.02, seed=0, expected=None, **options):
    optimum = z @ table.T + noise * np.random.default_rng(seed).standard_normal((len(z), 2))
    small, bend = 1e-4 * np.eye(2), np.array([[0.017, -0.004], [-0.004, 0.015]])
    parts = [np.broadcast_to(part, (len(z), 2, 2)) for part in (small, bend)]
    return power_laws(z, optimum, *parts, 200, 0, prior=prior() if expected is None else expected, **options)


GRID = places(np.geomspace(1e8, 1e9, 4), np.geomspace(5e9, 1e11, 4))


def test_the_prior_is_the_spread_between_settings():
    expected = prior()
    assert not any("2503.04715" in study.reference for study in STUDIES), "scored on its table"
    assert -0.6 < expected.mean[0, 0] < -0.1
    assert 0.4 < expected.mean[1, 1] < 0.6
    sd = np.sqrt(expected.covariance[:, [0, 1], [0, 1]])
    assert np.all((sd > 0.1) & (sd < 0.4))
    rows = tuple((tuple(row), value) for row, value in zip(np.eye(4), (-0.5, 0.2, 0.1, 0.4), strict=True))
    same = prior(studies=[Study(rows, "made up")] * 200)
    np.testing.assert_allclose(same.mean.ravel(), [-0.5, 0.2, 0.1, 0.4], atol=0.01)
    assert np.all(same.covariance[:, [0, 1], [0, 1]] < 0.04**2)


def test_at_one_batch_the_lr_falls_with_tokens_more_steeply():
    one, best = prior(one_batch=True), prior()
    assert one.mean[0, 1] == pytest.approx(best.mean[0, 1] - best.mean[1, 1] / 2)
    assert np.all(one.mean[1] == 0)


def test_many_cells_outweigh_the_prior_and_one_size_or_budget_leaves_it():
    full = laws(GRID, ODD)
    np.testing.assert_allclose(full.coefficients[:, 1:], ODD[:, 1:], atol=0.06)
    expected = prior()
    for k, cells in ((0, places([3e8], np.geomspace(5e9, 1e11, 4))), (1, places(np.geomspace(1e8, 1e9, 4), [2e10]))):
        found = laws(cells, ODD)
        assert found.coefficients[0, 2 - k] == pytest.approx(ODD[0, 2 - k], abs=0.15)
        mean, cov = expected.mean[0], expected.covariance[0]
        told = found.coefficients[0, 2 - k]
        conditional = mean[k] + cov[k, 1 - k] / cov[1 - k, 1 - k] * (told - mean[1 - k])
        assert found.coefficients[0, 1 + k] == pytest.approx(conditional, abs=0.02)
        assert found.covariance[0, 1 + k, 1 + k] > 0.5 * (cov[k, k] - cov[0, 1] ** 2 / cov[1 - k, 1 - k])


def test_a_fit_of_one_budget_says_that_it_is_weak_and_is_wide_off_it():
    fit = estimate(step_law_runs(tokens=(2e10,), **SMALL), bootstrap=50)
    assert fit.status == "weak"
    assert fit.forms["lr"] == "N"
    assert fit.params["lr_D"] != 0
    assert fit.half_width("batch", 4e8, 2e12) > 1.5 * fit.half_width("batch", 4e8, 2e10)


@pytest.mark.parametrize("unit", [(1e-6, 1.0), (1.0, 1e-9), (1e3, 1e3)])
def test_units_of_n_and_d_move_the_intercept_alone(unit):
    one = laws(GRID, ODD)
    shifted = GRID + np.r_[0.0, np.log(unit)]
    optimum = GRID @ ODD.T + 0.02 * np.random.default_rng(0).standard_normal((len(GRID), 2))
    small, bend = np.broadcast_to(1e-4 * np.eye(2), (16, 2, 2)), np.array([[0.017, -0.004], [-0.004, 0.015]])
    other = power_laws(shifted, optimum, small, np.broadcast_to(bend, (16, 2, 2)), 200, 0, prior=prior())
    np.testing.assert_allclose(other.coefficients[:, 1:], one.coefficients[:, 1:], atol=1e-6)
    at = np.array([1.0, np.log(3e9), np.log(3e11)])
    moved = at + np.r_[0.0, np.log(unit)]
    np.testing.assert_allclose(other.coefficients @ moved, one.coefficients @ at, atol=1e-5)


@pytest.mark.parametrize(
    ("form", "table"),
    [
        ("N, D", [-0.7, 0.3]),
        ("N", [-0.7, 0.0]),
        ("D", [0.0, 0.5]),
        ("constant", [0.0, 0.0]),
    ],
)
def test_the_form_of_the_truth_is_among_the_heaviest(form, table):
    truth = np.array([[-6.0, *table], [13.0, *table]])
    share = []
    for seed in range(6):
        power = laws(GRID, truth, seed=seed)
        for components in power.mixture:
            assert sum(part.weight for part in components) == pytest.approx(1)
            assert all(a.weight >= b.weight for a, b in itertools.pairwise(components))
            share.append(sum(part.weight for part in components if part.form == form))
        mean = [sum(part.weight * part.coefficients for part in components) for components in power.mixture]
        np.testing.assert_allclose(power.coefficients, mean)
        np.testing.assert_allclose(power.coefficients[:, 1:], truth[:, 1:], atol=0.1)
    assert np.mean(share) > 0.4


def test_a_fixed_form_is_no_mixture():
    power = laws(GRID, ODD, forms=("N, D", "D"))
    assert [[part.form for part in components] for components in power.mixture] == [["N, D"], ["D"]]
    assert power.coefficients[1, 1] == 0


@pytest.mark.parametrize("size", [0.0, 0.15])
def test_intervals_hold_new_cells_of_new_sizes(size):
    """Truths drawn as the sweeps spread, 80% intervals; 3 sizes cannot show what a size adds as well as 5."""
    expected, rng, held = prior(), np.random.default_rng(1), []
    for _ in range(40):
        slopes = np.stack([rng.multivariate_normal(expected.mean[k], expected.covariance[k]) for k in (0, 1)])
        table = np.c_[[-6.0, 13.0] - slopes @ np.log([3e8, 2e10]), slopes]
        z = places(np.geomspace(1e8, 1e9, 4), np.geomspace(5e9, 1e11, 3))
        effect = np.repeat(size * rng.standard_normal((4, 2)), 3, axis=0)
        optimum = z @ table.T + effect + 0.1 * rng.standard_normal((12, 2))
        tiny, bend = (np.broadcast_to(part, (12, 2, 2)) for part in (1e-4 * np.eye(2), 0.015 * np.eye(2)))
        power = power_laws(z, optimum, tiny, bend, 50, 0, prior=expected)
        for n, d in ((3e8, 2e10), (9e7, 1.2e11), (1.2e9, 4e9)):
            at = np.array([1.0, np.log(n), np.log(d)])
            gap = (power.coefficients - table) @ at - np.hypot(size, 0.1) * rng.standard_normal(2)
            inside = np.einsum("i,kij,j->k", at, power.covariance, at) + power.scatter**2
            held.append(np.abs(gap) <= np.sqrt(inside) * [student(0.8, dof) for dof in power.dof])
    assert 0.68 <= np.mean(held) <= 0.92


def test_outside_the_data_exponents_are_known_as_in_another_setting():
    expected = prior().covariance[0]
    np.testing.assert_allclose(drift(expected, np.zeros((2, 2))), expected)
    np.testing.assert_allclose(drift(expected, expected), 0, atol=1e-12)
    assert np.linalg.eigvalsh(drift(expected, np.diag([0.0, 1.0]))).min() >= -1e-12
    fit = estimate(step_law_runs(**SMALL), bootstrap=50)
    n, d = (fit.ranges[name] for name in ("params", "tokens"))
    still = replace(fit, drift={})
    for axis in AXES:
        assert fit.spread(axis, n[0], d[1]) == still.spread(axis, n[0], d[1])
        wide = [fit.spread(axis, n[1] * far, d[1] * far) for far in (1, 2, 10, 100, 1e4)]
        assert wide == sorted(wide)
        assert fit.spread(axis, n[1] * 10, d[1]) > 1.05 * still.spread(axis, n[1] * 10, d[1])
        assert fit.spread(axis, n[0] / 10, d[0]) > 1.05 * still.spread(axis, n[0] / 10, d[0])


def test_presets_carry_the_spread_between_settings():
    spread = prior().covariance
    for name in ("step_law:bootstrap", "step_law:published"):
        for k, axis in enumerate(AXES):
            known = np.array(_COVARIANCE[axis])[1:, 1:]
            np.testing.assert_allclose(PRESETS[name].drift[axis], drift(spread[k], known), rtol=1e-6)
    refit = PRESETS["step_law:refit"]
    for k, axis in enumerate(AXES):
        known = np.array(refit.covariance[axis])[1:, 1:]
        np.testing.assert_allclose(refit.drift[axis], drift(spread[k], known), rtol=1e-6)


def test_a_saved_mixture_says_the_same(tmp_path):
    fit = estimate(step_law_runs(seed=1, **SMALL), bootstrap=50)
    parts = fit.rivals["batch"]
    assert len(parts) > 1
    for name in PARAMS[3:]:
        mean = sum(part["weight"] * part[name.removeprefix("batch_")] for part in parts)
        assert fit.params[name] == pytest.approx(mean)
    fit.save(tmp_path / "fit.json")
    again = HyperFit.load(tmp_path / "fit.json")
    for axis in AXES:
        assert again.half_width(axis, 7e9, 1.4e12) == fit.half_width(axis, 7e9, 1.4e12)
    raw = json.loads((tmp_path / "fit.json").read_text())
    raw["rivals"]["batch"][0]["weight"] = 1.5
    (tmp_path / "bad.json").write_text(json.dumps(raw))
    with pytest.raises(ValueError, match=r"rivals\.batch\[0\]\.weight is 1\.5, expected a number from 0 to 1"):
        HyperFit.load(tmp_path / "bad.json")
