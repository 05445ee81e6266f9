"""Schedules designed by the noise-memory law: no staircase, one optimum, and what it is compared with."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlaws.designs.budget import cooldowns
from jaxlaws.designs.family import best_of_family
from jaxlaws.designs.objective import final_loss, loss
from jaxlaws.designs.schedule import Design, design
from jaxlaws.fitting.fit import fit
from jaxlaws.fitting.predict import final_losses
from jaxlaws.fitting.result import LossFit
from jaxlaws.laws.table import get
from jaxlaws.records.source import open_runs
from jaxlaws.schedules.spec import ScheduleConfig, schedule_array

STEPS, WARMUP, PEAK = 24_000, 2160, 3e-4
#: Constants as those of a model of 25M parameters.
LAW = LossFit(
    law="noise_memory",
    convention=dict(get("noise_memory").convention),
    noise="huber",
    params={"L0": 3.0, "A": 0.4, "alpha": 0.57, "B": 30.0, "kappa": 0.18, "zeta": 0.57, "C": 1500.0, "beta": 0.2},
)


@pytest.fixture(scope="module")
def free() -> Design:
    return design(LAW, STEPS, PEAK, WARMUP)


@pytest.fixture(scope="module")
def knots() -> Design:
    """From random starts of which two met many rejected steps in a row, where a search may end too early."""
    return design(LAW, STEPS, PEAK, WARMUP, knots=8, seed=8)


def as_written(lr):
    """The formula at the last step, its double sum as it is written."""
    p, past = LAW.params, np.cumsum(lr[::-1])[::-1]
    remembered = np.sum(np.diff(lr, prepend=0.0) * (1 - (1 + p["C"] * past) ** -p["beta"]))
    area = lr.sum()
    return p["L0"] + p["A"] * area ** -p["alpha"] + p["B"] * area ** -p["kappa"] * remembered ** p["zeta"]


def test_all_starts_end_at_one_optimum(knots):
    assert np.ptp(knots.starts) <= 3e-6
    assert knots.starts[0] == pytest.approx(knots.loss[0], abs=1e-6)


def test_the_optimum_is_a_decay_of_the_last_quarter_to_two_percent(knots):
    lr = knots.lr[0] / PEAK
    assert 0.7 < np.argmax(lr[WARMUP:] < 0.999) / STEPS + WARMUP / STEPS < 0.8
    assert 0.01 < lr[-1] < 0.02


def test_the_objective_is_the_law_as_written_and_the_prediction_of_the_fit(knots):
    assert knots.loss[0] == pytest.approx(as_written(knots.lr[0]), abs=1e-9)
    assert knots.loss[0] == pytest.approx(final_losses(LAW, knots.lr[0], WARMUP)[0], abs=2e-6)


@pytest.mark.slow
def test_the_free_optimum_is_no_staircase(free, knots):
    assert np.ptp(free.starts) <= 1e-7
    assert free.loss[0] <= knots.loss[0] <= free.loss[0] + 4e-6
    assert np.abs(free.lr[0] - knots.lr[0]).max() < 0.025 * PEAK
    assert -np.diff(free.lr[0][WARMUP:]).min() < 0.03 * PEAK


@pytest.mark.parametrize("end", [0.3, 1e-6], ids=["to 30%", "to a millionth"])
def test_the_gradient_of_the_objective(end):
    """Also where the last LR is next to nothing, of which the noise term is a power."""
    widths = np.r_[1.0, np.full(40, 3.0)]
    with jax.enable_x64(True):
        levels = jnp.asarray(1e-3 * np.r_[0.5, np.linspace(1, end, 40)])
        value = jax.jit(lambda x: loss(LAW.model, LAW.params, x, widths, 1, {}))
        gradient = jax.jit(jax.grad(value))(levels)
        for i in (0, 1, 20, 38, 40):
            h = 1e-4 * float(levels[i])
            numeric = (value(levels.at[i].add(h)) - value(levels.at[i].add(-h))) / (2 * h)
            assert float(gradient[i]) == pytest.approx(float(numeric), rel=1e-4)


@pytest.mark.slow
def test_no_family_and_no_neighbour_is_better_than_the_free_curve(free):
    family = best_of_family(LAW, "wsd", STEPS, PEAK, WARMUP)
    assert free.loss[0] < family.loss[0] < free.loss[0] + 1e-3
    rng = np.random.default_rng(0)
    body = free.lr[0][WARMUP:]
    for size in (0.01, 0.1):
        bumps = np.exp(size * np.interp(np.arange(len(body)), np.linspace(0, len(body), 9), rng.standard_normal(9)))
        other = np.r_[free.lr[0][:WARMUP], np.minimum.accumulate(np.minimum(body * bumps, PEAK))]
        assert final_loss(LAW, other, WARMUP) > free.loss[0]


@pytest.mark.slow
def test_the_best_cooldown_is_below_its_neighbours():
    (answer,) = cooldowns(LAW, [STEPS], PEAK, WARMUP)
    assert 0.2 < answer["best"] < 0.4
    for share in (0.8 * answer["best"], 1.25 * answer["best"]):
        other = ScheduleConfig(name="wsd", cooldown=share, shape="linear", floor=0.0, warmup_steps=WARMUP)
        assert answer["loss"] <= final_loss(LAW, schedule_array(other, STEPS, PEAK), WARMUP) + 1e-6


@pytest.mark.slow
def test_a_longer_horizon_decays_longer_and_lower():
    horizons = (1500, 6000, 24_000, 96_000)
    found = design(LAW, horizons, PEAK, 500, knots=8)
    decay = [int(np.sum(lr[500:] < 0.999 * PEAK)) for lr in found.lr]
    assert all(short < long for short, long in pairwise(decay))
    assert all(short[-1] > long[-1] for short, long in pairwise(found.lr))
    for lr, value in zip(found.lr, found.loss, strict=True):
        assert value == pytest.approx(as_written(lr), abs=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("size", [25, 100])
def test_the_optimum_of_fits_to_public_curves(published, size):
    runs = open_runs(published(f"multi_power_law/csv_{size}"), format="multi_power_law")
    law = fit("noise_memory", runs, train=("cosine_24000", "constant_24000", "wsdcon_9"), bootstrap=0)
    free, knots = (design(law, STEPS, PEAK, WARMUP, knots=number) for number in (None, 8))
    assert free.loss[0] <= knots.loss[0] <= free.loss[0] + 3e-6
    assert max(np.ptp(free.starts), np.ptp(knots.starts)) <= 1e-6
    decay = np.mean(free.lr[0][WARMUP:] < 0.999 * PEAK) * (1 - WARMUP / STEPS)
    assert 0.2 < decay < 0.26
    assert 0.01 < free.lr[0][-1] / PEAK < 0.02
