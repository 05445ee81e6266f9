"""The convex bound against its published check values and against the sum as it is written."""

import numpy as np
import pytest

from jaxlaws.designs.bound import bound, gradient, longer_cooldown, second_stage, transfer
from jaxlaws.errors import BadInput

T = 4000
t = np.arange(T)
U = np.clip((t - 0.8 * T) / (0.2 * T), 0, 1)
SCHEDULES = {
    "linear": ((T - t) / T, 0.999, 2.002),
    "cosine": (0.5 * (1 + np.cos(np.pi * t / T)), 0.970, 2.061),
    "wsd 20% linear": (1 - U, 0.513, 2.164),
    "wsd 20% 1-sqrt": (1 - np.sqrt(U), 0.542, 2.129),
    "constant": (np.ones(T), 0.318, 3.142),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_check_values(name):
    lr, best, value = SCHEDULES[name]
    found = bound(lr)
    assert np.sqrt(T) * found.best_lr == pytest.approx(best, abs=6e-4)
    assert np.sqrt(T) * found.value == pytest.approx(value, abs=6e-4)
    assert found.at(found.best_lr) == pytest.approx(found.value, rel=1e-12)
    assert found.at(1.1 * found.best_lr) > found.value


def test_against_the_double_sum():
    rng = np.random.default_rng(0)
    lr, norm = rng.uniform(0.1, 1, 30), rng.uniform(0.5, 2, 30)
    found = bound(lr, norm, distance=1.5)
    last = sum(lr[k] / lr[k + 1 :].sum() * (lr[k:] ** 2 * norm[k:] ** 2).sum() / lr[k:].sum() for k in range(29)) / 2
    assert found.last == pytest.approx(last, rel=1e-12)
    assert found.distance == pytest.approx(1.5**2 / (2 * lr.sum()), rel=1e-12)
    assert found.gradients == pytest.approx((lr**2 * norm**2).sum() / (2 * lr.sum()), rel=1e-12)


def test_trailing_zeros_are_dropped():
    lr = SCHEDULES["linear"][0]
    assert bound(np.r_[lr, 0, 0]).value == bound(lr).value


def test_transfer_from_linear_to_wsd():
    assert 1 / transfer(SCHEDULES["linear"][0], SCHEDULES["wsd 20% linear"][0]) == pytest.approx(1.94, abs=0.01)
    assert transfer(SCHEDULES["linear"][0], 3 * SCHEDULES["linear"][0]) == pytest.approx(1 / 3, rel=1e-9)


@pytest.mark.parametrize("base_lr", [None, 0.3])
def test_the_gradient_with_respect_to_the_schedule(base_lr):
    rng = np.random.default_rng(0)
    lr, norm = rng.uniform(0.1, 1, 40), rng.uniform(0.5, 2, 40)

    def value(lr):
        found = bound(lr, norm, distance=1.3)
        return found.value if base_lr is None else found.at(base_lr)

    numeric = [(value(lr + 1e-6 * one) - value(lr - 1e-6 * one)) / 2e-6 for one in np.eye(40)]
    assert gradient(lr, norm, 1.3, base_lr) == pytest.approx(np.array(numeric), abs=1e-8)


def test_a_step_against_the_gradient_lowers_the_bound():
    lr = SCHEDULES["wsd 20% linear"][0]
    slope = gradient(lr)
    assert bound(lr - 1e-3 * slope / np.abs(slope).max() * lr).value < bound(lr).value
    with pytest.raises(BadInput, match="positive at every step"):
        gradient(np.array([1.0, 0.5, 0.0]))


@pytest.mark.parametrize(("times", "rho"), [(2, 0.535), (4, 0.375)])
def test_the_two_stage_extension(times, rho):
    assert second_stage(T, times * T) == pytest.approx(rho, abs=0.005)


def test_a_longer_cooldown_extends_to_twice_but_not_to_four_times():
    """The authors' real run to twice the steps cools down over 60%."""
    share = longer_cooldown(T, 2 * T)
    assert share == pytest.approx(0.63, abs=0.01)
    n = round(share * 2 * T)
    longer = np.minimum(1, (2 * T - np.arange(2 * T)) / n)
    assert bound(longer).best_lr == pytest.approx(bound(SCHEDULES["wsd 20% linear"][0]).best_lr, rel=1e-3)
    assert longer_cooldown(T, 4 * T) is None
    with pytest.raises(BadInput, match="cannot be extended"):
        second_stage(T, T)


def test_transfer_predicts_the_best_lr_of_public_runs(published):
    """From one cooldown to another the best peak LR moves as the bound says (six shares, four horizons)."""
    from experiments.lr_transfer import best_lrs, shifts

    rows = shifts(best_lrs(published("lr_scheduling")))
    measured, predicted = rows[:, 3], rows[:, 4]
    assert len(rows) == 60
    assert np.mean(np.sign(measured) == np.sign(predicted)) > 0.95
    assert np.mean(np.abs(predicted - measured)) < 0.12
    assert np.mean(np.abs(measured)) > 0.3


@pytest.mark.parametrize("lr", [[], [0.0, 0.0], [1.0, -1.0], [1.0, np.nan]])
def test_impossible_schedules(lr):
    with pytest.raises(BadInput):
        bound(np.array(lr))
