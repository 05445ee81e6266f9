"""One law, one noise model and one set of points as a problem that the solver takes, with its starts and lanes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxlaws.fitting.noise import Noise
from jaxlaws.fitting.points import Points
from jaxlaws.fitting.solve import RESAMPLE_TOLERANCE, TOLERANCE, Data, Lane, Solution, run_lanes, solver
from jaxlaws.fitting.start import starts
from jaxlaws.laws.base import Law

Progress = Callable[[str, int, int], None]


@lru_cache(maxsize=64)
def _predictor(law: Law):
    return jax.jit(lambda theta, inputs, scale: law.predict(law.from_line(theta, scale), inputs))


@dataclass(frozen=True)
class Problem:
    """Points to fit `law` to under `noise`, `width` lanes at a time; every array in and out is numpy float64."""

    law: Law
    noise: Noise
    points: Points
    width: int
    progress: Progress = lambda stage, done, total: None

    @property
    def inputs(self) -> dict[str, np.ndarray]:
        """Of the law."""
        return {key: self.points.inputs[key] for key in self.law.inputs}

    @property
    def target(self) -> np.ndarray:
        """[points] ln L, or L."""
        return np.log(self.points.loss) if self.noise.log else self.points.loss

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Of the coordinates."""
        with jax.enable_x64(True):
            low, high = ([float(p.to_line(p.bounds[side])) for p in self.law.parameters] for side in (0, 1))
        return np.array(low), np.array(high)

    def data(self, tolerance: float = TOLERANCE, delta: float | None = None) -> Data:
        """What the lanes share."""
        low, high = self.bounds
        prior = [self.law.prior.get(name, (0.0, np.inf)) for name in self.law.names]
        mean, sd = np.array(prior).T
        return Data(
            inputs=self.inputs,
            run=self.points.run,
            scale=self.points.scale(),
            low=low,
            high=high,
            delta=self.noise.delta if delta is None else delta,
            sigma=self.noise.sigma,
            offset_precision=1 / self.noise.offset**2 if self.noise.offset else 0.0,
            prior_mean=mean,
            prior_precision=1 / sd**2,
            tolerance=tolerance,
        )

    def solve(self, lanes: Lane, data: Data, stage: str) -> Solution:
        """The solutions of all lanes."""
        program = solver(self.law, self.noise.log, self.noise.offset > 0, self.noise.shrink and bool(self.law.prior))
        total = len(lanes.theta)
        with jax.enable_x64(True):
            return run_lanes(program, lanes, data, self.width, lambda done: self.progress(stage, done, total))

    def from_starts(self, count: int, seed: int) -> Solution:
        """The solutions from `count` random starts."""
        weight = np.ones(len(self.points.loss)) / (self.points.loss**2 if self.noise.log else 1.0)
        with jax.enable_x64(True):
            theta = starts(
                self.law, count, seed, self.inputs, self.points.loss, weight, self.points.scale(), *self.bounds
            )
        ones = np.ones((count, len(self.points.names)))
        return self.solve(Lane(theta, ones, np.broadcast_to(self.target, (count, len(weight)))), self.data(), "starts")

    def from_best(
        self, theta: np.ndarray, weight: np.ndarray | None, target: np.ndarray | None, stage: str, **data: Any
    ) -> Solution:
        """The solutions from one start under many run weights [lanes, runs] or targets [lanes, points]."""
        count = len(weight) if weight is not None else len(target) if target is not None else 1
        lanes = Lane(
            np.broadcast_to(theta, (count, len(theta))),
            np.ones((count, len(self.points.names))) if weight is None else weight,
            np.broadcast_to(self.target, (count, len(self.target))) if target is None else target,
        )
        return self.solve(lanes, self.data(**{"tolerance": RESAMPLE_TOLERANCE, **data}), stage)

    def predict(self, theta: np.ndarray, points: Points | None = None) -> np.ndarray:
        """[points] loss at coordinates `theta`, at these points or at others."""
        points = points or self.points
        inputs = {key: points.inputs[key] for key in self.law.inputs}
        with jax.enable_x64(True):
            return np.asarray(_predictor(self.law)(theta, inputs, self.points.scale()))

    def constants(self, theta: np.ndarray) -> np.ndarray:
        """[..., parameters] natural constants of coordinates."""
        scale = self.points.scale()
        with jax.enable_x64(True):
            values = self.law.from_line(jnp.moveaxis(jnp.asarray(theta), -1, 0), scale)
            return np.stack([np.asarray(values[name]) for name in self.law.names], -1)
