"""The optimum of a problem as evidence: residuals, resamples, left-out runs, and how much δ matters."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxlaws.fitting import diagnose, resample, score
from jaxlaws.fitting.problem import Problem
from jaxlaws.fitting.solve import Solution

#: sd of ln L of a whole run that is assumed where it is not measured, and the 90% interval of what it may be. Two pairs
#: of public runs share model and schedule for 24,000 steps (25M and 100M): pooled .00086. Two degrees of freedom leave
#: the interval, and widen 90% bands by 2.92/1.645 (Student's t over the normal), which is in the value:
#: python experiments/laws/run_noise.py ../shared/data/multi_power_law
RUN_SD, RUN_SD_RANGE = 1.5e-3, (4.9e-4, 3.8e-3)
#: Up to how many runs each is left out in turn.
_LEAVE_OUT = 256
#: From how many runs on the largest fifth is predicted from the others.
_FORWARD = 8


def noise_scale(problem: Problem, solution: Solution) -> float:
    """sd of ln L of a point within its run under a plain fit, inflated for the correlation of neighbours.

    The sd is 1.4826 times the median absolute residual, and the inflation √((1+φ)/(1−φ)).
    """
    chosen = problem.points
    predicted = problem.predict(solution.theta[best_of(solution)])
    residual = chosen.residual(predicted)
    inner = residual - resample.run_means(chosen, residual)[chosen.run]
    phi = resample.correlation(chosen, inner)
    return float(1.4826 * np.median(np.abs(inner)) * np.sqrt((1 + phi) / (1 - phi)))


def best_of(solution: Solution) -> int:
    """The lane with the lowest finite objective."""
    return int(np.argmin(np.where(np.isfinite(solution.objective), solution.objective, np.inf)))


class Evidence:
    """The optimum of a problem and what follows from its residuals."""

    def __init__(self, problem: Problem, solution: Solution, best: int, seed: int) -> None:
        self.problem, self.solution, self.best = problem, solution, best
        self.theta = solution.theta[best]
        self.rng = np.random.default_rng(seed + 1)
        self.predicted = problem.predict(self.theta)
        chosen, count = problem.points, len(problem.law.names)
        self.residual = chosen.residual(self.predicted)
        means = resample.run_means(chosen, self.residual)
        self.single = len(chosen.loss) == len(chosen.names)
        self.phi = resample.correlation(chosen, self.residual)
        inner = self.residual if self.single else self.residual - means[chosen.run]
        free = max(len(inner) - count, 1)
        self.inner = inner * np.sqrt(len(inner) / free)
        self.sigma = float(np.sqrt(np.sum(inner**2) / free))
        spread = 0.0 if self.single else float(np.sqrt(np.mean(means**2)))
        self.cells = int(chosen.cell.max()) + 1
        few = problem.law.kind == "curve" and self.cells < resample.CLUSTERS
        self.offset = max(problem.noise.offset, spread, RUN_SD if few else 0.0)
        self.unit = resample.rounding(chosen.loss)
        self.rounding = self.unit / chosen.size
        self.sigma = max(self.sigma, self.rounding / np.sqrt(12))

    @property
    def point_noise(self) -> float | None:
        """sd of a residual about the line through its neighbours on the curve; None for single points."""
        run, loss = self.problem.points.run, self.problem.points.loss
        y = self.problem.points.residual(np.full_like(loss, self.problem.points.size))
        bend = (y[2:] - 2 * y[1:-1] + y[:-2])[run[2:] == run[:-2]]
        return float(1.4826 * np.median(np.abs(bend)) / np.sqrt(6)) if len(bend) >= 8 else None

    def untouched(self) -> list[str]:
        """Constants that the data do not touch: a factor of e in one moves the losses less than their noise shows."""
        out, step = [], 1e-3
        for i, name in enumerate(self.problem.law.names):
            moved = self.problem.predict(self.theta + step * np.eye(len(self.theta))[i])
            slope = (self.residual - self.problem.points.residual(moved)) / step
            if max(self.sigma, self.rounding) > diagnose.UNIDENTIFIED * np.sqrt(np.sum(slope**2)):
                out.append(name)
        return out

    def of_the_prior(self) -> dict[str, tuple[float, float]]:
        """Constant with a prior → (how many sd its value lies from the centre, share of its variance that is left).

        A share of 1 says that the data add nothing: posterior variance over that of the prior, of the coordinate.
        """
        problem, hessian = self.problem, self.solution.hessian[self.best]
        centre, sd = problem.prior
        if not problem.noise.shrink or not np.isfinite(sd).any():
            return {}
        variance = np.diag(np.linalg.pinv(hessian, hermitian=True))
        return {
            name: (float((self.theta[i] - centre[i]) / sd[i]), float(np.clip(variance[i] / sd[i] ** 2, 0, 1)))
            for i, name in enumerate(problem.law.names)
            if np.isfinite(sd[i]) and name not in problem.fixed
        }

    def scatter(self) -> np.ndarray:
        """ln L − ln L̂ of a point, each spread over the digits that its loss was logged with."""
        return (self.inner[:, None] + self.rounding * np.linspace(-0.5, 0.5, 9)).ravel()

    @property
    def dispersion(self) -> float:
        """Factor that makes the inverse Hessian a covariance, for Huber errors that are correlated along a curve."""
        noise, size = self.problem.noise, np.abs(self.residual)
        if noise.adaptive:
            return 1.0
        if not noise.log:
            size = np.abs(self.problem.points.loss - self.predicted)
        pull = np.minimum(size, noise.delta) / noise.sigma
        curve = np.mean(np.where(size <= noise.delta, 1.0, 0.3)) if np.isfinite(noise.delta) else 1.0
        free = max(len(size) - len(self.problem.law.names), 1)
        return float(np.sum(pull**2) / free / curve * (1 + self.phi) / (1 - self.phi))

    def resample(self, count: int) -> tuple[str, np.ndarray, dict[str, Any]]:
        """How, the constants of the resamples that count [draws, parameters], and what happened to the others.

        Cells are drawn where there are two for every constant at least: a draw of n cells holds about .63 n distinct
        ones, and with fewer of them than constants it says nothing.

        Where a prior is used its centre is drawn anew for every resample, so that the draws spread as the posterior.
        """
        chosen, problem = self.problem.points, self.problem
        if count == 0:
            return "none", np.empty((0, len(problem.law.names))), {}
        centre, sd = problem.prior
        shake = np.where(np.isfinite(sd), sd, 0.0) * self.rng.standard_normal((count, len(centre)))
        prior = centre + shake
        enough = max(resample.CLUSTERS, 2 * len(problem.law.names) if self.single else 0)
        if self.cells >= enough:
            weight = resample.clustered(chosen, count, self.rng)
            kind = f"bootstrap of {self.cells} {'cells' if self.single else 'runs'}"
            target = self._within_digits(count)
            drawn = problem.from_best(self.theta, "bootstrap", weight=weight, target=target, prior=prior)
            distinct = (weight > 0).sum(1) if self.single else np.full(count, np.inf)
            rank = distinct >= len(problem.law.names)
        else:
            middle = np.log(self.predicted) if problem.noise.log else self.predicted
            unit = 1.0 if problem.noise.log else chosen.size
            offset = problem.noise.offset
            target = resample.simulated(chosen, middle, self.sigma * unit, self.phi, offset * unit, count, self.rng)
            kind = f"parametric: fewer than {enough} {'cells' if self.single else 'runs'} to draw from"
            drawn = problem.from_best(self.theta, "bootstrap", target=target, prior=prior)
            rank = np.ones(count, bool)
        good = rank & (drawn.gain <= 1e-3)
        counts = {"resamples": count, "rank_deficient": int((~rank).sum()), "not_converged": int((rank & ~good).sum())}
        return kind, problem.constants(drawn.theta[good]), counts

    def _within_digits(self, count: int) -> np.ndarray:
        """[count, points] targets anywhere within the digits of the losses, so that no interval is finer than those."""
        loss = self.problem.points.loss + self.unit * (self.rng.random((count, len(self.problem.points.loss))) - 0.5)
        return np.log(loss) if self.problem.noise.log else loss

    def leave_out(self) -> dict[str, Any]:
        """Errors of every run predicted by a fit to the others, and of the largest fifth by a fit to the rest.

        The largest are those of the most compute, N·D; of curves of one size, those of the most steps.
        """
        chosen, out = self.problem.points, {}
        runs = len(chosen.names)
        lanes = [np.arange(runs) != i for i in range(runs)] if 2 < runs <= _LEAVE_OUT else []
        size = self._size()
        edge = np.quantile(size, 0.8)
        forward = size < edge if edge == size.max() else size <= edge
        ahead = runs >= _FORWARD and forward.sum() > runs / 2
        if ahead:
            lanes.append(forward)
        if not lanes:
            return {}
        solved = self.problem.from_best(self.theta, "leave out", weight=np.array(lanes, float))
        if len(lanes) > ahead:
            left = np.concatenate([self.problem.predict(solved.theta[i])[chosen.run == i] for i in range(runs)])
            count = np.bincount(chosen.run, minlength=runs)
            others = (chosen.loss.sum() - np.bincount(chosen.run, chosen.loss, runs)) / (len(chosen.loss) - count)
            out["leave_one_run_out"] = score.errors(chosen.loss, left, others[chosen.run])
        if ahead:
            beyond = ~forward[chosen.run]
            predicted = self.problem.predict(solved.theta[-1])[beyond]
            constant = float(chosen.loss[~beyond].mean())
            errors = score.errors(chosen.loss[beyond], predicted, constant)
            out["extrapolation"] = {**errors, "runs": int((~forward).sum())}
        return out

    def _size(self) -> np.ndarray:
        """[runs] ln of the compute, up to a factor."""
        chosen = self.problem.points
        first = np.unique(chosen.run, return_index=True)[1]
        size = np.zeros(len(first))
        for name in ("N", "D"):
            if name in chosen.inputs:
                size += np.log(chosen.inputs[name][first])
        if self.problem.law.kind == "curve":
            size += np.log([chosen.at[chosen.run == i].max() + 1 for i in range(len(first))])
        return size

    def deltas(self) -> dict[str, dict[str, float]]:
        """Constants under a third and three times the δ of the noise model."""
        problem = self.problem
        if not np.isfinite(problem.noise.delta):
            return {}
        out = {}
        for factor in (1 / 3, 3.0):
            delta = problem.noise.delta * factor
            moved = problem.from_best(self.theta, "delta", delta=delta)
            out[f"{delta:.2g}"] = dict(zip(problem.law.names, problem.constants(moved.theta)[0].tolist(), strict=True))
        return out
