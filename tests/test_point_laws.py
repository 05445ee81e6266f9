"""Laws of points against published check values, and their fits against independent multi-start searches."""

from __future__ import annotations

from collections.abc import Callable

import jax
import numpy as np
import pandas as pd
import pytest
from scipy.optimize import least_squares, nnls

from jaxlaws.errors import BadInput
from jaxlaws.fitting.fit import fit
from jaxlaws.fitting.noise import huber
from jaxlaws.fitting.predict import open_fit, predict
from jaxlaws.laws.table import LAWS
from jaxlaws.records.published import load
from jaxlaws.records.table import Runs
from jaxlaws.records.where import where

MUENNIGHOFF = LAWS["data_constrained"].presets["muennighoff"].values
FITTED = "data_constrained/runs.csv"


def losses(law: str, params, **inputs) -> np.ndarray:
    with jax.enable_x64(True):
        return np.asarray(LAWS[law].predict(params, {key: np.asarray(value, float) for key, value in inputs.items()}))


def table(published, path: str, format: str, group: str = "") -> Runs:
    runs = load(published(path), format)
    return where(runs, f"group=={group}") if group else runs


@pytest.mark.parametrize(
    ("params", "tokens", "loss"), [(6.34e9, 242e9, 2.2256440889984477), (8.67e9, 178e9, 2.2269634075087807)]
)
def test_repeated_data_by_the_published_constants(params, tokens, loss):
    predicted = predict("data_constrained:muennighoff", params=params, tokens=tokens, unique_tokens=25e9)
    assert predicted.value == pytest.approx(loss, rel=1e-14)


def test_repeated_data_by_the_published_constants_on_the_rows_of_the_authors(published):
    runs = table(published, FITTED, "data_constrained").table
    inputs = {"N": runs["params_total"], "D": runs["tokens"], "U": runs["unique_tokens"]}
    loss, scatter = runs["loss_nats"].to_numpy(), float(runs["loss_nats"].var(ddof=0)) * len(runs)

    def r2(law):
        return 1 - float(np.sum((loss - losses(law, MUENNIGHOFF, **inputs)) ** 2)) / scatter

    assert len(runs) == 182
    assert r2("data_constrained") == pytest.approx(0.7722046084968408, rel=1e-13)
    assert r2("chinchilla") == pytest.approx(0.4452, abs=5e-5)
    objective = np.sum(huber(np.log(loss) - np.log(losses("data_constrained", MUENNIGHOFF, **inputs))))
    assert objective == pytest.approx(0.0158259, abs=5e-8)


def test_decay_of_repetitions_is_known_loosely_and_the_fit_says_so(published):
    """With the base held the objective lies in a valley, of which the published constants are a side pool."""
    base = {name: value for name, value in MUENNIGHOFF.items() if name not in ("R_D", "R_N")}
    found = fit("data_constrained", table(published, FITTED, "data_constrained"), fixed=base, bootstrap=200)
    assert found.objective <= 0.015808
    assert {name: found.params[name] for name in base} == pytest.approx(base, rel=1e-12)
    assert any("R_D within a factor of" in text and "R_N within" in text for text in found.warnings)


def test_a_constant_with_a_unit_is_fixed_with_its_exponent(published):
    runs = table(published, FITTED, "data_constrained")
    with pytest.raises(BadInput, match="fix alpha too"):
        fit("data_constrained", runs, fixed={"A": 500.0}, bootstrap=0)
    with pytest.raises(BadInput, match="must lie in"):
        fit("data_constrained", runs, fixed={"A": 1e30, "alpha": 0.35}, bootstrap=0)


def test_a_law_that_does_not_know_of_repetitions_refuses_them(published):
    with pytest.raises(BadInput, match="differ in unique_tokens"):
        fit("chinchilla", table(published, FITTED, "data_constrained"), bootstrap=0)


def independent(terms: Callable, loss: np.ndarray, log: bool, low, high, starts: int = 40) -> float:
    """The least Σ ρ(residual) that scipy finds: coefficients ≥ 0 by NNLS for the start, then all constants together."""
    rng, best = np.random.default_rng(0), np.inf
    low, high = np.asarray(low, float), np.asarray(high, float)
    delta = 1e-3

    def residual(z):
        predicted = terms(z[: len(low)]) @ np.exp(z[len(low) :])
        return np.log(np.maximum(predicted, 1e-9)) - np.log(loss) if log else predicted - loss

    for _ in range(starts):
        nonlinear = low + (high - low) * rng.random(len(low))
        linear = nnls(terms(nonlinear), loss)[0]
        z = np.r_[nonlinear, np.log(np.maximum(linear, 1e-6))]
        settings = {"loss": "huber", "f_scale": delta} if log else {}
        edges = np.r_[low - 4, np.full(len(linear), -50.0)], np.r_[high + 1, np.full(len(linear), 50.0)]
        found = least_squares(residual, z, bounds=edges, x_scale="jac", ftol=1e-13, xtol=1e-13, **settings)
        best = min(best, float(np.sum(huber(found.fun, delta)) if log else found.cost))
    return best


