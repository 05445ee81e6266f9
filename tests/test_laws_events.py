"""Schedules as events, against the full double sum."""

from __future__ import annotations

import time

import numpy as np
import pytest

from jaxlaws.errors import BadInput
from jaxlaws.laws import events

RNG = np.random.default_rng(0)
STEPS = 6000
X = np.arange(STEPS) / STEPS
WARM = np.minimum(np.arange(1, STEPS + 1) / 400, 1.0)
SCHEDULES = {
    "constant": WARM,
    "cosine": WARM * (0.55 + 0.45 * np.cos(np.pi * X)),
    "linear to zero": WARM * (1 - X),
    "wsd": WARM * np.minimum(1, 0.02 + (1 - X) / 0.2),
    "geometric": WARM * np.where(X < 0.8, 1.0, 0.1 ** ((X - 0.8) / 0.2)),
    "one drop": np.where(X < 0.5, 1.0, 0.1),
    "restarts": WARM * (0.55 + 0.45 * np.cos(2 * np.pi * 3 * X)),
    "noisy": WARM * (1 - X) * (1 + 1e-3 * RNG.standard_normal(STEPS)),
    "zero tail": np.concatenate([WARM[:4500] * (1 - np.arange(4500) / 4500), np.zeros(1500)]),
}


def double_sum(lr, at, kernel):
    total = np.concatenate([[0.0], np.cumsum(lr)])
    out = []
    for t in at:
        k = np.arange(1, t + 1)
        out.append(np.sum((lr[k - 1] - lr[k]) * kernel(np.maximum(lr[k], 1e-300), total[t + 1] - total[k], t - k + 1)))
    return np.array(out)


@pytest.mark.parametrize("peak", [3e-4, 1e-2])
@pytest.mark.parametrize("name", SCHEDULES)
def test_events_equal_the_double_sum(name, peak):
    lr = np.maximum(peak * SCHEDULES[name], 0)
    at = np.linspace(450, STEPS - 1, 40).astype(int)
    x = events.inputs(lr, at)
    for C, beta, gamma in ((2.07, 0.58, 0.64), (0.38, 0.11, 0.9), (20.0, 1.5, 0.3)):
        kernel = lambda lr, s, n: -np.expm1(-beta * np.log1p(C * np.exp(-gamma * np.log(lr) + np.log(s + 1e-300))))  # noqa: E731, B023
        ours = np.sum(x["drop"] * kernel(np.exp(x["log_lr"]), x["lr_sum"], x["age"]), 1)
        scale = 0.11 / peak
        np.testing.assert_allclose(scale * ours, scale * double_sum(lr, at, kernel), atol=1e-6)
    for decay in (0.99, 0.999):
        kernel = lambda lr, s, n: -np.expm1(n * np.log(decay)) / (1 - decay)  # noqa: E731, B023
        ours = np.sum(x["drop"] * kernel(None, None, x["age"]), 1)
        scale = 5e-4 / peak
        np.testing.assert_allclose(scale * ours, scale * double_sum(lr, at, kernel), atol=1e-6)


def test_momentum_recursion_is_the_event_form():
    lr, decay = 3e-4 * SCHEDULES["cosine"], 0.995
    m, s2, total = 0.0, np.zeros(STEPS), 0.0
    for i in range(1, STEPS):
        m = decay * m + lr[i - 1] - lr[i]
        total += m
        s2[i] = total
    x = events.inputs(lr, np.array([1000, 3000, STEPS - 1]))
    ours = np.sum(x["drop"] * -np.expm1(x["age"] * np.log(decay)) / (1 - decay), 1)
    np.testing.assert_allclose(ours, s2[[1000, 3000, STEPS - 1]], atol=1e-6 / 2)


def test_a_million_steps_are_few_events():
    lr = 3e-4 * (0.55 + 0.45 * np.cos(np.pi * np.linspace(0, 1, 1_000_000)))
    began = time.monotonic()
    x = events.inputs(lr, np.linspace(10_000, 999_999, 500).astype(int))
    assert x["drop"].shape[1] < 300
    assert time.monotonic() - began < 30
    np.testing.assert_allclose(x["drop"].sum(1), lr[0] - x["lr"], rtol=1e-9)


def test_warm_up_convention_leaves_the_warm_up_out():
    lr = 3e-4 * SCHEDULES["constant"]
    assert np.all(events.inputs(lr, np.array([5000]), 400, "excluded")["drop"] == 0)
    assert events.inputs(lr, np.array([5000]), 400, "included")["drop"].sum() == pytest.approx(lr[0] - 3e-4)
    with pytest.raises(BadInput, match="expected included or excluded"):
        events.inputs(lr, np.array([5000]), 400, "both")
