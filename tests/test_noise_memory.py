"""The noise-memory law: its kernel against sums by hand, what is known of it in closed form, and public curves."""

import jax
import numpy as np
import pandas as pd
import pytest

from jaxlaws.fitting.fit import fit
from jaxlaws.laws import events
from jaxlaws.laws.curves.noise_memory import LAW, remembered_lr
from jaxlaws.laws.schedule import along, at_end
from jaxlaws.records.source import open_runs
from jaxlaws.records.table import Curve, Runs

TRUTH = {"L0": 3.0, "A": 0.4, "alpha": 0.57, "B": 30.0, "kappa": 0.18, "zeta": 0.57, "C": 1500.0, "beta": 0.2}
STEPS = 3000
X = np.arange(STEPS) / STEPS
WARM = np.minimum(np.arange(1, STEPS + 1) / 200, 1.0)
SCHEDULES = {
    "constant": np.ones(STEPS),
    "cosine": WARM * (0.55 + 0.45 * np.cos(np.pi * X)),
    "to zero": WARM * np.minimum(1, np.append((1 - X[1:]) / 0.25, 0.0)),
    "one drop": np.where(X < 0.5, 1.0, 0.1),
    "restarts": WARM * (0.55 + 0.45 * np.cos(2 * np.pi * 3 * X)),
}
AT = np.array([0, 40, 700, 1600, 2400, STEPS - 1])


def by_hand(lr, t, *, by_parts):
    """m(t) as Σ (η_k − η_{k−1})·[1 − (1 + C S_k)^-β], or as the same sum taken by parts."""
    keep = lambda lr_sum: (1 + TRUTH["C"] * lr_sum) ** -TRUTH["beta"]  # noqa: E731
    past = [sum(lr[k : t + 1]) for k in range(t + 1)]
    if by_parts:
        drops = sum((lr[k - 1] - lr[k]) * keep(past[k]) for k in range(1, t + 1))
        return lr[t] + drops - lr[0] * keep(past[0])
    return sum((lr[k] - (lr[k - 1] if k else 0.0)) * (1 - keep(past[k])) for k in range(t + 1))


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_remembered_lr_is_the_double_sum(name):
    lr = 3e-4 * SCHEDULES[name]
    with jax.enable_x64(True):
        exact = np.array([remembered_lr(TRUTH, at_end(lr[: t + 1])) for t in AT])
        every_drop = remembered_lr(TRUTH, events.inputs(lr, AT, tolerance=0.0))
        grouped = remembered_lr(TRUTH, events.inputs(lr, AT))
        curve = remembered_lr(TRUTH, along(lr))[AT]
    for by_parts in (False, True):
        reference = np.array([by_hand(lr.tolist(), int(t), by_parts=by_parts) for t in AT])
        np.testing.assert_allclose(exact, reference, rtol=0, atol=1e-9 * 3e-4)
        np.testing.assert_allclose(every_drop, reference, rtol=0, atol=1e-9 * 3e-4)
    np.testing.assert_allclose(grouped, reference, rtol=0, atol=2e-5 * 3e-4)
    np.testing.assert_allclose(curve, reference, rtol=0, atol=1e-6 * 3e-4)
    assert np.all(exact > 0)
    assert np.all(exact <= lr.max())


def test_a_warm_up_that_is_left_out_counts_as_a_start_at_its_last_lr():
    lr = 3e-4 * SCHEDULES["cosine"]
    with jax.enable_x64(True):
        out = remembered_lr(TRUTH, at_end(lr, first=200))
        events_out = remembered_lr(TRUTH, events.inputs(lr, AT[-1:], 200, "excluded", tolerance=0.0))
    past = np.cumsum(lr[::-1])[::-1]
    keep = (1 + TRUTH["C"] * past) ** -TRUTH["beta"]
    reference = lr[-1] + np.sum((lr[199:-1] - lr[200:]) * keep[200:]) - lr[199] * keep[0]
    np.testing.assert_allclose([out, events_out[0]], reference, rtol=1e-9)


def test_at_a_constant_lr_the_noise_falls_with_the_lr_sum_only():
    lr = np.full(2000, 1e-3)
    total = 2.0
    m = 1e-3 * (1 - (1 + TRUTH["C"] * total) ** -TRUTH["beta"])
    loss = TRUTH["L0"] + TRUTH["A"] * total ** -TRUTH["alpha"]
    loss += TRUTH["B"] * total ** -TRUTH["kappa"] * m ** TRUTH["zeta"]
    with jax.enable_x64(True):
        np.testing.assert_allclose(LAW.predict(TRUTH, at_end(lr)), loss, rtol=1e-12)


#: Errors of the published constants of the Multi-Power Law on its authors' test curves: R², MAE, RMSE, PredE, WorstE.
PUBLISHED = {25: (0.9988, 0.00376, 0.00465, 0.00110, 0.00409), 100: (0.9983, 0.00435, 0.00592, 0.00142, 0.00583)}


@pytest.mark.parametrize("size", [25, pytest.param(100, marks=pytest.mark.slow)])
def test_public_curves_are_predicted_better_than_by_the_published_law_in_all_five_errors(published, size):
    runs = open_runs(published(f"multi_power_law/csv_{size}"), format="multi_power_law")
    result = fit("noise_memory", runs, train=("cosine_24000", "constant_24000", "wsdcon_9"), bootstrap=0)
    r2, *errors = (result.held_out["test"][name] for name in ("r2", "mae", "rmse", "pred_e", "worst_e"))
    assert r2 > PUBLISHED[size][0]
    assert np.all(np.array(errors) < PUBLISHED[size][1:])


def test_final_losses_at_a_learning_rate_of_zero_leave_the_forgetting_to_the_prior():
    """24 runs of one loss each: β and C are the prior's, the other exponents are found, and nothing fails."""
    rng = np.random.default_rng(0)
    curves = {}
    for peak in (5e-4, 1e-3, 2e-3):
        for share in (0.1, 0.3, 0.6, 0.9):
            for steps in (2000, 6000):
                lr = peak * np.minimum(1, (1 - np.arange(steps) / steps) / share)
                with jax.enable_x64(True):
                    loss = float(LAW.predict(TRUTH, at_end(lr))) * np.exp(1e-3 * rng.standard_normal())
                curves[f"{peak:g} {share:g} {steps}"] = Curve(lr, np.array([steps - 1]), np.array([loss]), 0)
    table = pd.DataFrame({"steps": [len(curve.lr) for curve in curves.values()]}, index=pd.Index(curves, name="run_id"))
    result = fit("noise_memory", Runs(table, curves, source="ends"), starts=4, bootstrap=0)
    left = {name: row["variance_left"] for name, row in result.diagnostics["prior"].items()}
    assert result.status in ("converged", "weak"), result.findings
    assert left["C"] > 0.5
    assert left["beta"] > 0.1
    assert left["zeta"] < left["C"]
    assert abs(np.log(result.params["zeta"] / TRUTH["zeta"])) < 0.35
    assert 2e-4 < result.diagnostics["noise_scale"]["offset"] < 5e-3
    assert any("a prior draws" in warning and "beta to 0.25" in warning for warning in result.warnings)
