"""Damped Gauss–Newton for any law under any noise model: all starts and all resamples are tasks of one program."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxlaws.laws.law import Law

#: Most steps of a task: points are cheap, and some laws have long valleys.
STEPS = {"point": 3000, "curve": 300}
#: The same for a resample, which starts at the best constants.
RESAMPLE_STEPS = 300
#: Curvature of a point in the absolute part of Huber, as a share of its Gauss–Newton value (its true value is 0).
_TAIL = 0.3
#: A task has converged once a Gauss–Newton step would lower its objective by less than this share of it.
TOLERANCE = 1e-11
#: The same for a resample, whose objective is itself a random number.
RESAMPLE_TOLERANCE = 1e-6


class Shared(NamedTuple):
    """What is common to all tasks.

    Attributes:
      inputs: of the law, [points] or [points, events].
      run: [points] index of the run of each point.
      scale: of the coordinates.
      low, high: [parameters] bounds of the coordinates.
      delta, sigma: of the noise model.
      offset_precision: [runs] 1/s² of their offsets.
      prior_precision: [parameters] of the coordinates.
      tolerance: of convergence.
      steps: most of a task.
    """

    inputs: Mapping[str, Any]
    run: Any
    scale: Mapping[str, Any]
    low: Any
    high: Any
    delta: Any
    sigma: Any
    offset_precision: Any
    prior_precision: Any
    tolerance: Any = TOLERANCE
    steps: Any = RESAMPLE_STEPS


class Task(NamedTuple):
    """One problem.

    Attributes:
      theta: [parameters] its start.
      weight: [points] of every point; the offset of a run has the largest of its points.
      target: [points] ln L, or L.
      prior: [parameters] centre of the prior of the coordinates.
    """

    theta: Any
    weight: Any
    target: Any
    prior: Any


class Solution(NamedTuple):
    """Where a task ended.

    Attributes:
      theta: [parameters] coordinates.
      offset: [runs] in the unit of the target.
      objective: of the noise model.
      gain: share of it that one more step would gain.
      steps: how many were taken.
      gradient: [parameters] of the objective.
      hessian: [parameters, parameters], Gauss–Newton, offsets eliminated.
    """

    theta: Any
    offset: Any
    objective: Any
    gain: Any
    steps: Any
    gradient: Any
    hessian: Any


class _Local(NamedTuple):
    objective: Any
    gradient: Any
    hessian: Any
    run_gradient: Any
    run_hessian: Any
    run_cross: Any


@lru_cache(maxsize=64)
def solver(law: Law, log: bool, offsets: bool, prior: bool) -> Callable[[Task, Shared], Solution]:
    """The jitted solver of a law: tasks stacked on the first axis → their solutions.

    One program solves all tasks: vectorised on an accelerator, in turn on a CPU, where a task that stops early then
    costs nothing and the working set stays in cache (twice as fast: experiments/LOG.md).

    Args:
      law: predicts the loss.
      log: targets are ln L.
      offsets: every run has an offset.
      prior: weak constants are drawn to a prior.
    """

    def prediction(theta, shared: Shared):
        loss = law.predict(law.constrain(theta, shared.scale), shared.inputs)
        return jnp.log(jnp.maximum(loss, 1e-9)) if log else loss

    def local(theta, offset, task: Task, shared: Shared) -> _Local:
        def twice(t):
            value = prediction(t, shared)
            return value, value

        jacobian, value = jax.jacfwd(twice, has_aux=True)(theta)
        residual = task.target - value - offset[shared.run]
        size = jnp.abs(residual)
        inside = size <= shared.delta
        delta = jnp.where(inside, 1.0, shared.delta)
        weight = task.weight / shared.sigma**2
        rho = jnp.where(inside, 0.5 * residual**2, delta * (size - 0.5 * delta))
        pull = weight * jnp.clip(residual, -shared.delta, shared.delta)
        curve = weight * jnp.where(inside, 1.0, _TAIL * delta**2 / jnp.maximum(2 * delta * size - delta**2, delta**2))
        objective = jnp.sum(weight * rho)
        gradient = -pull @ jacobian
        hessian = (jacobian * curve[:, None]).T @ jacobian
        if prior:
            away = theta - task.prior
            objective += 0.5 * jnp.sum(shared.prior_precision * away**2)
            gradient += shared.prior_precision * away
            hessian += jnp.diag(shared.prior_precision)
        if not offsets:
            return _Local(objective, gradient, hessian, None, None, None)
        runs = len(offset)
        precision = shared.offset_precision * jnp.maximum(jax.ops.segment_max(task.weight, shared.run, runs), 0.0)
        return _Local(
            objective + 0.5 * jnp.sum(precision * offset**2),
            gradient,
            hessian,
            precision * offset - jax.ops.segment_sum(pull, shared.run, runs),
            jnp.maximum(precision + jax.ops.segment_sum(curve, shared.run, runs), 1e-300),
            jax.ops.segment_sum(curve[:, None] * jacobian, shared.run, runs),
        )

    def reduced(here: _Local):
        if not offsets:
            return here.gradient, here.hessian
        ratio = here.run_cross / here.run_hessian[:, None]
        return here.gradient - here.run_gradient @ ratio, here.hessian - here.run_cross.T @ ratio

    def step(theta, here: _Local, damping, size, shared: Shared):
        if offsets:
            here = here._replace(run_hessian=here.run_hessian * (1 + damping / size))
        gradient, hessian = reduced(here)
        stuck = ((theta <= shared.low) & (gradient > 0)) | ((theta >= shared.high) & (gradient < 0))
        gradient = jnp.where(stuck, 0.0, gradient)
        hessian = jnp.where(stuck[:, None] | stuck[None, :], 0.0, hessian)
        system = hessian + jnp.diag(jnp.where(stuck, 1.0, damping))
        move = -jnp.linalg.solve(system, gradient)
        run_move = -(here.run_gradient + here.run_cross @ move) / here.run_hessian if offsets else jnp.zeros(())
        gain = -0.5 * gradient @ move
        if offsets:
            gain += 0.5 * jnp.sum(here.run_gradient**2 / here.run_hessian)
        return move, run_move, gain

    def solve(task: Task, shared: Shared) -> Solution:
        offset = jnp.zeros_like(shared.offset_precision)
        here = local(task.theta, offset, task, shared)
        size = jnp.maximum(jnp.max(jnp.diagonal(here.hessian)), 1e-300)

        def going(state):
            _, _, _, damping, count, gain = state
            return (count < shared.steps) & (gain > shared.tolerance) & (damping < 1e12 * size)

        def body(state):
            theta, offset, here, damping, count, _ = state
            move, run_move, _ = step(theta, here, damping, size, shared)
            new_theta = jnp.clip(theta + move, shared.low, shared.high)
            new_offset = offset + run_move
            there = local(new_theta, new_offset, task, shared)
            better = there.objective < here.objective
            pick = lambda a, b: jnp.where(better, a, b)  # noqa: E731
            here = jax.tree.map(pick, there, here)
            theta, offset = pick(new_theta, theta), pick(new_offset, offset)
            damping = jnp.where(better, damping / 6, damping * 4)
            return theta, offset, here, damping, count + 1, gain_share(theta, here, shared, size)

        start = (task.theta, offset, here, 1e-2 * size, 0, jnp.where(jnp.any(task.weight > 0), jnp.inf, 0.0))
        theta, offset, here, _, count, gain = jax.lax.while_loop(going, body, start)
        return Solution(theta, offset, here.objective, gain, count, *reduced(here))

    def gain_share(theta, here, shared, size):
        gain = step(theta, here, 1e-10 * size, size, shared)[2]
        return jnp.where(jnp.isfinite(gain), gain, jnp.inf) / (here.objective + 1e-12)

    def one_by_one(tasks: Task, shared: Shared) -> Solution:
        return jax.lax.map(lambda task: solve(task, shared), tasks)

    return jax.jit(one_by_one if jax.default_backend() == "cpu" else jax.vmap(solve, (0, None)))


def run_tasks(
    solve: Callable[[Task, Shared], Solution],
    tasks: Task,
    shared: Shared,
    size: int,
    done: Callable[[int], None] = lambda count: None,
) -> Solution:
    """Solve any number of tasks, `size` at a time with one compiled program; numpy in and out.

    Lanes beyond the last task have no weight, and end before their first step.
    """
    total = len(tasks.theta)
    parts = []
    for first in range(0, total, size):
        index = np.minimum(np.arange(first, first + size), total - 1)
        lanes = Task(*(np.asarray(value)[index] for value in tasks))
        part = solve(lanes._replace(weight=lanes.weight * (index == np.arange(first, first + size))[:, None]), shared)
        parts.append([np.asarray(value)[: min(size, total - first)] for value in part])
        done(min(first + size, total))
    return Solution(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def best_of(solution: Solution) -> Solution:
    """The task with the lowest finite objective, of solutions stacked on the first axis."""
    best = int(np.argmin(np.where(np.isfinite(solution.objective), solution.objective, np.inf)))
    return Solution(*(part[best] for part in solution))
