"""The law of SGD noise: what a run is compared to, known truth, and the published constant."""

import numpy as np
import pandas as pd
import pytest

from jaxlaws.errors import BadInput
from jaxlaws.fitting.fit import fit
from jaxlaws.fitting.predict import predict
from jaxlaws.fitting.score import errors
from jaxlaws.records.published.noise_law import schedule
from jaxlaws.records.reference import LOSS, TRACE, against_reference
from jaxlaws.records.source import open_runs
from jaxlaws.records.table import Curve, Runs

STEPS, AT = 2000, np.arange(9, 2000, 10)
LR = np.full(9, 1e-3)


def runs_of_law(alpha=0.3, shapes=("linear", "cosine", "multicosine")):
    """A run of constant LR, and others that differ from it as the law says, with a trace of c·τ^-½."""
    curves, loss_at = {}, lambda tau: 0.5 + 3 * (tau + 10) ** -0.5
    for name in ("const", *shapes):
        lr = schedule(name, 1e-3, STEPS, 0.6)
        tau = np.cumsum(lr)[AT] / 1e-3
        trace = 2 * tau**-0.5
        loss = loss_at(tau) + alpha * (lr[AT] / 1e-3 - 1) * trace
        curves[name] = Curve(lr, AT, loss, 0, {TRACE: trace}).check(name)
    table = pd.DataFrame({"steps": STEPS, "peak_lr": 1e-3, "loss_nats": 1.0}, index=pd.Index(curves, name="run_id"))
    return Runs(table, curves)


@pytest.mark.parametrize("trace", ["run", "power"])
def test_the_constant_of_a_known_law_comes_back_and_predicts(trace):
    runs = runs_of_law()
    pairs = against_reference(runs, dict.fromkeys(("linear", "cosine", "multicosine"), "const"), trace, window=1)
    result = fit("noise_law", pairs, bootstrap=0)
    assert result.params["alpha"] == pytest.approx(0.3, rel=1e-3)
    curve = pairs.curves["cosine"]
    np.testing.assert_allclose(predict(result, curve=curve).value, curve.loss, rtol=1e-4)
    at_keywords = predict(result, lr=curve.lr, at=curve.at, **curve.logged).value
    np.testing.assert_array_equal(at_keywords, predict(result, curve=curve).value)


def test_losses_before_the_start_and_beyond_the_reference_are_left_out():
    runs = runs_of_law()
    short = runs.curves["const"]
    runs.curves["const"] = Curve(short.lr, AT[:100], short.loss[:100], 0, {TRACE: short.logged[TRACE][:100]})
    curve = against_reference(runs, {"linear": "const"}).curves["linear"]
    tau = np.cumsum(curve.lr)[curve.at] / 1e-3
    assert curve.at.min() + 1 > 0.2 * STEPS
    assert tau.max() <= 1000
    assert set(curve.logged) == {LOSS, TRACE}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda runs: against_reference(runs, {"linear": "cosinus"}), "no noise_trace along the run 'cosinus'"),
        (lambda runs: against_reference(runs, {"linear": "const"}, "guess"), "trace 'guess'"),
        (lambda runs: fit("noise_law", runs), "has no noise_trace|has no reference_loss"),
        (lambda runs: predict(fit_of(runs), lr=np.full(9, 1e-3), noise_trace=1.0), "has no reference_loss"),
        (
            lambda runs: predict(fit_of(runs), lr=np.full(9, 1e-3), noise_trace=[1.0, 1.0], reference_loss=[2.0]),
            "shape",
        ),
    ],
)
def test_what_is_not_logged_is_a_sentence(change, message):
    with pytest.raises(BadInput, match=message):
        change(runs_of_law())


def test_a_table_of_curves_has_what_was_logged_in_columns(tmp_path):
    pairs = against_reference(runs_of_law(), {"linear": "const", "cosine": "const"})
    rows = []
    for name, curve in pairs.curves.items():
        steps = pd.DataFrame({"run_id": name, "step": np.arange(STEPS), "lr": curve.lr})
        at = {column: pd.Series(values, curve.at) for column, values in curve.logged.items()}
        rows.append(steps.assign(loss=pd.Series(curve.loss, curve.at), **at))
    table = pd.concat(rows, ignore_index=True)
    table.to_csv(tmp_path / "all.csv", index=False)
    table.loc[table.index[-1], TRACE] = np.nan
    table.to_csv(tmp_path / "some.csv", index=False)
    alphas = [fit("noise_law", runs, bootstrap=0, starts=1).params for runs in (open_runs(tmp_path / "all.csv"), pairs)]
    assert alphas[0]["alpha"] == pytest.approx(alphas[1]["alpha"], rel=1e-6)
    some = open_runs(tmp_path / "some.csv")
    assert fit("opl", some, bootstrap=0, starts=1).params
    with pytest.raises(BadInput, match="the curve 'cosine' has no noise_trace"):
        fit("noise_law", some)


def fit_of(runs):
    pairs = against_reference(runs, {"linear": "const", "cosine": "const"})
    return fit("noise_law", pairs, bootstrap=0, starts=1)


def test_public_runs_have_the_logged_learning_rates_and_times(published):
    folder = published("noise_law")
    runs = open_runs(folder, format="noise_law")
    rows = pd.read_csv(folder / "curves.csv")
    assert len(runs.curves) == 29
    for name, part in rows.groupby("run"):
        curve = runs.curves[str(name)]
        np.testing.assert_allclose(np.cumsum(curve.lr)[curve.at], part["tau"], rtol=6e-3)  # summed in float32
        np.testing.assert_array_equal(curve.logged[TRACE], part["Buvar"])


def test_the_published_constant(published):
    runs = open_runs(published("noise_law"), format="noise_law_pairs", assume=("settings",))
    result = fit("noise_law", runs, bootstrap=0)
    assert result.params["alpha"] == pytest.approx(0.2660, abs=1e-4)
    loss, predicted, reference = (
        np.concatenate(parts)
        for parts in zip(
            *((c.loss, predict(result, curve=c).value, c.logged[LOSS]) for c in runs.curves.values()), strict=True
        )
    )
    assert np.mean(np.abs(loss - reference)) == pytest.approx(0.00231, abs=5e-6)
    law = errors(loss - reference, predicted - reference)
    assert law["mae"] == pytest.approx(0.00012, abs=5e-6)
    assert law["r2"] == pytest.approx(0.9963, abs=5e-5)
