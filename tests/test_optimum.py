"""The compute optimum: published values, the closed form against a search, intervals from stored resamples."""

from dataclasses import replace

import numpy as np
import pytest

from jaxlaws.errors import BadInput
from jaxlaws.fitting.optimum import chinchilla, lowest, optimum
from jaxlaws.fitting.predict import open_fit, predict
from jaxlaws.fitting.result import Fit

#: Besiroglu et al. 2024 as printed, and the optimum of their objective on their points.
EPOCH = {"A": 482.01, "B": 2085.43, "E": 1.8172, "alpha": 0.3478, "beta": 0.3658}
OPTIMUM = {"A": 477.7, "B": 2141.6, "E": 1.81715, "alpha": 0.34729, "beta": 0.36713}


def fit_of(params, draws=(), **fields):
    return Fit(
        law="chinchilla",
        convention={"params": "params_total", "loss": "nats"},
        noise="huber",
        params=params,
        draws=dict(zip(params, np.transpose(draws).tolist(), strict=False)),
        scatter={"quantiles": [-0.001, 0.0, 0.001], "offset": 0.0},
        **fields,
    )


@pytest.mark.parametrize(("constants", "ratio"), [(OPTIMUM, 17.91), (EPOCH, 18.38)])
def test_tokens_per_parameter_of_published_constants(constants, ratio):
    assert optimum(fit_of(constants), 5.88e23).tokens_per_param.value == pytest.approx(ratio, abs=0.006)


@pytest.mark.parametrize("flops", [1e18, 5.88e23, 1e26])
def test_closed_form_agrees_with_a_search(flops):
    x = np.linspace(np.log(1e5), np.log(1e14), 4001)
    n = np.exp(x)
    loss = EPOCH["E"] + EPOCH["A"] * n ** -EPOCH["alpha"] + EPOCH["B"] * (flops / (6 * n)) ** -EPOCH["beta"]
    assert np.exp(lowest(x, loss)[0]) == pytest.approx(float(chinchilla(EPOCH, flops)[0]), rel=1e-4)


def test_equal_exponents_and_coefficients_split_compute_evenly():
    params, exponent = chinchilla({"A": 5.0, "B": 5.0, "alpha": 0.4, "beta": 0.4}, 6e20)
    assert params == pytest.approx(1e10)
    assert exponent == pytest.approx(0.5)


def test_the_exponent_is_the_slope_of_the_answer():
    low, high = (optimum(fit_of(EPOCH), flops).params.value for flops in (0.99e21, 1.01e21))
    slope = np.log(high / low) / np.log(1.01 / 0.99)
    assert optimum(fit_of(EPOCH), 1e21).exponent.value == pytest.approx(slope, rel=1e-9)


def test_intervals_are_percentiles_of_the_optimum_of_every_resample():
    rng = np.random.default_rng(0)
    draws = [[v * np.exp(0.01 * rng.standard_normal()) for v in EPOCH.values()] for _ in range(200)]
    answer = optimum(fit_of(EPOCH, draws), 1e21)
    each = [float(chinchilla(dict(zip(EPOCH, row, strict=True)), 1e21)[0]) for row in draws]
    assert (answer.params.low, answer.params.high) == pytest.approx(tuple(np.percentile(each, [5, 95])))
    assert answer.params.low < answer.params.value < answer.params.high
    assert answer.loss.low < answer.loss.value < answer.loss.high


def test_budget_is_spent_and_extrapolation_is_said():
    fit = fit_of(EPOCH, ranges={"params": [1e8, 1e10], "tokens": [1e9, 1e12]})
    answer = optimum(fit, 1e24)
    assert 6 * answer.params.value * answer.tokens.value == pytest.approx(1e24)
    assert answer.extrapolation.grade == "far"
    assert any(text.startswith("EXTRAPOLATION, far") for text in answer.warnings)
    assert optimum(fit, 1e21).extrapolation.grade == "inside"


def test_constants_without_a_minimum_are_refused():
    with pytest.raises(BadInput, match="has no minimum"):
        optimum(fit_of({**EPOCH, "A": 0.0}), 1e21)


def test_resamples_without_a_minimum_are_counted():
    draws = [[0.0 if i % 4 == 0 else 482.0, *list(EPOCH.values())[1:]] for i in range(100)]
    assert any("25% of the resamples" in text for text in optimum(fit_of(EPOCH, draws), 1e21).warnings)


def test_a_curve_law_is_refused_with_the_laws_that_fit():
    with pytest.raises(BadInput, match=r"needs a law of N and D alone: .*chinchilla"):
        optimum("multi_power:25M", 1e21)


def test_a_grid_whose_lowest_point_is_its_end_has_no_minimum():
    x = np.linspace(0, 1, 11)
    assert np.isnan(lowest(x, -x)[0])
    at, falls = lowest(x, np.stack([(x - 0.33) ** 2, np.where(x > 0.8, -x, (x - 0.33) ** 2)]))
    np.testing.assert_allclose(at, 0.33)
    np.testing.assert_array_equal(falls, [False, True])


def test_the_search_over_another_law_spends_the_budget_at_its_minimum():
    answer = optimum("kaplan:published", 1e21)
    n, d = answer.params.value, answer.tokens.value
    for factor in (0.9, 1.1):
        assert predict("kaplan:published", params=n * factor, tokens=d / factor).value > answer.loss.value
    assert answer.exponent.value == pytest.approx(0.103 / (0.076 + 0.103), abs=1e-4)


def test_a_law_that_is_extrapolated_until_its_minimum_is_gone_says_so():
    """The constants of Farseer in the few digits that its abstract prints: far out, their loss falls for ever."""
    names = ("a3", "b3", "gamma", "a2", "b2", "beta", "a1", "b1", "alpha")
    few = dict(zip(names, (-0.021, -0.091, 0.169, 88.01, -6.287, -0.1, -0.124, 0.424, 0.123), strict=True))
    fit = replace(open_fit("farseer:published"), params=few)
    assert any("falls again" in text for text in optimum(fit, 1e21).warnings)
    with pytest.raises(BadInput, match=r"has no minimum at 5\.88e\+23 FLOP"):
        optimum(fit, 5.88e23)
