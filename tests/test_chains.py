"""Fits that answer together: several domains of one mixture, and a metric predicted from what another fit predicts."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from law_samples import SAMPLES

from jaxlaws.cli import main
from jaxlaws.errors import BadInput
from jaxlaws.fitting.chain import chain
from jaxlaws.fitting.domains import fit_domains
from jaxlaws.fitting.fit import fit
from jaxlaws.fitting.predict import predict
from jaxlaws.recommender.identifiable import identifiable
from jaxlaws.records.table import Runs

RATES = {"web": (0.2, 0.9, 0.6), "code": (1.0, -0.8, 0.9)}
DOMAINS = ("web", "code", "books")
SD = {"bits": 0.01, "accuracy": 0.02}


def measured(r):
    return {f"val_loss.{name}": 2.0 + np.exp(r @ np.array(rates)) for name, rates in RATES.items()}


@pytest.fixture(scope="module")
def mixtures():
    r = np.random.default_rng(0).dirichlet(np.ones(3), 30)
    shares = {f"share.{name}": r[:, i] for i, name in enumerate(DOMAINS)}
    return fit_domains("mixing", Runs(pd.DataFrame({**shares, **measured(r)})), bootstrap=0)


def test_domains_are_fitted_together(mixtures):
    for name, rates in RATES.items():
        assert [mixtures.fits[name].params[f"t_{part}"] for part in DOMAINS] == pytest.approx(rates, abs=1e-6)
    answer = mixtures.at({"web": 0.5, "code": 0.5}, {"web": 3, "code": 1})
    losses = {key: float(value) for key, value in measured(np.array([0.5, 0.5, 0])).items()}
    assert answer.losses == pytest.approx({key.removeprefix("val_loss."): value for key, value in losses.items()})
    assert answer.loss == pytest.approx(0.75 * losses["val_loss.web"] + 0.25 * losses["val_loss.code"])


@pytest.mark.parametrize("weights", [None, {"web": 1.0}, {"web": 0.2, "code": 0.8}])
def test_the_best_mixture_is_the_minimum_over_the_simplex_within_the_data(mixtures, weights):
    best = mixtures.best(weights)
    ranges = np.array([mixtures.fits["web"].ranges[f"share.{name}"] for name in DOMAINS])
    r = np.random.default_rng(1).dirichlet(np.ones(3), 20000)
    r = r[((r >= ranges[:, 0]) & (r <= ranges[:, 1])).all(1)]
    s = {name: (weights or dict.fromkeys(RATES, 1.0)).get(name, 0.0) for name in RATES}
    means = sum(s[name] * measured(r)[f"val_loss.{name}"] for name in RATES) / sum(s.values())
    assert means.min() - 2e-3 < best.loss <= means.min() + 1e-9
    assert sum(best.shares.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("shares", "weights", "message"),
    [
        ({"web": 0.5}, None, "sums to 0.5, expected 1"),
        ({"web": 1.0}, {"prose": 1}, "prose"),
        ({"web": 1.0}, {"web": -1}, "at least 0"),
        ({"wed": 1.0}, None, "wed"),
    ],
)
def test_mixtures_that_make_no_sense_are_refused(mixtures, shares, weights, message):
    with pytest.raises(BadInput, match=message):
        mixtures.at(shares, weights)


def test_a_law_of_more_than_shares_has_no_domains():
    with pytest.raises(BadInput, match="reads N, D, expected a law of shares alone"):
        fit_domains("chinchilla", Runs(pd.DataFrame({"val_loss.web": [1.0]})))


@pytest.fixture(scope="module")
def steps():
    """Fits of bits a byte and of accuracy to 100 runs with noise of known size."""
    rng = np.random.default_rng(0)
    bits, accuracy = SAMPLES["task_bits"], SAMPLES["task_accuracy"].constants("task_accuracy")
    inputs, p = bits.inputs("task_bits", 100), bits.constants("task_bits")
    exact = p["E"] + p["A"] / inputs["N"] ** p["alpha"] + p["B"] / inputs["D"] ** p["beta"]
    x = exact * np.exp(SD["bits"] * rng.standard_normal(100))
    y = accuracy["a"] / (1 + np.exp(-accuracy["k"] * (x - accuracy["x_0"]))) + accuracy["b"]
    y = y * np.exp(SD["accuracy"] * rng.standard_normal(100))
    table = pd.DataFrame({"params_nonembedding": inputs["N"], "tokens": inputs["D"], "task_bpb": x})
    runs = Runs(table.assign(**{"metric.bits_per_byte": x, "metric.accuracy": y}))
    return tuple(fit(name, runs, starts=8, bootstrap=60) for name in ("task_bits", "task_accuracy"))


def test_a_chain_carries_the_errors_of_both_steps(steps):
    first, second = steps
    question = {"params": 1e9, "tokens": 2e10}
    bits, answer = predict(first, **question), chain(first, second, **question)
    alone = predict(second, task_bpb=bits.value)
    assert answer.value == alone.value
    p, x = second.params, bits.value
    slope = p["a"] * p["k"] * np.exp(-p["k"] * (x - p["x_0"])) / (1 + np.exp(-p["k"] * (x - p["x_0"]))) ** 2
    sd = np.hypot(slope * SD["bits"] * x, SD["accuracy"] * answer.value)
    assert answer.low is not None
    assert answer.high - answer.low == pytest.approx(2 * 1.645 * sd, rel=0.2)
    assert answer.high - answer.low > 1.2 * (alone.high - alone.low)
    assert {"params", "tokens", "task_bpb"} <= set(answer.extrapolation.axes)


def test_the_command_predicts_through_both_fits(steps, tmp_path, capsys):
    files = [str(tmp_path / name) for name in ("bits.json", "accuracy.json")]
    for one, file in zip(steps, files, strict=True):
        one.save(file)
    answer = chain(*steps, params=1e9, tokens=2e10)
    assert (
        main(["predict", files[0], "--then", files[1], "--params", "1e9", "--tokens", "2e10", "--json", "--force"]) == 0
    )
    told = json.loads(capsys.readouterr().out)
    assert (told["law"], told["value"], told["low"]) == ("task_accuracy", answer.value, answer.low)
    assert "task_bits predicts" in told["warnings"][0]
    assert main(["predict", files[0], "--then", files[1], "--schedule", "cosine", "--steps", "10"]) == 2


def test_a_chain_of_what_does_not_fit_is_refused(steps):
    with pytest.raises(BadInput, match="task_bits reads params, tokens, expected one number: what task_accuracy"):
        chain(steps[1], steps[0], task_bpb=1.0)
    with pytest.raises(BadInput, match="chinchilla predicts nats a token, task_accuracy reads bits a byte"):
        chain("chinchilla:epoch", steps[1], params=1e9, tokens=2e10)


def test_a_law_of_a_metric_is_not_fitted_to_the_loss():
    x = np.linspace(0.5, 1.5, 12)
    runs = Runs(pd.DataFrame({"task_bpb": x, "loss_nats": 2 - x}))
    with pytest.raises(BadInput, match=r"no column metric\.accuracy, which task_accuracy predicts: .*--target NAME"):
        fit("task_accuracy", runs)
    answer = identifiable(replace(runs, refusals=()))["task_accuracy"]
    assert answer["identified"] == "no"
    assert "no column metric.accuracy" in answer["why"][0]


def test_shares_that_are_no_shares_of_one_whole_are_refused():
    web = np.linspace(0, 1, 12)
    table = pd.DataFrame({"share.web": web, "share.code": 1 - web, "loss_nats": 2 + np.exp(-web)})
    with pytest.raises(BadInput, match=r"share\.NAME of a run sum to 100, expected 1"):
        fit("mixing", Runs(table.assign(**{"share.web": 100 * web, "share.code": 100 - 100 * web})))
    law = fit("mixing", Runs(table), starts=2, bootstrap=0)
    assert predict(law, share={"web": 1.0}).value == pytest.approx(2 + np.exp(-1))
    with pytest.raises(BadInput, match=r"share sums to 0\.5, expected 1 over"):
        predict(law, share={"web": 0.5})


def test_a_law_of_losses_may_be_fitted_to_a_metric_and_has_no_bounds_of_a_cross_entropy_then():
    flops = np.geomspace(1e18, 1e22, 12)
    table = pd.DataFrame({"flops": flops, "metric.error": 20 + 40 * (flops / 1e18) ** -0.2})
    answer = predict(fit("power_of_flops", Runs(table, target="error"), bootstrap=0), flops=1e23)
    assert answer.value == pytest.approx(24, rel=1e-3)
    assert not answer.extrapolation.impossible
