"""The compute optimum: published values, the closed form against a search, scaling."""

import numpy as np
import pytest

from jaxlaws.errors import BadInput
from jaxlaws.fitting.optimum import chinchilla, numeric

#: Besiroglu et al. 2024 as printed, and the optimum of their objective on their points.
EPOCH = {"A": 482.01, "B": 2085.43, "E": 1.8172, "alpha": 0.3478, "beta": 0.3658}
OPTIMUM = {"A": 477.7, "B": 2141.6, "E": 1.81715, "alpha": 0.34729, "beta": 0.36713}


def loss(n, d):
    return EPOCH["E"] + EPOCH["A"] * n ** -EPOCH["alpha"] + EPOCH["B"] * d ** -EPOCH["beta"]


@pytest.mark.parametrize(("constants", "ratio"), [(OPTIMUM, 17.91), (EPOCH, 18.38)])
def test_tokens_per_parameter_of_published_constants(constants, ratio):
    n = chinchilla(constants, 5.88e23)
    assert 5.88e23 / (6 * n**2) == pytest.approx(ratio, abs=0.006)


@pytest.mark.parametrize("flops", [1e18, 5.88e23, 1e26])
def test_closed_form_agrees_with_a_search(flops):
    assert numeric(loss, flops) == pytest.approx(float(chinchilla(EPOCH, flops)), rel=1e-4)


def test_the_loss_is_flat_to_first_order_at_the_optimum():
    n = chinchilla(EPOCH, 1e21)
    slope = [(loss(n * f, 1e21 / (6 * n * f)) - loss(n, 1e21 / (6 * n))) for f in (0.999, 1.001)]
    assert 0 < min(slope) < 1e-6


def test_equal_exponents_and_coefficients_split_compute_evenly():
    n = chinchilla({"A": 5.0, "B": 5.0, "alpha": 0.4, "beta": 0.4}, 6e20)
    assert n == pytest.approx(1e10)


def test_draws_without_a_minimum_are_not_numbers():
    n = chinchilla({"A": np.array([400.0, 0.0]), "B": 400.0, "alpha": np.array([0.3, 0.3]), "beta": 0.3}, 1e21)
    assert np.isfinite(n[0])
    assert np.isnan(n[1])


def test_a_law_that_falls_forever_has_no_optimum():
    with pytest.raises(BadInput, match="no compute-optimal model"):
        numeric(lambda n, d: 1 / n, 1e21)
