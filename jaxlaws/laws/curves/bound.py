"""The bound law: a loss law in the two terms of the convex last-iterate bound, for schedules of any peak LR."""

from __future__ import annotations

import numpy as np

from jaxlaws.laws.law import Law, Parameter
from jaxlaws.laws.lazy import jnp
from jaxlaws.laws.schedule import ROUNDING

#: Steps before a point that are summed one by one, and the width of the blocks before them over their distance.
EXACT, BLOCK = 64, 0.02


def lr_noise(lr: np.ndarray, at: np.ndarray) -> np.ndarray:
    """V_t = η_t + Σ_{k<t} η_k² / Σ_{j=k+1..t} η_j at the points `at`, in O(points · log steps).

    By Abel summation it is twice the noise terms of the last-iterate bound of Schaipp et al. 2025 with gradients of
    norm one: Σ η²/2Σ η + ½ Σ_{k<t} [η_k/Σ_{k+1..t} η]·[Σ_{k..t} η²/Σ_{k..t} η] = V_t/2. Steps far from a point, in LR
    sum, are taken in blocks by the mass, mean and variance of their distances. Where the LR is 0 at a point, V is that
    of the last step with an LR, since nothing has moved since.

    Args:
      lr: [steps] LR of every step.
      at: [points] index of the last step before each loss.

    Returns:
      [points], in units of the LR; 0 where no step before had an LR.
    """
    lr, at = np.asarray(lr, np.float64), np.asarray(at, np.int64)
    lr = np.where(lr > ROUNDING * lr.max(), lr, 0.0)
    last = np.maximum.accumulate(np.where(lr > 0, np.arange(len(lr)), 0))[at]
    total = np.cumsum(lr)
    moments = np.concatenate(
        [np.zeros((3, 1)), np.cumsum(lr**2 * np.stack([total**0, total, total**2]), axis=1)], axis=1
    )
    out = lr[last].copy()
    for lag in range(1, EXACT + 1):
        inside = last >= lag
        t = last[inside]
        out[inside] += lr[t - lag] ** 2 / (total[t] - total[t - lag])
    open_ = np.flatnonzero(last > EXACT)
    end = last[open_] - EXACT
    while len(open_):
        now = total[last[open_]]
        reach = now - (1 + BLOCK) * (now - total[end - 1])
        start = np.minimum(np.searchsorted(total, reach, side="right"), end - 1)
        mass, first, second = moments[:, end] - moments[:, start]
        safe = np.where(mass > 0, mass, 1.0)
        mean = np.clip(first / safe, total[start], total[end - 1])
        variance = np.clip(second / safe - mean**2, 0.0, (total[end - 1] - total[start]) ** 2 / 4)
        out[open_] += mass / (now - mean) * (1 + variance / (now - mean) ** 2)
        open_, end = open_[start > 0], start[start > 0]
    return out


def basis(params, inputs):
    """The terms of L(t) = L0 + A·S^-α + B·V^α: 1, S^-α and V^α with coefficients L0, A and B.

    S is the LR sum and V the LR noise of `lr_noise`, the two terms by which the last-iterate bound (Schaipp et al.,
    ICML 2025, arXiv 2501.18965) depends on a schedule; scaling all LRs by c scales them by c^-α and c^α, so that there
    is a best peak LR for every schedule. A sudden drop to a much smaller LR raises V for the steps that follow, which
    real losses do not show: the law is for schedules that decay over many steps.

    Args:
      params: `alpha`.
      inputs: `S` and `V` [...].
    """
    power = inputs["S"] ** -params["alpha"]
    return jnp.ones_like(power), power, inputs["V"] ** params["alpha"]


LAW = Law(
    name="bound",
    formula="L(t) = L0 + A S^-alpha + B V^alpha, V = lr_t + sum_k<t lr_k^2 / sum_k<j<=t lr_j",
    reference="terms of the bound of Schaipp et al., ICML 2025, arXiv 2501.18965",
    inputs=("S", "V"),
    parameters=(
        Parameter("L0", "irreducible loss of this model, nats a token"),
        Parameter("A", "size of the power law in the LR sum", units={"S": "alpha"}),
        Parameter("B", "size of the power law in the LR noise", units={"V": "-alpha"}),
        Parameter("alpha", "exponent of both", (0.1, 1.0), (0.02, 3.0)),
    ),
    basis=basis,
    linear=("L0", "A", "B"),
    running=True,
    convention={"loss": "nats", "lr_sum": "lr_steps"},
)
