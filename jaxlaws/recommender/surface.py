"""The regret surface: the loss of a cell between its runs, on which every recommendation is scored."""

from __future__ import annotations

import numpy as np

from jaxlaws.errors import BadInput
from jaxlaws.recommender.cells import Cell

#: Runs within this of the cell's best loss carry the surface.
WITHIN = 0.05
#: Weight of the bending energy against squared residuals of ln loss, with ln η and ln B as coordinates.
SMOOTHING = 0.01


class Surface:
    """A thin-plate spline of ln loss over (ln η, ln B).

        s = argmin Σ_i (y_i − s(x_i))² + λ' ∫ |∇²s|²,   s(x) = Σ_i w_i K(|x − x_i|) + b_0 + b·x,   K(r) = r² ln r

    solved as (K + λI) w + P b = y, Pᵀw = 0 with λ = `SMOOTHING`, on the runs within `WITHIN` of the cell's best.
    Regret is counted from the surface's own minimum inside the box of those runs.

    Attributes:
      minimum: [2] (ln η, ln B) of the lowest value.
      sigma: sd of a run's ln loss about the surface, √(Σ r²/(n − degrees of freedom)).
      below_grid: ln of the best run's loss minus the surface's minimum.
      low, high: [2] corners of the box.
    """

    def __init__(self, cell: Cell, smoothing: float = SMOOTHING) -> None:
        keep = cell.y < cell.y.min() + np.log1p(WITHIN)
        self._x, self._y = cell.x[keep], cell.y[keep]
        n = len(self._y)
        if n < 6:
            raise BadInput(f"cell N={cell.params:.4g}, D={cell.tokens:.4g} has {n} runs within 5%, a surface needs 6.")
        self._centre = self._x.mean(0)
        if np.linalg.matrix_rank(self._x - self._centre, tol=1e-3) < 2:
            raise BadInput(
                f"the runs of cell N={cell.params:.4g}, D={cell.tokens:.4g} lie on one line of LR and batch."
            )
        system = np.zeros((n + 3, n + 3))
        system[:n, :n] = _kernel(self._x, self._x) + smoothing * np.eye(n)
        system[:n, n:] = self._plane(self._x)
        system[n:, :n] = system[:n, n:].T
        self._solution = np.linalg.inv(system)[:, :n]
        self._weights = self._solution @ self._y
        remainder = smoothing * self._solution[:n]
        self.sigma = float(np.sqrt(((remainder @ self._y) ** 2).sum() / np.trace(remainder)))
        self.low, self.high = self._x.min(0), self._x.max(0)
        self.minimum = self._lowest()
        self.value = float(self(self.minimum[None])[0])
        self.below_grid = float(cell.y.min() - self.value)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """[points] ln loss at [points, 2]."""
        return self._basis(x) @ self._weights

    def regret(self, x: np.ndarray) -> np.ndarray:
        """[points] loss over the surface's minimum, minus 1."""
        return np.expm1(self(x) - self.value)

    @property
    def interior(self) -> bool:
        """Whether the minimum lies inside the box, not on its edge."""
        margin = 0.02 * (self.high - self.low)
        return bool(np.all((self.minimum > self.low + margin) & (self.minimum < self.high - margin)))

    def standard_error(self, x: np.ndarray) -> np.ndarray:
        """[points] standard error of `regret` from the scatter of runs, with the place of the minimum fixed."""
        return self.sigma * np.linalg.norm((self._basis(x) - self._basis(self.minimum[None])) @ self._solution, axis=1)

    def minimum_variance(self, hessian: np.ndarray, step: float = 0.05) -> np.ndarray:
        """[2] variance of `minimum` from the scatter of runs: H⁻¹ Var(gradient) H⁻¹ with [2, 2] H given."""
        ends = self.minimum + step * np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
        influence = self._basis(ends) @ self._solution
        gradient = (influence[::2] - influence[1::2]) / (2 * step)
        spread = np.linalg.solve(hessian, gradient)
        return self.sigma**2 * (spread**2).sum(1)

    def inside(self, x: np.ndarray) -> np.ndarray:
        """[points] whether a point lies in the box of the runs."""
        return np.all((x >= self.low) & (x <= self.high), axis=1)

    def basin(self, within: float, resolution: int = 81) -> np.ndarray:
        """[points, 2] of a grid over the box whose regret is at most `within`."""
        grid = self._grid(self.low, self.high, resolution)
        return grid[self.regret(grid) <= within]

    def _basis(self, x: np.ndarray) -> np.ndarray:
        return np.concatenate([_kernel(x, self._x), self._plane(x)], 1)

    def _plane(self, x: np.ndarray) -> np.ndarray:
        return np.concatenate([np.ones((len(x), 1)), x - self._centre], 1)

    def _lowest(self) -> np.ndarray:
        low, high = self.low, self.high
        for resolution in (25, 11, 11, 11, 11):
            grid = self._grid(low, high, resolution)
            best = grid[np.argmin(self(grid))]
            reach = (high - low) / (resolution - 1)
            low, high = np.maximum(best - reach, self.low), np.minimum(best + reach, self.high)
        return best

    @staticmethod
    def _grid(low: np.ndarray, high: np.ndarray, resolution: int) -> np.ndarray:
        axes = [np.linspace(low[k], high[k], resolution) for k in (0, 1)]
        return np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 2)


def _kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    square = ((a[:, None] - b[None]) ** 2).sum(-1)
    return 0.5 * square * np.log(np.maximum(square, 1e-300))