@pytest.mark.parametrize("group", ["stack", "pile"])
def test_parallel_streams_reach_an_independent_search(published, group):
    runs = table(published, "scalebench/parallel.csv", "parallel", group)
    size, streams = (runs.table[name].to_numpy() for name in ("params_nonembedding", "parallel_streams"))

    def terms(z):
        worth = size / size.mean() * (np.exp(z[1]) * np.log(streams) + 1)
        return np.stack([np.ones_like(size), worth ** -np.exp(z[0])], 1)

    best = independent(terms, runs.table["loss_nats"].to_numpy(), True, np.log([0.05, 0.1]), np.log([1.0, 1.0]), 12)
    assert fit("parallel", runs, bootstrap=0).objective == pytest.approx(best, rel=1e-3)


def test_families_of_streams_are_not_fitted_together(published):
    with pytest.raises(BadInput, match="--where group==pile"):
        fit("parallel", table(published, "scalebench/parallel.csv", "parallel"), bootstrap=0)


@pytest.mark.slow
def test_vocabularies_reach_an_independent_search_and_the_loss_is_negative(published):
    runs = table(published, "scalebench/vocab.csv", "vocabulary")
    names = ("params_nonembedding", "params_vocab", "tokens")
    logs = [np.log(runs.table[name] / runs.table[name].mean()).to_numpy() for name in names]

    def terms(z):
        return np.stack([-np.ones(len(logs[0])), *(np.exp(-np.exp(a) * x) for a, x in zip(z, logs, strict=True))], 1)

    loss = runs.table["metric.unigram_normalised"].to_numpy()
    best = independent(terms, loss, False, np.log([0.05] * 3), np.log([1.5] * 3), 6)
    found = fit("vocabulary", runs, starts=16, bootstrap=0)
    assert len(loss) == 1080
    assert loss.max() < 0
    assert found.objective == pytest.approx(best, rel=1e-3)
    assert found.held_out["extrapolation"]["pred_e"] > 0
    assert found.convention["loss"] == "unigram_normalised"


@pytest.mark.parametrize(
    ("law", "error", "constants"),
    [
        ("farseer", 0.00140, {}),
        ("chinchilla", 0.0067, {"E": 0.3690, "A": 33.12, "B": 143.4, "alpha": 0.287, "beta": 0.314}),
    ],
)
def test_the_rows_of_farseer_by_least_squares_on_ln_l(published, law, error, constants):
    runs = table(published, "scalebench/farseer.csv", "farseer")
    found = fit(law, runs, noise="squared", starts=16, bootstrap=0)
    inputs = {"N": runs.table["params_nonembedding"], "D": runs.table["tokens"]}
    loss = runs.table["metric.bits_per_character"].to_numpy()
    assert np.mean(np.abs(losses(law, found.params, **inputs) / loss - 1)) <= error + 5e-5
    assert {name: found.params[name] for name in constants} == pytest.approx(constants, rel=2e-3)
    assert found.convention["loss"] == "bits_per_character"


def test_the_published_constants_of_farseer_on_its_rows(published):
    runs = table(published, "scalebench/farseer.csv", "farseer").table
    preset = open_fit("farseer:published").params
    predicted = losses("farseer", preset, N=runs["params_nonembedding"], D=runs["tokens"])
    assert np.mean(np.abs(predicted / runs["metric.bits_per_character"] - 1)) == pytest.approx(0.00226, abs=5e-6)
    checks = losses("farseer", preset, N=[1e9, 25.1e9], D=[20e9, 500e9])
    np.testing.assert_allclose(checks, [0.539408643928975, 0.40921073663088287], rtol=1e-12)


