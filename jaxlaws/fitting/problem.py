"""One law, one noise model and one set of points as a problem for the solver, with its starts and tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxlaws.errors import BadInput, unknown
from jaxlaws.fitting.noise import DELTA, Noise
from jaxlaws.fitting.points import Points
from jaxlaws.fitting.solve import (
    RESAMPLE_STEPS,
    RESAMPLE_TOLERANCE,
    STEPS,
    TOLERANCE,
    Shared,
    Solution,
    Task,
    run_tasks,
    solver,
)
from jaxlaws.fitting.start import starts
from jaxlaws.laws.law import Law, Parameter

#: Precision of the prior of offsets that stands for no offsets.
_NO_OFFSET = 1e12
Progress = Callable[[str, int, int], None]


@lru_cache(maxsize=64)
def _predictor(law: Law):
    return jax.jit(lambda theta, inputs, scale: law.predict(law.constrain(theta, scale), inputs))


@dataclass(frozen=True)
class Problem:
    """Points to fit `law` to under `noise`, `width` tasks at a time; every array in and out is numpy float64."""

    law: Law
    noise: Noise
    points: Points
    width: int
    fixed: Mapping[str, float] = field(default_factory=dict)
    progress: Progress = lambda stage, done, total: None

    @property
    def inputs(self) -> dict[str, np.ndarray]:
        """Of the law."""
        return {key: self.points.inputs[key] for key in self.law.inputs}

    @property
    def target(self) -> np.ndarray:
        """[points] ln L, or L."""
        return np.log(self.points.loss) if self.noise.log else self.points.loss

    def __post_init__(self) -> None:
        for name, value in self.fixed.items():
            if name not in self.law.names:
                raise unknown(f"constant of {self.law.name}", name, self.law.names)
            parameter = self.law.parameters[self.law.names.index(name)]
            exponents = [power.lstrip("-") for power in parameter.units.values() if isinstance(power, str)]
            free = [exponent for exponent in exponents if exponent not in self.fixed]
            reason = ""
            if free or (self.law.coordinates and name in self.law.coordinates.of):
                hint = f", fix {' and '.join(free)} too" if free else ""
                reason = f"depends on the units of the data{hint}"
            elif not parameter.bounds[0] <= self._unitless(parameter) <= parameter.bounds[1]:
                low, high = (edge * parameter.unit(self.fixed, self.points.scale()) for edge in parameter.bounds)
                reason = f"must lie in [{low:g}, {high:g}]"
            if reason:
                raise BadInput(f"{name} of {self.law.name} {reason}: it cannot be fixed at {value:g}.")

    def _unitless(self, parameter: Parameter) -> float:
        """The value that a constant is fixed at, over its unit, whose exponents are fixed too."""
        return self.fixed[parameter.name] / parameter.unit(self.fixed, self.points.scale())

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Of the coordinates; equal for a constant that is fixed."""
        edges = [(self._unitless(p),) * 2 if p.name in self.fixed else p.bounds for p in self.law.parameters]
        with jax.enable_x64(True):
            lines = [
                [float(p.unconstrain(edge)) for edge in pair]
                for p, pair in zip(self.law.parameters, edges, strict=True)
            ]
        return np.array(lines)[:, 0], np.array(lines)[:, 1]

    @property
    def prior(self) -> np.ndarray:
        """[2, parameters] centre and sd of the coordinates; an infinite sd where there is no prior."""
        return np.array([p.prior or (0.0, np.inf) for p in self.law.parameters]).T

    def shared(
        self,
        tolerance: float = TOLERANCE,
        delta: float | None = None,
        plain: bool = False,
        steps: int = RESAMPLE_STEPS,
    ) -> Shared:
        """What the tasks share; `plain` asks the same program for the plain Huber objective."""
        low, high = self.bounds
        sd = self.prior[1]
        return Shared(
            inputs=self.inputs,
            run=self.points.run,
            scale=self.points.scale(),
            low=low,
            high=high,
            delta=self.noise.delta if delta is None else delta,
            sigma=DELTA if plain else self.noise.sigma,
            offset_precision=np.full(
                len(self.points.names), 1 / self.noise.offset**2 if self.noise.offset and not plain else _NO_OFFSET
            ),
            prior_precision=np.zeros(len(sd)) if plain else 1 / sd**2,
            tolerance=tolerance,
            steps=steps,
        )

    def solve(self, tasks: Task, shared: Shared, stage: str) -> Solution:
        """The solutions of all tasks."""
        program = solver(
            self.law,
            self.noise.log,
            self.noise.offset > 0,
            self.noise.draws_to_prior(self.law),
        )
        total = len(tasks.theta)
        with jax.enable_x64(True):
            return run_tasks(program, tasks, shared, self.width, lambda done: self.progress(stage, done, total))

    def from_starts(self, count: int, seed: int, plain: bool = False) -> Solution:
        """The solutions from `count` random starts, under the noise model or the plain Huber objective."""
        weight = np.ones(len(self.points.loss)) / (self.points.loss**2 if self.noise.log else 1.0)
        with jax.enable_x64(True):
            theta = starts(
                self.law, count, seed, self.inputs, self.points.loss, weight, self.points.scale(), *self.bounds
            )
        tasks = Task(
            theta,
            np.ones((count, len(weight))),
            np.broadcast_to(self.target, (count, len(weight))),
            np.broadcast_to(self.prior[0], theta.shape),
        )
        shared = self.shared(plain=plain, steps=STEPS[self.law.kind])
        return self.solve(tasks, shared, "scale" if plain else "starts")

    def from_best(
        self,
        theta: np.ndarray,
        stage: str,
        *,
        weight: np.ndarray | None = None,
        target: np.ndarray | None = None,
        prior: np.ndarray | None = None,
        **changes: Any,
    ) -> Solution:
        """The solutions from one start under many weights or targets of points, or prior centres [tasks, …]."""
        count = max(len(values) if values is not None else 1 for values in (weight, target, prior))
        tasks = Task(
            np.broadcast_to(theta, (count, len(theta))),
            np.ones((count, len(self.target))) if weight is None else weight,
            np.broadcast_to(self.target, (count, len(self.target))) if target is None else target,
            np.broadcast_to(self.prior[0], (count, len(theta))) if prior is None else prior,
        )
        return self.solve(tasks, self.shared(**{"tolerance": RESAMPLE_TOLERANCE, **changes}), stage)

    def predict(self, theta: np.ndarray, points: Points | None = None) -> np.ndarray:
        """[points] loss at coordinates `theta`, at these points or at others."""
        points = points or self.points
        inputs = {key: points.inputs[key] for key in self.law.inputs}
        with jax.enable_x64(True):
            return np.asarray(_predictor(self.law)(theta, inputs, self.points.scale()))

    def coordinates(self, constants: np.ndarray) -> np.ndarray:
        """[..., parameters] coordinates of constants."""
        params = dict(zip(self.law.names, np.moveaxis(np.asarray(constants), -1, 0), strict=True))
        with jax.enable_x64(True):
            return np.moveaxis(np.asarray(self.law.unconstrain(params, self.points.scale())), 0, -1)

    def constants(self, theta: np.ndarray) -> np.ndarray:
        """[..., parameters] constants of coordinates."""
        scale = self.points.scale()
        with jax.enable_x64(True):
            values = self.law.constrain(jnp.moveaxis(jnp.asarray(theta), -1, 0), scale)
            return np.stack([np.asarray(values[name]) for name in self.law.names], -1)
