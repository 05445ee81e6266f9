"""Every family at points worked out by hand, and traced: the same array, its gradient and its vmap."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlaws.schedules import families
from jaxlaws.schedules.refine import refined, smooth_norms
from jaxlaws.schedules.shapes import SHAPES

THIRD = 1 / 3
#: Schedule → {step counted from 0: LR by hand}.
BY_HAND = {
    "D2Z": (families.linear(100, 10), {0: 0.1, 4: 0.5, 9: 1.0, 10: 89 / 90, 54: 0.5, 98: 1 / 90, 99: 0.0}),
    "cosine": (families.cosine(8, 0, 0.2), {1: 0.6 + 0.2 * 2**0.5, 3: 0.6, 5: 0.6 - 0.2 * 2**0.5, 7: 0.2}),
    "1-sqrt": (families.wsd(100, 0, 0.16, "1-sqrt"), {83: 1.0, 84: 0.75, 87: 0.5, 92: 0.25, 99: 0.0}),
    "exponential": (families.wsd(100, 0, 0.04, "exponential", 1e-4), {95: 1.0, 96: 0.1, 97: 0.01, 99: 1e-4}),
    "power-1.5": (families.wsd(100, 0, 0.04, "power-1.5"), {95: 1.0, 96: 0.75**1.5, 98: 0.125, 99: 0.0}),
    "square": (families.wsd(100, 0, 0.04, "square", 0.5), {95: 1.0, 96: 31 / 32, 97: 0.875, 99: 0.5}),
    "rex": (families.rex(10, 2, 0.1), {0: 0.5, 1: 1.0, 5: 0.1 + 0.9 * 2 / 3, 9: 0.1}),
    "uba": (families.uba(10, 2, 1.0), {1: 1.0, 5: 2 / 3, 9: 0.0}),
    "uba towards constant": (families.uba(10, 0, 1e-12), {0: 1.0, 4: 1.0, 8: 1.0, 9: 0.0}),
    "restarts": (families.cosine_restarts(12, 0, 2), {2: 0.5, 5: 0.0, 8: 0.5, 11: 0.0}),
    "growing restarts": (
        families.cosine_restarts(14, 2, 2, 2.0, 0.1),
        {0: 0.5, 1: 1.0, 3: 0.55, 5: 0.1, 9: 0.55, 13: 0.1},
    ),
    "cycles": (
        families.wsd_cycles(20, 2, 0.4),
        {0: 0.5, 1: 1.0, 5: 1.0, 7: 0.5, 9: 0.0, 10: 1.0, 15: 1.0, 16: 0.75, 19: 0.0},
    ),
    "inverse sqrt": (families.inverse_sqrt(64, 4), {0: 0.25, 3: 1.0, 15: 0.5, 63: 0.25}),
    "inverse sqrt without warm-up": (families.inverse_sqrt(64), {0: 1.0, 3: 0.5, 63: 0.125}),
    "inverse sqrt above a floor": (families.inverse_sqrt(64, 4, floor=0.4), {15: 0.5, 24: 0.4, 63: 0.4}),
    "inverse sqrt with a cooldown": (
        families.inverse_sqrt(32, 4, 0.5, "linear", 0.1),
        {3: 1.0, 15: 0.5, 23: 0.3, 31: 0.1},
    ),
    "8-1-1": (families.step(10, 1), {0: 1.0, 7: 1.0, 8: 0.316, 9: 0.1}),
    "steps": (families.step(10, 0, (0.3, 0.6), (0.5, 0.2)), {2: 1.0, 3: 0.5, 5: 0.5, 6: 0.2, 9: 0.2}),
    "infinite": (
        families.infinite(100, 10, 0.3, 0.3, 0.2, 0.03),
        {9: 1.0, 24: 0.65, 39: 0.3, 79: 0.3, 89: 0.3 * 0.1**0.5, 99: 0.03},
    ),
    # B·a·n^b = 4 · 4 / √(64 k) = 2 / √k
    "power": (families.power(32, 2, 1.0, 4.0, -0.5, 4, 16, 0.0), {0: 0.5, 1: 1.0, 3: 1.0, 15: 0.5}),
    "power with a cooldown": (families.power(32, 2, 1.0, 4.0, -0.5, 4, 16, 0.5), {15: 0.5, 23: 0.25, 31: 0.0}),
    "power below the peak": (families.power(16, 0, 4.0, 4.0, -0.5, 4, 16, 0.0), {0: 0.5, 3: 0.25, 15: 0.125}),
    "refined": (refined(np.array([1.0, 2.0, 1.0])), {0: 1.0, 1: 0.2, 2: 0.0}),
    "refined for Adam": (refined(np.array([1.0, 2.0, 1.0]), 1.0), {0: 1.0, 1: THIRD, 2: 0.0}),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_points_worked_out_by_hand(name: str):
    lr, points = BY_HAND[name]
    np.testing.assert_allclose(lr[list(points)], list(points.values()), rtol=1e-8, atol=1e-12)


def _infinite(k: int) -> float:
    """100 steps: warm-up to 10, cosine to .3 until 40, constant until 80, geometric to .03."""
    if k <= 40:
        return 0.3 + 0.35 * (1 + math.cos(math.pi * (k - 10) / 30))
    return 0.3 * 0.1 ** (max(k - 80, 0) / 20)


def _cycles(k: int) -> float:
    """100 steps: cycles that end at 20 and 100, the last fifth of each down to .1 as 1 − √u."""
    end, length = (20, 4) if k <= 20 else (100, 16)
    return 1 - 0.9 * math.sqrt(max(k - (end - length), 0) / length)


def _restarts(k: int) -> float:
    """100 steps: cosines over 10 … 40 and 40 … 100."""
    u = (k - 10) / 30 if k <= 40 else (k - 40) / 60
    return (1 + math.cos(math.pi * u)) / 2


#: Schedule of 100 steps with 10 of warm-up → its formula for one k = t+1 after the warm-up.
BY_FORMULA = {
    "infinite": (families.infinite(100, 10, 0.3, 0.3, 0.2, 0.03), _infinite),
    "cycles": (families.wsd_cycles(100, 10, 0.2, "1-sqrt", 2, 4.0, 0.1), _cycles),
    "restarts": (families.cosine_restarts(100, 10, 2, 2.0), _restarts),
    "inverse sqrt": (families.inverse_sqrt(100, 10), lambda k: math.sqrt(10 / k)),
    "inverse sqrt with a cooldown": (
        families.inverse_sqrt(100, 10, 0.5, "square"),
        lambda k: math.sqrt(10 / min(k, 50)) * (1 - max(k / 50 - 1, 0) ** 2),
    ),
    "step": (families.step(100, 10), lambda k: 1.0 if k <= 80 else 0.316 if k <= 90 else 0.1),
    "power": (
        families.power(100, 10, 0.02, 4.6, -0.51, 8, 2048, 0.1),
        lambda k: min(1, 8 * 4.6 * (min(k, 90) * 8 * 2048) ** -0.51 / 0.02) * (1 - max(k - 90, 0) / 10),
    ),
    "uba": (
        families.uba(100, 10, 0.5, 0.2),
        lambda k: 0.2 + 0.8 / (0.75 + 0.25 / math.cos(math.pi * (k - 10) / 180) ** 2) if k < 100 else 0.2,
    ),
    "rex": (families.rex(100, 10), lambda k: 2 - 2 / (1 + (100 - k) / 90)),
}


@pytest.mark.parametrize("name", BY_FORMULA)
def test_every_step_is_the_formula(name: str):
    lr, formula = BY_FORMULA[name]
    expected = [(k / 10 if k < 10 else formula(k)) for k in range(1, 101)]
    np.testing.assert_allclose(lr, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("cooldown", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("warmup", [0, 3, 20])
def test_one_cycle_is_wsd(cooldown: float, warmup: int):
    np.testing.assert_array_equal(
        families.wsd_cycles(20, warmup, cooldown, "1-sqrt", 1), families.wsd(20, warmup, cooldown, "1-sqrt")
    )


def test_one_restart_is_cosine_and_equal_norms_are_linear():
    np.testing.assert_array_equal(families.cosine_restarts(20, 3, 1, floor=0.1), families.cosine(20, 3, 0.1))
    linear = families.linear(50)
    np.testing.assert_allclose(refined(np.full(50, 3.0)), linear / linear[0], rtol=1e-14)


def test_norms_that_fall_make_a_warm_up():
    lr = refined(np.geomspace(10, 1, 500) + 0.1)
    assert lr[0] < 0.1
    assert 100 < np.argmax(lr) < 500
    assert lr[-1] == 0


@pytest.mark.parametrize(("steps", "smooth"), [(400, 0.1), (400, 0.03), (37, 0.5), (5, 0.1), (1, 1.0), (4, 1.0)])
def test_norms_are_smoothed_as_the_authors_do(steps: int, smooth: float):
    from scipy.ndimage import median_filter

    norms = np.random.default_rng(0).lognormal(size=steps)
    width = 2 * (int(smooth * steps) // 2) + 1
    padded = np.pad(norms, (0, 2 * width), mode="reflect") if steps > 1 else np.repeat(norms, 3)
    expected = median_filter(padded, size=min(width, 2 * steps - 1), mode="nearest")[:steps]
    np.testing.assert_array_equal(smooth_norms(norms, smooth), expected)


NORMS = np.random.default_rng(1).lognormal(size=60)
#: Family of 60 steps as a function of its numbers → the numbers, no boundary on a step and whole ones besides.
TRACED = {
    "constant": (lambda x, **k: families.constant(60, x[0], **k), [7.4], [7]),
    "cosine": (lambda x, **k: families.cosine(60, x[0], x[1], **k), [7.4, 0.1], [7, 0.1]),
    "linear": (lambda x, **k: families.linear(60, x[0], x[1], "cosine", **k), [7.4, 0.1], [7, 0.1]),
    "rex": (lambda x, **k: families.rex(60, x[0], x[1], "sqrt", **k), [7.4, 0.1], [7, 0.1]),
    "uba": (lambda x, **k: families.uba(60, x[0], x[1], x[2], **k), [7.4, 0.7, 0.1], [7, 0.7, 0.1]),
    "restarts": (
        lambda x, **k: families.cosine_restarts(60, x[0], 3, x[1], x[2], **k),
        [7.4, 1.3, 0.1],
        [4, 2.0, 0.1],
    ),
    "cycles": (
        lambda x, **k: families.wsd_cycles(60, x[0], x[1], "1-sqrt", 2, x[2], x[3], **k),
        [7.4, 0.33, 1.3, 0.1],
        [7, 0.5, 2.0, 0.1],
    ),
    "inverse sqrt": (
        lambda x, **k: families.inverse_sqrt(60, x[0], x[1], "square", x[2], **k),
        [7.4, 0.33, 0.1],
        [7, 0.25, 0.1],
    ),
    "step": (lambda x, **k: families.step(60, x[0], (0.5, 0.75), x[1:], **k), [7.4, 0.5, 0.1], [7, 0.5, 0.1]),
    "infinite": (
        lambda x, **k: families.infinite(60, x[0], x[1], x[2], x[3], x[4], **k),
        [7.4, 0.32, 0.3, 0.22, 0.02],
        [7, 0.25, 0.3, 0.2, 0.02],
    ),
    "power": (
        lambda x, **k: families.power(60, x[0], x[1], x[2], x[3], x[4], 16.0, x[5], "1-sqrt", x[6], **k),
        [7.4, 1.1, 4.1, -0.45, 4.3, 0.31, 0.02],
        [7, 1.1, 4.1, -0.45, 4.0, 0.25, 0.02],
    ),
    "refined": (lambda x, **k: refined(NORMS, x[0], **k), [1.5], [2.0]),
    **{
        f"wsd {shape}": (
            partial(lambda shape, x, **k: families.wsd(60, x[0], x[1], shape, x[2], **k), shape),
            [7.4, 0.33, 0.1],
            [7, 0.25, 0.1],
        )
        for shape in SHAPES
    },
}


@pytest.mark.parametrize("name", TRACED)
def test_a_traced_schedule_is_the_array_and_has_its_gradient_under_jit_and_vmap(name: str):
    """Gradients of a weighted sum of the LRs against central differences, of a batch of two sets of numbers at once."""
    family, off, on = TRACED[name]
    weights = np.random.default_rng(2).normal(size=60)
    with jax.enable_x64(True):
        traced = partial(family, xp=jnp)
        np.testing.assert_allclose(jax.jit(traced)(jnp.array(on, float)), family(on), rtol=1e-12, atol=1e-15)
        points = jnp.array([off, [1.001 * value for value in off]])
        value = jax.jit(lambda x: jnp.sum(weights * traced(x)))
        gradients = jax.jit(jax.vmap(jax.grad(value)))(points)
        for x, gradient in zip(points, gradients, strict=True):
            for i in range(len(x)):
                step = jnp.zeros(len(x)).at[i].set(1e-6)
                difference = (value(x + step) - value(x - step)) / 2e-6
                np.testing.assert_allclose(gradient[i], difference, rtol=1e-5, atol=1e-7, err_msg=f"number {i}")
        np.testing.assert_allclose(jax.vmap(traced)(points)[1], traced(points[1]), rtol=1e-12, atol=1e-15)


def test_zero_lengths_have_finite_gradients():
    """A cooldown and a warm-up of no steps, and a decay to a floor of zero."""
    for shape in set(SHAPES) - {"exponential"}:
        gradient = jax.grad(lambda x: families.wsd(10, x[0], x[1], shape, x[2], xp=jnp).sum())  # noqa: B023
        assert np.all(np.isfinite(gradient(jnp.array([0.0, 0.0, 0.0])))), shape
        assert np.all(np.isfinite(gradient(jnp.array([3.0, 1.0, 0.0])))), shape