#: Law without a public table → (constants, inputs by column, its formula written out once more).
WRITTEN_OUT = {
    "mean_params": (
        {"E": 1.8, "A": 480.0, "B": 2000.0, "alpha": 0.35, "beta": 0.37},
        {"params_mean": 3e8, "tokens": 2e10},
        lambda: 1.8 + 480 / 3e8**0.35 + 2000 / 2e10**0.37,
    ),
    "power_of_flops": (
        {"E": 1.9, "A": 1500.0, "alpha": 0.16},
        {"flops": 1e20},
        lambda: 1.9 + 1500 / 1e20**0.16,
    ),
    "precision": (
        {"E": 1.8, "A": 480.0, "B": 2000.0, "alpha": 0.35, "beta": 0.37, "gamma_w": 2.7, "gamma_a": 2.2}
        | {"gamma_kv": 0.96, "C_T": 0.06, "gamma_D": 0.5, "gamma_N": 0.32, "gamma_post": 0.6}
        | {"C_w": 0.4, "C_a": 0.5, "C_kv": 0.8},
        {"params": 1e8, "tokens": 5e9, "bits_weights": 8, "bits_activations": 6, "bits_kv": 7, "bits_post": 3},
        lambda: (
            1.8
            + 480 / (1e8 * (1 - np.exp(-8 / 2.7)) * (1 - np.exp(-6 / 2.2)) * (1 - np.exp(-7 / 0.96))) ** 0.35
            + 2000 / 5e9**0.37
            + (0.06 * 5e9**0.5 / 1e8**0.32 * np.exp(-3 / 0.6))
            * ((1 - np.exp(-0.4 * 5)) * (1 - np.exp(-0.5 * 3)) * (1 - np.exp(-0.8 * 4)))
        ),
    ),
}


@pytest.mark.parametrize("law", WRITTEN_OUT)
def test_a_law_without_a_public_table_is_its_formula_and_has_no_preset(law):
    params, columns, formula = WRITTEN_OUT[law]
    symbols = dict(zip(LAWS[law].inputs, columns.values(), strict=True))
    assert losses(law, params, **symbols) == pytest.approx(formula(), rel=1e-13)
    assert not LAWS[law].presets


def test_quantising_to_no_fewer_bits_costs_nothing():
    params, columns, _ = WRITTEN_OUT["precision"]
    symbols = dict(zip(LAWS["precision"].inputs, columns.values(), strict=True))
    at_eight = losses("precision", params, **symbols | {"bits_post": 8})
    assert at_eight == losses("precision", params, **symbols | {"bits_post": 16})
    assert at_eight < losses("precision", params, **symbols)


@pytest.mark.parametrize(
    ("path", "format", "count", "columns"),
    [
        (FITTED, "data_constrained", 182, {"params_total", "tokens", "unique_tokens", "loss_nats"}),
        ("scalebench/data_constrained.csv", "data_constrained", 161, {"params_total", "unique_tokens"}),
        ("scalebench/sparsity.csv", "sparsity", 70, {"group", "params_total", "params_mean", "tokens"}),
        ("scalebench/parallel.csv", "parallel", 36, {"group", "parallel_streams"}),
        ("scalebench/farseer.csv", "farseer", 404, {"params_nonembedding", "metric.bits_per_character"}),
        ("scalebench/vocab.csv", "vocabulary", 1080, {"params_vocab", "vocab", "metric.unigram_normalised"}),
    ],
)
def test_the_tables_of_point_laws(published, path, format, count, columns):
    runs = load(published(path), format)
    assert len(runs.table) == count
    assert runs.table.index.is_unique
    assert columns <= set(runs.table)
    settings = [name for name in runs.table if name not in ("group", "metric.unigram_normalised")]
    assert (runs.table[settings].to_numpy(float) > 0).all()


def test_what_sparsity_measured_is_not_known_and_said(published):
    runs = load(published("scalebench/sparsity.csv"), "sparsity")
    assert "does not say what it measured" in " ".join(runs.warnings)
    assert len(where(runs, "group=='D1=2.31_D2=4.61'").table) == 17


def test_compute_follows_from_model_and_tokens_in_a_table_and_in_a_question():
    params, tokens = np.geomspace(1e8, 1e10, 12), np.geomspace(1e9, 3e11, 12)
    runs = Runs(
        pd.DataFrame(
            {"params_total": params, "tokens": tokens, "loss_nats": 1.9 + 1500 * (6 * params * tokens) ** -0.16}
        )
    )
    found = fit("power_of_flops", runs, starts=4, bootstrap=0)
    assert found.params == pytest.approx({"E": 1.9, "A": 1500.0, "alpha": 0.16}, rel=1e-6)
    assert found.convention["params"] == "params_total"
    asked = predict(found, params=1e9, tokens=2e10).value
    assert asked == pytest.approx(predict(found, flops=1.2e20).value, rel=1e-12)
    with pytest.raises(BadInput, match="needs tokens: give --tokens"):
        predict(found, params=1e9)
    with pytest.raises(BadInput, match="needs flops: give --flops"):
        predict(found)
