"""Forms and prior of a law of LR and batch on simulated optima: regret and coverage, the truth known.

    python experiments/forms_simulated.py [--repeats 60]

About two minutes. Optima follow a power law whose exponents are drawn as independent sweeps spread
(`jaxlaws.recommender.exponents`), with an effect of every size (sd 0, .1, .2 in logs, correlated between LR and batch),
cells that scatter by .1, and an error of .05 of every optimum. Asked inside the cells and up to a factor of three
outside: mean regret of the advice, by the public runs' curvature, and share of the 80% intervals that hold the optimum
of a new cell, LR and batch.
"""

from __future__ import annotations

import argparse

import numpy as np

from jaxlaws.recommender.exponents import Prior, drift, prior
from jaxlaws.recommender.power import Power, power_laws
from jaxlaws.recommender.student import student

#: Second derivatives of ln loss at the optimum, as `jaxlaws fit step_law` finds them on the public runs.
HESSIAN = np.array([[0.0166, -0.0045], [-0.0045, 0.0148]])
#: Sizes and budgets a size; one budget on a ray is D = 20 N.
GRIDS = {
    "5 sizes × 4 D": (5, 4, False),
    "3 sizes × 3 D": (3, 3, False),
    "2 sizes × 3 D": (2, 3, False),
    "1 size × 4 D": (1, 4, False),
    "4 sizes × 1 D": (4, 1, False),
    "4 sizes, D = 20 N": (4, 1, True),
    "2 cells, 1 D": (2, 1, False),
}
INSIDE = ((2e8, 1e10), (5e8, 4e10))
OUTSIDE = ((3e9, 2e11), (3e7, 2e9), (3e9, 1e10))
#: The middle of N and D, and ln η and ln B there.
_MIDDLE, _LEVEL = np.array([3e8, 2e10]), np.log([2e-3, 4e5])
_TOGETHER = np.linalg.cholesky(np.array([[1.0, 0.6], [0.6, 1.0]]))
_CELL, _ERROR = 0.1, 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=60)
    repeats = parser.parse_args().repeats
    expected = prior()
    for size in (0.0, 0.1, 0.2):
        print(f"\neffect of a size {size}: regret, LR in, batch in")
        print(f"  {'':<20}{'inside, prior':>24}{'none':>24}{'outside, prior':>24}{'none':>24}")
        for name, grid in GRIDS.items():
            line = f"  {name:<20}"
            for asked in (INSIDE, OUTSIDE):
                for used in (expected, None):
                    regret, held = simulate(grid, asked, size, repeats, used, expected)
                    line += f"{regret:14.3%} {held[0]:4.0%} {held[1]:4.0%}"
            print(line)


def simulate(
    grid: tuple[int, int, bool],
    asked: tuple[tuple[float, float], ...],
    size: float,
    repeats: int,
    used: Prior | None,
    truth: Prior,
) -> tuple[float, np.ndarray]:
    """(mean regret, [2] share of intervals that hold a new cell): prior `used` in the fits, truths from `truth`."""
    rng = np.random.default_rng(0)
    regrets, held = [], []
    for _ in range(repeats):
        slopes = np.stack([rng.multivariate_normal(truth.mean[k], truth.covariance[k]) for k in (0, 1)])
        table = np.c_[_LEVEL - slopes @ np.log(_MIDDLE), slopes]
        z = places(*grid)
        _, group = np.unique(np.round(z[:, 1], 6), return_inverse=True)
        effect = size * rng.standard_normal((group.max() + 1, 2)) @ _TOGETHER.T
        optimum = z @ table.T + effect[group] + _CELL * rng.standard_normal((len(z), 2)) @ _TOGETHER.T
        optimum += _ERROR * rng.standard_normal(optimum.shape)
        noise, bend = (np.broadcast_to(part, (len(z), 2, 2)) for part in (_ERROR**2 * np.eye(2), HESSIAN))
        power = power_laws(z, optimum, noise, bend, 100, 0, None, (_ERROR, _ERROR), used)
        for n, d in asked:
            at = np.array([1.0, np.log(n), np.log(d)])
            gap = (power.coefficients - table) @ at
            regrets.append(gap @ HESSIAN @ gap / 2)
            new = size * rng.standard_normal(2) + _CELL * rng.standard_normal(2)
            held.append(np.abs(gap - new) <= half_widths(power, at, z, used))
    return float(np.mean(regrets)), np.mean(held, 0)


def places(sizes: int, budgets: int, ray: bool) -> np.ndarray:
    """[cells, 3] rows (1, ln N, ln D)."""
    n = np.geomspace(1e8, 1e9, sizes) if sizes > 1 else _MIDDLE[:1]
    d = np.geomspace(5e9, 1e11, budgets) if budgets > 1 else _MIDDLE[1:]
    cells = [(a, 20 * a) for a in n] if ray else [(a, b) for a in n for b in d]
    return np.array([[1.0, np.log(a), np.log(b)] for a, b in cells])


def half_widths(power: Power, at: np.ndarray, z: np.ndarray, used: Prior | None) -> np.ndarray:
    """[2] as `HyperFit.half_width` gives them."""
    beyond = (at - np.clip(at, z.min(0), z.max(0)))[1:]
    answer = []
    for k in (0, 1):
        variance = at @ power.covariance[k] @ at + power.scatter[k] ** 2
        variance += sum(p.weight * ((p.coefficients - power.coefficients[k]) @ at) ** 2 for p in power.mixture[k])
        if used is not None:
            variance += beyond @ drift(used.covariance[k], power.covariance[k, 1:, 1:]) @ beyond
        answer.append(np.sqrt(variance) * student(0.8, power.dof[k]))
    return np.array(answer)


if __name__ == "__main__":
    main()
