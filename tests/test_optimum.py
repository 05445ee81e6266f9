"""The compute optimum: published values, the search against closed forms, intervals from stored resamples."""

from dataclasses import replace

import numpy as np
import pytest
from law_samples import SAMPLES

from jaxlaws.errors import BadInput
from jaxlaws.fitting import plane
from jaxlaws.fitting.optimum import optimum
from jaxlaws.fitting.predict import open_fit, predict
from jaxlaws.fitting.result import LossFit
from jaxlaws.fitting.surface import Surface
from jaxlaws.inputs import INPUTS
from jaxlaws.laws.table import LAWS

#: Besiroglu et al. 2024 as printed, and the optimum of their objective on their points.
EPOCH = {"A": 482.01, "B": 2085.43, "E": 1.8172, "alpha": 0.3478, "beta": 0.3658}
OPTIMUM = {"A": 477.7, "B": 2141.6, "E": 1.81715, "alpha": 0.34729, "beta": 0.36713}


def fit_of(params, draws=(), **fields):
    return LossFit(
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


def chinchilla(params, flops):
    """N* = G·(C/6)^(β/(α+β)), G = (αA/(βB))^(1/(α+β)) and its exponent: Hoffmann et al. 2022, equation 4."""
    a, b, alpha, beta = (params[name] for name in ("A", "B", "alpha", "beta"))
    return (alpha * a / (beta * b)) ** (1 / (alpha + beta)) * (flops / 6) ** (beta / (alpha + beta)), beta / (
        alpha + beta
    )


@pytest.mark.parametrize("flops", [1e15, 1e18, 5.88e23, 1e26, 1e30])
@pytest.mark.parametrize("constants", [EPOCH, OPTIMUM, {"A": 5.0, "B": 5.0, "E": 0.1, "alpha": 0.4, "beta": 0.4}])
def test_the_search_agrees_with_the_closed_form(constants, flops):
    best = optimum(fit_of(constants), flops)
    assert (best.params.value, best.exponent.value) == pytest.approx(chinchilla(constants, flops), rel=1e-9)
    assert best.flops.value == flops
    again = optimum(fit_of(constants), loss=best.loss.value)
    assert (again.params.value, again.flops.value) == pytest.approx((best.params.value, flops), rel=1e-6)


@pytest.mark.parametrize("served", [1e9, 1e12, 1e14])
def test_served_tokens_make_the_cheapest_model_smaller(served):
    """At the cheapest model of a loss the gradients of loss and cost are parallel: a condition, not a search."""
    best = optimum(fit_of(EPOCH), loss=2.3, served_tokens=served)
    n, d = best.params.value, best.tokens.value
    assert EPOCH["E"] + EPOCH["A"] * n ** -EPOCH["alpha"] + EPOCH["B"] * d ** -EPOCH["beta"] == pytest.approx(2.3)
    slope_n, slope_d = (
        EPOCH["alpha"] * EPOCH["A"] * n ** -EPOCH["alpha"],
        EPOCH["beta"] * EPOCH["B"] * d ** -EPOCH["beta"],
    )
    cost = n * (6 * d + 2 * served)
    assert slope_n / cost == pytest.approx(slope_d / (6 * n * d), rel=1e-6)
    assert best.flops.value == pytest.approx(cost)
    assert n < optimum(fit_of(EPOCH), loss=2.3).params.value
    at_budget = optimum(fit_of(EPOCH), cost, served_tokens=served)
    assert (at_budget.params.value, at_budget.loss.value) == pytest.approx((n, 2.3), rel=1e-6)


@pytest.mark.parametrize(
    ("fixed", "tokens", "params"),
    [
        (
            {"loss": 2.5, "params": 7e9},
            (EPOCH["B"] / (2.5 - EPOCH["E"] - EPOCH["A"] * 7e9**-0.3478)) ** (1 / 0.3658),
            7e9,
        ),
        (
            {"loss": 2.5, "tokens": 7e9},
            7e9,
            (EPOCH["A"] / (2.5 - EPOCH["E"] - EPOCH["B"] * 7e9**-0.3658)) ** (1 / 0.3478),
        ),
        ({"flops": 1e22, "params": 1e9}, 1e22 / 6e9, 1e9),
        ({"flops": 1e22, "tokens": 1e11, "served_tokens": 1e12}, 1e11, 1e22 / (6e11 + 2e12)),
    ],
)
def test_one_of_model_and_tokens_fixed(fixed, tokens, params):
    best = optimum(fit_of(EPOCH), **fixed)
    assert (best.tokens.value, best.params.value) == pytest.approx((tokens, params), rel=1e-9)
    assert best.exponent is None


CRITICAL = {"N_c": 6e13, "alpha_N": 0.077, "S_c": 2.1e3, "alpha_S": 0.76, "B_star": 2.1e8, "alpha_B": 0.21}


def test_steps_and_tokens_of_a_law_with_a_critical_batch():
    """S = S_min·(1 + B_crit/B), E = E_min·(1 + B/B_crit); (S_c/S_min)^α_S is what N leaves of the loss."""
    fit = replace(fit_of(CRITICAL), law="critical_batch")
    critical = CRITICAL["B_star"] / 2.6 ** (1 / CRITICAL["alpha_B"])
    steps = CRITICAL["S_c"] / (2.6 - (CRITICAL["N_c"] / 1e9) ** CRITICAL["alpha_N"]) ** (1 / CRITICAL["alpha_S"])
    best = optimum(fit, loss=2.6, params=1e9, batch_tokens=2e6)
    known = (critical, steps, steps * critical, steps * (1 + critical / 2e6), steps * critical * (1 + 2e6 / critical))
    values = (best.critical_batch, best.least_steps, best.least_tokens, best.steps, best.tokens)
    assert tuple(value.value for value in values) == pytest.approx(known, rel=1e-6)
    without = optimum(fit, loss=2.6, params=1e9)
    assert without.steps.value == pytest.approx(2 * steps, rel=1e-6)
    assert any("at the critical batch" in text for text in without.warnings)


def test_derivatives_of_the_loss_are_those_of_differences_at_every_row():
    """Over three rows and more points than one program takes, in ln N, ln D and ln B, D over B being the steps."""
    rows = np.array([list(CRITICAL.values())]) * np.array([[1.0], [1.01], [0.99]])
    surface = Surface(LAWS["critical_batch"], tuple(CRITICAL), rows, {"B": np.asarray(2e6)})
    log_n, log_d = np.linspace(17, 22, 300)[:, None], np.log([2e10, 3e10, 1e11])
    at = (log_n, log_d, np.log(2e6))
    _, *slopes = surface(*at)
    for i, slope in enumerate(slopes):
        low, high = (surface.loss(*(part + step * (i == j) for j, part in enumerate(at))) for step in (-1e-4, 1e-4))
        np.testing.assert_allclose(slope, (high - low) / 2e-4, rtol=1e-5)
    for row, constants in enumerate(rows):
        inputs = {"N": np.exp(17.0), "B": 2e6, "steps": np.exp(log_d[row]) / 2e6}
        alone = LAWS["critical_batch"].predict(dict(zip(CRITICAL, constants, strict=True)), inputs)
        assert surface.loss(*at)[0, row] == pytest.approx(float(alone), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, law in LAWS.items() if plane.reads_plane(law)])
