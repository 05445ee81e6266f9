"""A fit to one curve: what its prior lets it say of other schedules, and which laws say nothing of them."""

import jax
import numpy as np
import pandas as pd
import pytest

from jaxlaws.errors import BadInput
from jaxlaws.fitting.fit import fit
from jaxlaws.fitting.predict import predict
from jaxlaws.laws.curves.noise_memory import LAW
from jaxlaws.laws.schedule import along
from jaxlaws.records.source import open_runs
from jaxlaws.records.table import Curve, Runs

STEPS, WARMUP = 4000, 200
X = np.arange(STEPS) / STEPS
AT = np.arange(WARMUP, STEPS, 152)
WARM = np.minimum(1.0, np.arange(1, STEPS + 1) / WARMUP)
SCHEDULES = {
    "cosine": WARM * (0.55 + 0.45 * np.cos(np.pi * X)),
    "wsd": WARM * np.minimum(1.0, 0.02 + 4 * (1 - X)),
    "constant": WARM,
}
TRUTHS = {
    "usual": {"alpha": 0.5, "kappa": 0.15, "zeta": 0.6, "beta": 0.2, "C": 3000.0, "B": 25.0},
    "fast": {"alpha": 0.6, "kappa": 0.25, "zeta": 0.5, "beta": 0.4, "C": 2000.0, "B": 12.0},
    "slow": {"alpha": 0.4, "kappa": 0.1, "zeta": 0.7, "beta": 0.15, "C": 5000.0, "B": 60.0},
    "small": {"alpha": 0.45, "kappa": 0.2, "zeta": 0.65, "beta": 0.25, "C": 1000.0, "B": 30.0},
}


def runs_of(constants, seed=0):
    """A curve of every schedule: offsets of runs of .05% and correlated noise of .05% of the loss."""
    rng, curves = np.random.default_rng(seed), {}
    for name, shape in SCHEDULES.items():
        with jax.enable_x64(True):
            loss = np.asarray(LAW.predict({"L0": 2.7, "A": 0.5, **constants}, along(1e-3 * shape)))[AT]
        noise = np.zeros(len(AT))
        for i in range(1, len(AT)):
            noise[i] = 0.7 * noise[i - 1] + 5e-4 * np.sqrt(1 - 0.7**2) * rng.standard_normal()
        curves[name] = Curve(1e-3 * shape, AT, loss * np.exp(noise + 5e-4 * rng.standard_normal()), WARMUP)
    return Runs(pd.DataFrame(index=pd.Index(SCHEDULES, name="run_id")), curves, source="simulated")


def inside(result, curve):
    """Share of the losses after the warm-up that lie in the 90% band."""
    after = curve.at >= curve.warmup_steps - 1
    curve = Curve(curve.lr, curve.at[after], curve.loss[after], curve.warmup_steps)
    answer = predict(result, curve=curve)
    return np.mean((curve.loss >= answer.low) & (curve.loss <= answer.high))


@pytest.mark.slow
def test_a_cosine_alone_predicts_other_schedules_within_its_bands_in_most_trials():
    shares, errors = [], []
    for seed, constants in enumerate(TRUTHS.values()):
        runs = runs_of(constants, seed)
        result = fit("noise_memory", runs, train=["cosine"], starts=2, bootstrap=30)
        assert result.status == "weak", result.findings
        assert any("one schedule" in warning and "prior's to say" in warning for warning in result.warnings)
        assert set(result.intervals) == set(LAW.names)
        shares += [inside(result, runs.curves[name]) for name in ("wsd", "constant")]
        errors += [result.curves[name]["mae"] for name in ("wsd", "constant")]
    assert np.mean(np.array(shares) > 0.9) >= 0.75
    assert np.median(errors) < 0.02


@pytest.mark.parametrize(("law", "noise"), [("opl", None), ("noise_memory", "huber")])
def test_without_a_prior_one_curve_is_refused(law, noise):
    with pytest.raises(BadInput, match=f"a single run to fit, the law {law} needs at least two"):
        fit(law, runs_of(TRUTHS["usual"]), train=["cosine"], noise=noise)


def test_a_constant_learning_rate_alone_does_not_say_what_a_decay_gains():
    result = fit("noise_memory", runs_of(TRUTHS["usual"]), train=["constant"], starts=2, bootstrap=0)
    assert result.status == "unidentified"


@pytest.mark.parametrize("size", [25, pytest.param(100, marks=pytest.mark.slow)])
def test_a_public_cosine_alone_predicts_the_other_public_schedules(published, size):
    runs = open_runs(published(f"multi_power_law/csv_{size}"), format="multi_power_law")
    result = fit("noise_memory", runs, train=["cosine_24000"], starts=2, bootstrap=30)
    assert result.status == "weak"
    shares = [inside(result, curve) for name, curve in runs.curves.items() if name != "cosine_24000"]
    assert np.min(shares) > 0.75
    assert np.mean(shares) > 0.9
    gaps = result.held_out["gaps"]
    assert gaps["mae"] < 0.4 * gaps["mean_measured"]
