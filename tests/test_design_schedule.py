"""Designed schedules: the objective against the laws as written, the optimum against other optimisers."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

import jaxlaws
from jaxlaws.designs.curves import free, knotted
from jaxlaws.designs.family import best_of_family
from jaxlaws.designs.newton import newton
from jaxlaws.designs.objective import final_loss, loss
from jaxlaws.designs.schedule import design
from jaxlaws.errors import BadInput
from jaxlaws.fitting.predict import final_losses, open_fit
from jaxlaws.fitting.result import LossFit
from jaxlaws.laws.curves.bound import lr_noise
from jaxlaws.laws.table import get

STEPS, WARMUP, PEAK = 24_000, 2160, 3e-4
WARM = np.linspace(0, 1, WARMUP)
MPL = open_fit("multi_power:25M")
#: The published constants as the authors optimise schedules with them: without the LR changes of the warm-up.
EXCLUDED = replace(MPL, convention={**MPL.convention, "warmup_ld": "excluded"})
BOUND = LossFit(
    law="bound",
    convention=get("bound").convention,
    noise="huber",
    params={"L0": 1.5, "A": 0.4, "B": 4.0, "alpha": 0.5},
)


def curve(steps=300, warmup=20, seed=0):
    """A warm-up and a decay with flats, slopes and a sudden drop."""
    rng = np.random.default_rng(seed)
    body = np.repeat(np.exp(-np.cumsum(rng.exponential(size=40)) / 15), (steps - warmup) // 40)
    return 1e-3 * np.r_[(np.arange(warmup) + 1) / warmup, body]


def as_written(fit, lr, warmup):
    """The laws' formulas at the last step, every sum as it is written."""
    name, p, area = fit.law, fit.params, lr.sum()
    if name == "bound":
        return p["L0"] + p["A"] * area ** -p["alpha"] + p["B"] * lr_noise(lr, np.array([len(lr) - 1]))[0] ** p["alpha"]
    drops = np.r_[0.0, lr[:-1] - lr[1:]]
    if fit.convention.get("warmup_ld") == "excluded":
        drops[:warmup] = 0
    if name == "annealing":
        momentum, total = 0.0, 0.0
        for drop in drops:
            momentum = p["lambda"] * momentum + drop
            total += momentum
        return p["L0"] + p["A"] * area ** -p["alpha"] - p["C"] * total
    gained = 0.0
    for k in np.flatnonzero(drops):
        gained += drops[k] * (1 - (1 + p["C"] * lr[k] ** -p["gamma"] * lr[k:].sum()) ** -p["beta"])
    return p["L0"] + p["A"] * area ** -p["alpha"] - p["B"] * gained


@pytest.mark.parametrize(
    "fit", [MPL, EXCLUDED, BOUND, open_fit("annealing:25M")], ids=["mpl", "excluded", "bound", "annealing"]
)
@pytest.mark.parametrize("warmup", [0, 20])
def test_the_objective_is_the_law_as_written(fit, warmup):
    lr = curve(300 - 20 + warmup, warmup) if warmup else curve()[20:]
    found = final_loss(fit, lr, warmup)
    # lr_noise takes far steps in blocks.
    assert found == pytest.approx(as_written(fit, lr, warmup), abs=1e-4 if fit.law == "bound" else 1e-12)


@pytest.mark.parametrize("fit", [MPL, BOUND], ids=lambda fit: fit.law)
def test_blocks_of_constant_lr_are_their_steps(fit):
    levels, widths = np.array([0.2, 1.0, 0.4, 0.1]) * 1e-3, np.array([5, 50, 30, 7])
    with jax.enable_x64(True):
        at_end = jax.jit(lambda levels, widths: loss(fit.model, fit.params, levels, widths, 1, {}))
        blocks, steps = at_end(levels, widths * 1.0), at_end(np.repeat(levels, widths), np.ones(widths.sum()))
    assert float(blocks) == pytest.approx(float(steps), abs=1e-12)


@pytest.mark.parametrize("fit", [MPL, BOUND], ids=lambda fit: fit.law)
def test_the_gradient_with_respect_to_the_schedule(fit):
    with jax.enable_x64(True):
        lr = jnp.asarray(curve()[20:200:9])

        @jax.jit
        def value(x):
            return loss(fit.model, fit.params, x, jnp.full(len(lr), 3.0), 1, {})

        gradient = jax.jit(jax.grad(value))(lr)
        for i in (0, 7, len(lr) - 1):
            h = 1e-6 * float(lr[i])
            numeric = (value(lr.at[i].add(h)) - value(lr.at[i].add(-h))) / (2 * h)
            assert float(gradient[i]) == pytest.approx(float(numeric), rel=1e-4)


