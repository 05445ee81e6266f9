"""Minima and roots of functions of one variable."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlaws.fitting.search import first_root, lowest

GRID = np.linspace(0, 1, 65)


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def with_derivative(function):
    return lambda x: jax.jvp(function, (x,), (jnp.ones_like(x),))


@pytest.mark.parametrize(
    ("function", "at", "falls"),
    [
        (lambda x: (x - 0.33) ** 2, 0.33, False),
        (lambda x: jnp.where(x > 0.8, -x, (x - 0.33) ** 2), 0.33, True),
        (lambda x: -x, np.nan, True),
        (lambda x: x - jnp.log(x - 0.5), np.nan, True),
        (lambda x: 10 * x - jnp.log(x - 0.5), 0.6, False),
        (lambda x: jnp.cosh(20 * (x - 0.7)) - 0.1 * x, 0.7 + np.arcsinh(0.005) / 20, False),
        (lambda x: 1e20 + (x - 0.33) ** 2, 0.33, False),
    ],
)
def test_minima(function, at, falls):
    x, below, _ = lowest(with_derivative(function), GRID)
    np.testing.assert_allclose(x, at, rtol=1e-9)
    assert bool(below) == falls


def test_the_lowest_value_may_lie_at_an_end():
    assert float(lowest(with_derivative(lambda x: x), GRID)[2]) == 0
    assert float(lowest(with_derivative(lambda x: (x - 0.5) ** 2 - 1), GRID)[2]) == pytest.approx(-1)
    assert float(lowest(with_derivative(lambda x: x + jnp.nan), GRID)[2]) == np.inf


@pytest.mark.parametrize("exponent", [0.05, 0.35, 1.0, 3.0])
def test_roots_of_power_laws(exponent):
    root = first_root(lambda x: 30.0 * jnp.exp(-exponent * x) - 1, 0.0, 70.0)
    np.testing.assert_allclose(root, np.log(30) / exponent, rtol=1e-11)


def test_a_function_that_does_not_come_down_has_no_root():
    assert np.isnan(first_root(lambda x: jnp.exp(-x) + 1, 0.0, 70.0))
    assert np.isnan(first_root(lambda x: -x - 1, 0.0, 70.0))
    assert float(first_root(lambda x: (x - 20) * (x - 50), 0.0, 70.0)) == pytest.approx(20)
