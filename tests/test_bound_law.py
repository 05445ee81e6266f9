"""The bound law: V against the double sum and the bound itself, and the recovery of known constants."""

import numpy as np
import pandas as pd
import pytest

from jaxlaws.fitting.fit import fit
from jaxlaws.laws.curves.bound import lr_noise
from jaxlaws.records.table import Curve, Runs
from jaxlaws.schedules.families import constant, cosine, wsd


def single_sum(lr, t):
    return lr[t] + np.sum(lr[:t] ** 2 / (np.cumsum(lr)[t] - np.cumsum(lr)[:t]))


def bound_noise(lr):
    """T2 + T3 of Schaipp et al. 2025 with G = 1 and γ = 1, as printed."""
    t3 = sum(lr[k] / lr[k + 1 :].sum() * (lr[k:] ** 2).sum() / lr[k:].sum() for k in range(len(lr) - 1))
    return 0.5 * ((lr**2).sum() / lr.sum() + t3)


SCHEDULES = {
    "constant": 1e-3 * constant(20000, 500),
    "cosine": 3e-4 * cosine(20000, 1000, 0.1),
    "wsd": 1e-3 * wsd(20000, 300, 0.2, "linear", 0.0),
    "drop": np.where(np.arange(20000) < 9000, 3e-4, 3e-6),
    "waves": 1e-3 * (1.02 + np.sin(np.arange(20000) / 700)),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_blocks_agree_with_the_sum_over_every_step(name):
    lr = SCHEDULES[name]
    last = np.flatnonzero(lr > 0)[-1]
    at = np.unique(np.r_[0, 1, 63, 64, 65, np.geomspace(100, last, 40).astype(int), 8999, 9000, 9001, 9500])
    np.testing.assert_allclose(lr_noise(lr, at), [single_sum(lr, t) for t in at], rtol=2e-6)


def test_v_is_twice_the_noise_of_the_bound():
    lr = 1e-3 * (np.random.default_rng(0).random(64) + 0.1)
    assert lr_noise(lr, [63])[0] == pytest.approx(2 * bound_noise(lr), rel=1e-9)


def test_check_values_of_the_bound_at_4000_steps():
    t = np.arange(4000)
    for lr, gamma, omega in (((4000 - t) / 4000, 0.999, 2.002), (np.ones(4000), 0.318, 3.142)):
        first, noise = 1 / (2 * lr.sum()), lr_noise(lr, [3999])[0] / 2
        assert np.sqrt(4000 * first / noise) == pytest.approx(gamma, abs=6e-4)
        assert 2 * np.sqrt(4000 * first * noise) == pytest.approx(omega, abs=6e-4)


def test_scaling_the_lr_scales_v_and_zeros_at_the_end_change_nothing():
    lr = SCHEDULES["cosine"]
    at = np.array([500, 19999])
    np.testing.assert_allclose(lr_noise(7 * lr, at), 7 * lr_noise(lr, at), rtol=1e-6)
    padded = np.append(lr, np.zeros(50))
    assert lr_noise(padded, [len(padded) - 1])[0] == lr_noise(lr, [len(lr) - 1])[0]


def test_constants_are_recovered_over_peaks_and_cooldowns():
    truth = {"L0": 2.0, "A": 0.9, "B": 1.5, "alpha": 0.3}
    curves = {}
    for peak in (3e-4, 1e-3, 2e-3):
        for cooldown in (0.1, 0.3, 0.8):
            lr = peak * wsd(6000, 200, cooldown, "linear", 0.0)
            at = np.append(np.arange(499, 5900, 100), 5998)
            loss = 2.0 + 0.9 * np.cumsum(lr)[at] ** -0.3 + 1.5 * lr_noise(lr, at) ** 0.3
            curves[f"{peak:g}_{cooldown}"] = Curve(lr, at, loss, 200)
    table = pd.DataFrame({"loss_nats": {name: curve.loss[-1] for name, curve in curves.items()}})
    train = [name for name in curves if not name.endswith("0.8")]
    found = fit("bound", Runs(table, curves), train=train, noise="huber", bootstrap=0)
    assert found.starts_agreeing >= 0.9
    for name, value in truth.items():
        assert found.params[name] == pytest.approx(value, rel=1e-4)
    assert found.held_out["test"]["mae"] < 1e-6


@pytest.mark.slow
def test_final_losses_at_every_lr_and_horizon_from_short_cooldowns(published):
    from jaxlaws.records.source import open_runs

    runs = open_runs(published("lr_scheduling"), "lr_scheduling_final", where="cooldown_fraction>0")
    train = list(runs.table.index[runs.table["cooldown_fraction"] <= 0.4])
    held = {law: fit(law, runs, train=train, bootstrap=0).held_out["test"]["rmse"] for law in ("bound", "annealing")}
    assert held["bound"] < 0.0075
    assert held["bound"] < 0.4 * held["annealing"]
