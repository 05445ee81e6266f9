"""Whether a grid of LRs shows a valley: seen where the optimum moves with the batch, seldom seen in noise."""

import numpy as np
import pytest

from jaxlaws.recommender.cells import Cell
from jaxlaws.recommender.verdict import curvature


def cells(rng, count, rates, batches, loss):
    """Cells whose grids of LRs move with the batch, as √B, in ln loss `loss(u, v)` with noise of 1%."""
    made = []
    for i in range(count):
        v = np.log(3) * np.arange(batches)
        u, v = (part.ravel() for part in np.meshgrid(np.log(2) * np.arange(rates), v))
        x = np.stack([np.log(1e-3) + u + v / 2, np.log(65536) + v], 1)
        y = loss(u, v) + 0.01 * rng.standard_normal(len(u))
        made.append(Cell(params=1e7 * (i + 1), tokens=1e9, x=x, y=y, diverged=np.empty((0, 2))))
    return made


def passing(count, rates, batches, loss, trials=100):
    """Share of trials in which a valley in the LR is seen."""
    drawn = (cells(np.random.default_rng(seed), count, rates, batches, loss) for seed in range(trials))
    return np.mean([curvature(one, 0).is_clear for one in drawn])


def test_a_valley_that_moves_with_the_batch_is_seen():
    assert passing(8, 3, 3, lambda u, v: 0.03 * (u - 0.7 - 0.3 * v) ** 2 + 0.04 * v, trials=20) >= 0.9


@pytest.mark.parametrize("grid", [(3, 4, 1), (8, 3, 3), (6, 5, 4)], ids=str)
def test_noise_passes_for_a_valley_about_as_often_as_it_says(grid):
    assert 0.01 <= passing(*grid, lambda u, v: 0 * u) <= 0.15