def test_every_law_of_model_and_data_answers_both_questions_alike(name):
    """What a budget reaches costs that budget, at the same model; of a batch, steps are not below the fewest."""
    sample = SAMPLES[name]
    law = sample.law(name)
    held = {
        INPUTS[key].column: float(np.exp(np.mean(np.log(value))))
        for key, value in sample.inputs(name, 20).items()
        if key not in ("N", "D", "steps")
    }
    fit = replace(fit_of(sample.constants(name)), law=name, convention=law.convention)
    best = optimum(fit, 1e21, **held)
    again = optimum(fit, loss=best.loss.value, **held)
    assert (again.params.value, again.flops.value) == pytest.approx((best.params.value, 1e21), rel=1e-6)
    if best.steps is not None:
        assert best.steps.value >= best.least_steps.value
        assert best.tokens.value >= best.least_tokens.value


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ({}, "neither a budget nor a loss"),
        ({"flops": 1e21, "loss": 2.5}, "give one of them"),
        ({"loss": 2.5, "params": 1e9, "tokens": 1e10}, "leaves nothing to find"),
        ({"loss": 1.8}, "reaches no loss below 1.817"),
        ({"loss": 1.9, "tokens": 7e9}, r"no loss below 2\.339 with D 7B"),
        ({"flops": 1e20, "params": 1e9, "served_tokens": 1e12}, "are less than N 1B needs"),
        ({"flops": 1e21, "unique_tokens": 1e9}, "changes nothing: chinchilla reads params, tokens"),
        ({"flops": 1e21, "served_tokens": -1.0}, "at least 0"),
        ({"flops": float("inf")}, "expected a positive number"),
    ],
)
def test_questions_without_an_answer(question, words):
    with pytest.raises(BadInput, match=words):
        optimum(fit_of(EPOCH), **question)


def test_the_exponent_is_the_slope_of_the_answer():
    low, high = (optimum(fit_of(EPOCH), flops).params.value for flops in (0.99e21, 1.01e21))
    slope = np.log(high / low) / np.log(1.01 / 0.99)
    assert optimum(fit_of(EPOCH), 1e21).exponent.value == pytest.approx(slope, rel=1e-9)


def test_intervals_are_percentiles_of_the_optimum_of_every_resample():
    rng = np.random.default_rng(0)
    draws = [[v * np.exp(0.01 * rng.standard_normal()) for v in EPOCH.values()] for _ in range(200)]
    answer = optimum(fit_of(EPOCH, draws), 1e21)
    each = [chinchilla(dict(zip(EPOCH, row, strict=True)), 1e21)[0] for row in draws]
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
    draws = [[0.0 if i % 4 == 0 else 482.0, *list(EPOCH.values())[1:]] for i in range(200)]
    assert any("25% of the resamples" in text for text in optimum(fit_of(EPOCH, draws), 1e21).warnings)


def test_a_curve_law_is_refused_with_the_laws_that_fit():
    with pytest.raises(BadInput, match=r"expected a law of N and D: chinchilla"):
        optimum("multi_power:25M", 1e21)


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
