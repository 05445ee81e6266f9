"""The two ways to a power law of the optimum: optima of cells and then the law, or both at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxlaws.recommender.cells import Cell
from jaxlaws.recommender.excess import Excess
from jaxlaws.recommender.excess_fit import OneStage, fit_excess, one_stage
from jaxlaws.recommender.local import Local, softness
from jaxlaws.recommender.power import Power


class Stages(NamedTuple):
    """A power law of the optimum with the loss around it.

    Attributes:
      coefficients: [2, 3] rows ln η*, ln B* over (1, ln N, ln D).
      covariance: [2, 3, 3] of each row.
      draws: [draws, 2, 3] resampled coefficients.
      excess: the loss around the optimum.
      left_out: [cells, 2] ln η*, ln B* of every cell, predicted from the others.
      converged: whether the search ended at an optimum.
    """

    coefficients: np.ndarray
    covariance: np.ndarray
    draws: np.ndarray
    excess: Excess
    left_out: np.ndarray
    converged: bool


def _two_stage(cells: Sequence[Cell], z: np.ndarray, local: Local, power: Power, bootstrap: int, seed: int) -> Stages:
    """The law of `power_laws`, with the excess loss about the optima of the cells."""
    excess = fit_excess(cells, local.optimum)
    return Stages(power.coefficients, power.covariance, power.draws, excess, power.left_out, True)


def _one_stage(cells: Sequence[Cell], z: np.ndarray, local: Local, power: Power, bootstrap: int, seed: int) -> Stages:
    """The law and the excess loss fitted to all runs at once, from the law of `power_laws` on."""
    soft = softness(cells, local.sigma)
    even = np.full(len(cells), 1 / len(cells))
    times = np.random.default_rng(seed).multinomial(len(cells), even, bootstrap)
    start = np.stack([components[0].coefficients for components in power.mixture])
    single = one_stage(cells, z, start, soft, times)
    draws = single.draws + power.shared
    if power.resampling == "parametric":
        draws = single.coefficients + power.draws - power.coefficients
    covariance = power.covariance
    if power.resampling == "cells" and bootstrap > 1:
        covariance = np.stack([np.cov(draws[:, k].T) for k in (0, 1)])
    left_out = _left_out(cells, z, single, soft)
    return Stages(single.coefficients, covariance, draws, single.excess, left_out, single.converged)


def _left_out(cells: Sequence[Cell], z: np.ndarray, single: OneStage, soft: np.ndarray) -> np.ndarray:
    """[cells, 2] the optimum of every cell by a law of the others."""
    left_out = np.zeros((len(cells), 2))
    for i in range(len(cells)):
        others = [j for j in range(len(cells)) if j != i]
        part = one_stage([cells[j] for j in others], z[others], single.coefficients, soft[others])
        left_out[i] = part.coefficients @ z[i]
    return left_out


#: Name → method, the default first.
METHODS = {"two_stage": _two_stage, "one_stage": _one_stage}