def test_newton_leaves_a_saddle_and_follows_a_valley():
    with jax.enable_x64(True):
        banana = newton(
            lambda x: (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2, jnp.array([-1.2, 1.0]), tolerance=1e-15
        )
        saddle = newton(lambda x: x[0] ** 2 - x[1] ** 2 + x[1] ** 4, jnp.array([0.5, 1e-3]))
    assert np.allclose(banana.x, 1, atol=1e-6)
    assert abs(float(saddle.x[1])) == pytest.approx(0.5**0.5, abs=1e-5)


def test_the_published_setting():
    """Better than the authors' 10,000 Adam steps, at any seed, under the objective summed step by step."""
    found = [design(EXCLUDED, STEPS, PEAK, WARMUP, warm=WARM, seed=seed) for seed in range(10)]
    losses = [one.loss[0] for one in found]
    assert max(losses) <= 3.149677
    assert np.ptp(losses) <= 1e-6
    assert np.ptp([end for one in found for end in one.starts]) <= 1e-6
    lr = found[0].lr[0]
    assert len(lr) == STEPS
    assert np.array_equal(lr[:WARMUP], PEAK * WARM)
    assert np.all(np.diff(lr[WARMUP - 1 :]) <= 0)
    assert lr[-1] > 0
    assert losses[0] == pytest.approx(as_written(EXCLUDED, lr, WARMUP), abs=1e-9)


def test_a_smooth_decay_of_knots_has_the_published_shape():
    """Stable, then a decay from ≈ 21.3k steps to ≈ 1.3e-6 with a tail of about (1−u)^1.5 (laws of Luo et al. 2025)."""
    found = design(EXCLUDED, STEPS, PEAK, WARMUP, warm=WARM, knots=8)
    lr = found.lr[0]
    begin = int(np.argmax(lr[WARMUP:] < PEAK)) + WARMUP
    assert begin == pytest.approx(21_400, abs=300)
    assert lr[-1] == pytest.approx(1.3e-6, rel=0.15)
    u = np.linspace(0.1, 0.9, 9)
    at = np.interp(u, np.linspace(0, 1, STEPS - begin), lr[begin:]) / PEAK
    assert np.allclose(at, (1 - u) ** 1.5, atol=0.08)
    assert found.loss[0] == pytest.approx(3.14974, abs=2e-5)


def best_by_scipy(fit, steps, warmup, peak):
    """The free problem with every drop of ln LR a variable, by L-BFGS-B from a line."""
    warm = peak * (np.arange(warmup) + 1) / warmup
    with jax.enable_x64(True):
        law = jaxlaws.law(fit)
        value = jax.jit(
            jax.value_and_grad(
                lambda y: law(jnp.concatenate([warm, peak * jnp.exp(-jnp.cumsum(y))]), warmup_steps=warmup)
            )
        )
        start = -np.diff(np.log(np.r_[1, np.linspace(1, 0.003, steps - warmup)]))
        found = minimize(
            lambda y: [np.asarray(part) for part in value(y)],
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=[(0, None)] * len(start),
            options={"maxiter": 2000, "maxfun": 4000, "ftol": 1e-15, "gtol": 1e-11},
        )
    return found.fun


@pytest.mark.slow
@pytest.mark.parametrize(("fit", "slack"), [(MPL, 1e-6), (BOUND, 3e-4)], ids=lambda x: getattr(x, "law", ""))
def test_no_worse_than_every_drop_a_variable(fit, slack):
    """For the bound law, whose best curve is a line to the last step, a form of few variables is off by ≈ 1e-4 nats."""
    steps, warmup, peak = (1200, 60, 3e-3)
    reference = best_by_scipy(fit, steps, warmup, peak)
    assert design(fit, steps, peak, warmup).loss[0] <= reference + slack


@pytest.mark.slow
def test_a_law_that_knows_a_best_peak_is_asked_for_it():
    peaks = np.geomspace(5e-4, 8e-3, 17)
    by_hand = [design(BOUND, 1200, float(peak), 60).loss[0] for peak in peaks]
    found = design(BOUND, 1200, (5e-4, 8e-3), 60)
    assert found.loss[0] <= min(by_hand) + 1e-4
    assert 0 < np.argmin(by_hand) < 16
    assert found.peak_lr == pytest.approx(peaks[int(np.argmin(by_hand))], rel=0.2)


def test_several_horizons_share_their_trunk():
    found = design(MPL, [6000, 12_000], PEAK, 600, weights=[3, 1])
    begin = [int(np.argmax(lr[600:] < PEAK)) + 600 for lr in found.lr]
    assert [len(lr) for lr in found.lr] == [6000, 12_000]
    assert 3000 <= begin[0] < 6000 <= begin[1]
    assert np.array_equal(found.lr[0][: begin[0]], found.lr[1][: begin[0]])
    for lr, value in zip(found.lr, found.loss, strict=True):
        assert value == pytest.approx(design(MPL, len(lr), PEAK, 600).loss[0], abs=2e-6)


def test_the_best_of_a_family():
    found = best_of_family(MPL, "wsd", STEPS, PEAK, WARMUP)
    assert "shape=power-1.5" in found.form
    line = best_of_family(MPL, "wsd(shape=linear, floor=0)", STEPS, PEAK, WARMUP)
    assert found.loss[0] < line.loss[0]
    from jaxlaws.schedules.spec import ScheduleConfig, schedule_array

    for cooldown in (0.08, 0.1, 0.12, 0.15, 0.2):
        config = ScheduleConfig(name="wsd", cooldown=cooldown, shape="linear", floor=0.0, warmup_steps=WARMUP)
        other = final_loss(MPL, schedule_array(config, STEPS, PEAK), WARMUP)
        assert line.loss[0] <= other + 1e-6


@pytest.mark.parametrize("fit", [MPL, EXCLUDED], ids=["included", "excluded"])
def test_the_objective_is_the_prediction_of_the_fit(fit):
    """Also where the search takes a warm-up of 2160 steps as a staircase."""
    for end in (0.1, 0.01):
        lr = np.r_[PEAK * WARM, PEAK * np.linspace(1, end, STEPS - WARMUP)]
        assert final_loss(fit, lr, WARMUP) == pytest.approx(final_losses(fit, lr, WARMUP)[0], abs=1e-6)
    found = design(fit, STEPS, PEAK, WARMUP)
    assert found.loss[0] == pytest.approx(final_losses(fit, found.lr[0], WARMUP)[0], abs=2e-6)
    assert found.starts[0] == pytest.approx(found.loss[0], abs=1e-5)


@pytest.mark.parametrize("form", [free(), knotted(1), knotted(5)], ids=["free", "1 knot", "5 knots"])
@pytest.mark.parametrize(("steps", "stable"), [(1000, 0), (1000, 600), (7, 0), (1, 0)])
def test_forms_are_non_increasing_curves_of_the_right_length(form, steps, stable):
    for seed in range(5):
        x = form.start(np.random.default_rng(seed))
        values = form.values(x, steps, stable)
        assert len(values) == steps
        assert np.all(np.diff(values) <= 0)
        assert 0 < values[-1] <= 1
        assert np.all(values[:stable] == 1)
        with jax.enable_x64(True):
            levels, widths = form.blocks(jnp.asarray(x), jnp.asarray(float(steps)), jnp.asarray(float(stable)))
            assert float(jnp.sum(widths)) == pytest.approx(steps)
            if steps == 1000:
                assert float(jnp.sum(widths * levels)) == pytest.approx(values.sum(), rel=0.02)


@pytest.mark.slow
def test_a_law_that_wants_no_lr_at_all_gets_a_millionth_of_the_peak():
    """The annealing law is linear in the drops: its optimum is one sudden drop to nothing."""
    lr = design(open_fit("annealing:25M"), STEPS, PEAK, WARMUP).lr[0]
    end = lr[-1] / PEAK
    assert end == pytest.approx(1e-6, rel=1e-2)
    assert np.sum((lr[WARMUP:] < 0.999 * PEAK) & (lr[WARMUP:] > 1.1e-6 * PEAK)) == 0
    assert np.all(np.isfinite(final_losses(open_fit("annealing:25M"), lr, WARMUP)))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"steps": 100, "warmup_steps": 100}, "shorten --warmup"),
        ({"steps": 100, "warmup_steps": -1}, "shorten --warmup"),
        ({"steps": 1}, "at least two"),
        ({"steps": 100, "peak_lr": -1.0}, "positive number"),
        ({"steps": 100, "knots": 0}, "expected 1 to 64"),
        ({"steps": [100, 100]}, "twice"),
        ({"steps": [100, 200], "weights": [1]}, "one positive number for each"),
        ({"steps": [100, 200], "weights": [1, -1]}, "one positive number for each"),
    ],
)
def test_impossible_requests(arguments, words):
    with pytest.raises(BadInput, match=words):
        design(MPL, **{"peak_lr": 3e-4, **arguments})


def test_laws_that_cannot_design():
    with pytest.raises(BadInput, match="reads model and tokens"):
        design(open_fit("chinchilla:epoch"), 100, 1e-3)
    with pytest.raises(BadInput, match="no decay can help: fit noise_memory"):
        design(LossFit(law="opl", convention={}, noise="huber", params={"L0": 1.0, "A": 1.0, "alpha": 0.5}), 100, 1e-3)
