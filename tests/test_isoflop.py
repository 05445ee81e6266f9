"""Approaches 1 and 2 against a law whose optimum is known, and what a design leaves open."""

import numpy as np
import pandas as pd
import pytest

from jaxlaws.errors import BadInput
from jaxlaws.fitting.design_checks import few_values, lines
from jaxlaws.fitting.isoflop import envelope, parabolas, profiles
from jaxlaws.laws.table import LAWS
from jaxlaws.records.published import load
from jaxlaws.records.table import Curve, Runs


def law(alpha, beta, a=480.0, b=2000.0, e=1.8):
    return lambda n, d: e + a * n**-alpha + b * d**-beta


def optimum(flops, alpha, beta, a=480.0, b=2000.0):
    return (alpha * a / (beta * b)) ** (1 / (alpha + beta)) * (flops / 6) ** (beta / (alpha + beta))


def grid(loss, alpha, beta, width=1.5, shift=0.0, points=9, stated=True):
    rows = []
    for c in np.geomspace(1e19, 1e21, 5):
        for n in optimum(c, alpha, beta) * np.exp(shift + np.linspace(-width, width, points)):
            rows.append(
                {"params_total": n, "tokens": c / (6 * n), "loss_nats": loss(n, c / (6 * n)), "flops_budget": c}
            )
    table = pd.DataFrame(rows).rename_axis("run_id").rename(index="p{}".format)
    return Runs(table if stated else table.drop(columns="flops_budget"))


def test_parabolas_are_exact_where_alpha_equals_beta():
    frontier = parabolas(grid(law(0.35, 0.35), 0.35, 0.35), resamples=10)
    assert frontier.exponent == pytest.approx(0.5, abs=1e-9)
    assert frontier.params(3e20) == pytest.approx(optimum(3e20, 0.35, 0.35), rel=1e-6)


def test_the_bias_of_parabolas_is_measured_and_reported():
    truth = law(0.5, 0.25)
    frontier = parabolas(grid(truth, 0.5, 0.25, width=2.5), resamples=10, law=truth)
    off = frontier.params(1e21) / optimum(1e21, 0.5, 0.25)
    assert abs(np.log(off)) > 0.02
    message = next(text for text in frontier.warnings if "noiseless" in text)
    assert float(message.split("N* ")[1].split(" times")[0]) == pytest.approx(off, rel=0.01)


def test_no_bias_is_reported_where_there_is_none():
    truth = law(0.35, 0.35)
    frontier = parabolas(grid(truth, 0.35, 0.35), resamples=10, law=truth)
    assert not [text for text in frontier.warnings if "noiseless" in text]


def test_an_off_centre_grid_is_reported():
    frontier = parabolas(grid(law(0.35, 0.35), 0.35, 0.35, shift=1.2), resamples=10)
    assert any("far from the middle" in text for text in frontier.warnings)


def test_budgets_are_found_from_gaps_where_they_are_not_stated():
    runs = grid(law(0.35, 0.35), 0.35, 0.35, stated=False)
    np.testing.assert_allclose([p.flops for p in profiles(runs)], np.geomspace(1e19, 1e21, 5), rtol=1e-9)


def test_a_cloud_of_points_is_no_set_of_profiles(published):
    with pytest.raises(BadInput, match="give the column flops_budget"):
        profiles(load(published("isoflops/chinchilla_figure4_epoch.csv"), "isoflop"))


def test_bootstrap_interval_covers_the_truth_at_its_rate():
    rng, hits = np.random.default_rng(1), 0
    clean = grid(law(0.35, 0.35), 0.35, 0.35, points=12)
    for _ in range(60):
        noisy = Runs(clean.table.assign(loss_nats=clean.table["loss_nats"] + rng.normal(0, 0.003, len(clean.table))))
        low, high = np.quantile(parabolas(noisy, resamples=200).params_draws(1e21), [0.05, 0.95])
        hits += low <= optimum(1e21, 0.35, 0.35) <= high
    assert 0.75 <= hits / 60 <= 1.0


def test_envelope_of_points_follows_the_optimum_to_the_grid():
    frontier = envelope(grid(law(0.35, 0.35), 0.35, 0.35, points=41))
    assert frontier.params(1e20) == pytest.approx(optimum(1e20, 0.35, 0.35), rel=0.08)


def test_envelope_of_curves_follows_the_optimum():
    alpha, beta, batch = 0.35, 0.35, 5e5
    curves, rows = {}, {}
    for n in np.geomspace(3e7, 3e9, 40):
        at = np.unique(np.geomspace(200, 60000, 300).astype(int))
        loss = law(alpha, beta)(n, (at + 1) * batch)
        curves[f"n{n:.0f}"] = Curve(np.full(at[-1] + 1, 1e-3), at, loss, 0)
        rows[f"n{n:.0f}"] = {"params_total": n, "batch_tokens": batch, "loss_nats": loss[-1]}
    frontier = envelope(Runs(pd.DataFrame.from_dict(rows, orient="index"), curves))
    middle = np.sqrt(frontier.flops.min() * frontier.flops.max())
    assert frontier.params(middle) == pytest.approx(optimum(middle, alpha, beta), rel=0.25)


def test_published_profiles_give_an_exponent_near_one_half(published):
    frontier = parabolas(load(published("isoflops/ml_scalefit.csv"), "isoflop"), resamples=300)
    assert len(frontier.flops) == 9
    assert frontier.exponent == pytest.approx(0.49, abs=0.03)
    assert envelope(load(published("isoflops/ml_scalefit.csv"), "isoflop")).exponent == pytest.approx(0.49, abs=0.08)


@pytest.mark.parametrize(("power", "words"), [(1.0, "D = 20 N"), (0.7, "N^0.70")])
def test_runs_on_a_line_leave_the_two_terms_open(power, words):
    n = np.geomspace(1e8, 1e10, 12)
    found = str(*lines(LAWS["chinchilla"], {"N": n, "D": 20 * n**power * 1e9 ** (1 - power)}))
    assert "A, B, alpha and beta" in found
    assert words in found


@pytest.mark.parametrize("spread", [0.05, 0.5])
def test_runs_off_the_line_leave_nothing_open_by_design(spread):
    n = np.geomspace(1e8, 1e10, 12)
    assert lines(LAWS["chinchilla"], {"N": n, "D": 20 * n * np.exp(spread * np.tile([-1, 1], 6))}) == []


def test_two_sizes_leave_the_model_term_open():
    n, d = np.meshgrid([1e8, 1e9], np.geomspace(1e9, 1e11, 4))
    found = str(*few_values(LAWS["chinchilla"], {"N": n.ravel(), "D": d.ravel()}))
    assert "2 model sizes" in found
