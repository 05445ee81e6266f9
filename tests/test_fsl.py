"""The functional scaling law: against the sum over every drop, and against another optimiser on public curves."""

import jax
import numpy as np
import pytest
from scipy.optimize import minimize

from jaxlaws.fitting.fit import fit
from jaxlaws.laws import events
from jaxlaws.laws.curves.fsl import LAW
from jaxlaws.records.source import open_runs

TRAIN = ("cosine_24000", "constant_24000", "wsdcon_9")
TRUTH = {"L0": 3.0, "c1": 0.6, "s": 0.6, "c2": 200.0, "c3": 1.5, "c4": 40.0, "gamma": 0.8}
X = np.arange(6000) / 6000
WARM = np.minimum(np.arange(1, 6001) / 400, 1.0)
SCHEDULES = {
    "cosine": WARM * (0.55 + 0.45 * np.cos(np.pi * X)),
    "wsd": WARM * np.minimum(1, 0.02 + (1 - X) / 0.2),
    "one drop": np.where(X < 0.5, 1.0, 0.1),
    "restarts": WARM * (0.55 + 0.45 * np.cos(2 * np.pi * 3 * X)),
}


def every_drop(params, lr, t):
    """The law at step t, drop by drop."""
    total = np.cumsum(lr)
    gain = 0.0
    for k in range(1, t + 1):
        if lr[k] < lr[k - 1]:
            taken = 1 - (1 + params["c4"] * (total[t] - total[k])) ** -params["gamma"]
            gain += (lr[k - 1] - lr[k]) * (params["c3"] + total[k] ** -params["s"]) * taken
    return params["L0"] + params["c1"] * total[t] ** -params["s"] - params["c2"] * gain


@pytest.mark.parametrize("name", SCHEDULES)
def test_events_give_the_sum_over_every_drop_and_rises_count_nothing(name):
    lr = 3e-4 * SCHEDULES[name]
    at = np.array([500, 1500, 3200, 4800, 5999])
    with jax.enable_x64(True):
        ours = LAW.predict(TRUTH, events.inputs(lr, at))
    np.testing.assert_allclose(ours, [every_drop(TRUTH, lr, t) for t in at], atol=2e-6)


def objective_and_gradient(theta, curves, target):
    """Σ Huber(ln L − ln L̂) and its derivative by hand; theta: L0, then logs of c1, s, c2, c3, c4, gamma."""
    c1, s, c2, c3, c4, gamma = np.exp(theta[1:])
    value, slope = [], []
    for total, drop, sum_at, past in curves:
        power = total**-s
        weight = drop * (c3 + sum_at**-s)
        log = np.log1p(c4 * past)
        left = np.exp(-gamma * log)
        gain = (1 - left) @ weight
        fades = (1 - left) @ (drop * -np.log(sum_at) * sum_at**-s)
        value.append(theta[0] + c1 * power - c2 * gain)
        rows = [np.ones_like(total), c1 * power, s * (-c1 * np.log(total) * power - c2 * fades), -c2 * gain]
        rows += [-c2 * c3 * ((1 - left) @ drop), -c2 * c4 * (gamma * past / (1 + c4 * past) * left) @ weight]
        slope.append(np.stack([*rows, -c2 * gamma * ((log * left) @ weight)]))
    loss, slope = np.maximum(np.concatenate(value), 0.1), np.concatenate(slope, 1)
    residual = target - np.log(loss)
    size = np.abs(residual)
    rho = np.where(size <= 1e-3, residual**2 / 2, 1e-3 * (size - 5e-4))
    return rho.sum(), -(slope / loss) @ np.clip(residual, -1e-3, 1e-3)


def full_sums(runs, stride):
    """What `objective_and_gradient` reads of the training curves, and ln L; drops of `stride` steps are one."""
    curves, target = [], []
    for curve in (runs.curves[name] for name in TRAIN):
        after = curve.at >= curve.warmup_steps - 1
        at, total = curve.at[after], np.cumsum(curve.lr)
        drop = np.maximum(np.append(0.0, curve.lr[:-1] - curve.lr[1:]), 0.0)
        step = np.flatnonzero(drop > 1e-15)
        first = np.arange(0, len(step), stride)
        mass = np.add.reduceat(drop[step], first) if len(step) else np.zeros(0)
        middle = step[np.minimum(first + stride // 2, len(step) - 1)]
        past = np.where(middle <= at[:, None], total[at][:, None] - total[middle], 0.0)
        curves.append((total[at], mass, total[middle], past))
        target.append(np.log(curve.loss[after]))
    return curves, np.concatenate(target)


def best_of_many_starts(runs, count):
    """The lowest objective that L-BFGS-B finds, of coarse sums from every start and of full ones from the best."""
    rng, bounds = np.random.default_rng(1), [(0.5, 4), (-6, 6), (-4, 1), (-15, 15), (-10, 12), (-7, 14), (-4, 2.3)]

    def search(theta, curves, target, rounds):
        for _ in range(rounds):
            scaled = lambda x: tuple(1e4 * part for part in objective_and_gradient(x, curves, target))  # noqa: E731
            answer = minimize(scaled, theta, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 2000})
            theta = answer.x
        return answer.fun, theta

    coarse = full_sums(runs, 32)
    ends = []
    for _ in range(count):
        c3, c4, gamma = rng.uniform((-2, 1, -1.5), (3, 6, 0.5))
        ends.append(search(np.array([2.9, -0.5, -0.7, 5.0 - c3, c3, c4, gamma]), *coarse, 2))
    return search(min(ends, key=lambda end: end[0])[1], *full_sums(runs, 1), 3)[0] / 1e4


@pytest.mark.slow
@pytest.mark.parametrize("size", [25, 100])
def test_the_fit_of_public_curves_is_the_best_that_another_optimiser_finds(published, size):
    runs = open_runs(published(f"multi_power_law/csv_{size}"), format="multi_power_law")
    ours = fit("fsl", runs, train=TRAIN, noise="huber", bootstrap=0).objective
    assert ours <= 1.001 * best_of_many_starts(runs, 6)
