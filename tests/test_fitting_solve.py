"""The solver against independent ones: projection, optimistix, scipy; weights, offsets and units."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optimistix
import pytest
from scipy.optimize import minimize

from jaxlaws.bench.fit import chinchilla_runs, multi_power_runs
from jaxlaws.fitting import noise as noises
from jaxlaws.fitting.fit import fit
from jaxlaws.fitting.points import points
from jaxlaws.fitting.problem import Problem
from jaxlaws.fitting.scatter import noise_scale
from jaxlaws.fitting.solve import solver
from jaxlaws.fitting.start import projector
from jaxlaws.laws.table import get
from jaxlaws.records.table import Runs


def problem_of(law, runs, noise, width=16):
    return Problem(get(law), noises.get(noise, get(law)), points(get(law), runs), width)


def best(solution):
    return int(np.argmin(solution.objective))


def test_projection_is_exact_under_squared_error_of_the_loss():
    problem = problem_of("chinchilla", chinchilla_runs(), "squared_loss")
    solved = problem.from_starts(16, 0)
    scale, bounds, loss = problem.points.scale(), problem.bounds, problem.points.loss

    def projected(exponents):
        with jax.enable_x64(True):
            theta = np.array([[0.0, 0.0, 0.0, *np.log(exponents)]])
            return float(projector(problem.law)(theta, problem.inputs, loss, np.ones_like(loss), scale, *bounds)[1][0])

    theirs = minimize(projected, [0.3, 0.3], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12})
    full = 2 * solved.objective[best(solved)] * problem.noise.sigma**2
    assert full == pytest.approx(theirs.fun, rel=1e-8)
    np.testing.assert_allclose(problem.constants(solved.theta[best(solved)])[3:], theirs.x, rtol=1e-4)


@pytest.mark.slow
def test_optimistix_finds_the_same_optimum():
    problem = problem_of("multi_power", multi_power_runs(), "huber")
    solved = problem.from_starts(16, 0)
    assert np.mean(solved.objective <= solved.objective.min() * (1 + 1e-6)) >= 0.9
    scale, delta = problem.points.scale(), noises.DELTA
    with jax.enable_x64(True):

        def residuals(theta, _):
            loss = problem.law.predict(problem.law.constrain(theta, scale), problem.inputs)
            size = jnp.abs(problem.target - jnp.log(loss))
            inner = jnp.maximum(2 * delta * jnp.maximum(size, delta) - delta**2, delta**2)
            return jnp.where(size <= delta, size, jnp.sqrt(inner)) / delta

        start = jnp.asarray(solved.theta[best(solved)] + 0.05)
        theirs = optimistix.least_squares(
            residuals, optimistix.LevenbergMarquardt(1e-10, 1e-10), start, max_steps=2000, throw=False
        )
        objective = float(0.5 * jnp.sum(residuals(theirs.value, None) ** 2))
    assert solved.objective.min() == pytest.approx(objective, rel=1e-6)
    assert solved.objective.min() <= objective * (1 + 1e-9)


def test_the_correlated_model_is_at_its_minimum_with_offsets_and_prior():
    problem = problem_of("multi_power", multi_power_runs(), "correlated")
    problem = replace(
        problem, noise=problem.noise.at_scale(noise_scale(problem, problem.from_starts(16, 0, plain=True)))
    )
    solved = problem.from_starts(16, 0)
    i = best(solved)
    noise, law = problem.noise, problem.law
    mean, sd = problem.prior

    def objective(x):
        theta, offset = x[:7], x[7:]
        size = np.abs(problem.target - np.log(problem.predict(theta)) - offset[problem.points.run])
        rho = np.where(size <= noise.delta, 0.5 * size**2, noise.delta * (size - 0.5 * noise.delta))
        row = (theta - mean) / sd
        return np.sum(rho) / noise.sigma**2 + np.sum(offset**2) / (2 * noise.offset**2) + 0.5 * np.sum(row**2)

    x = np.concatenate([solved.theta[i], solved.offset[i]])
    assert objective(x) == pytest.approx(solved.objective[i], rel=1e-9)
    for seed in range(3):
        away = np.random.default_rng(seed).standard_normal(len(x)) * np.concatenate(
            [np.full(7, 1e-2), np.full(3, 1e-4)]
        )
        assert objective(x + away) > objective(x)
    theirs = minimize(objective, x, method="BFGS", options={"maxiter": 30})
    assert theirs.fun >= solved.objective[i] * (1 - 1e-6)
    assert law.noise == "correlated"


def test_lanes_in_turn_and_vectorised_agree(monkeypatch):
    problem = problem_of("chinchilla", chinchilla_runs(), "huber")
    in_turn = problem.from_starts(16, 3)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    solver.cache_clear()
    vectorised = problem.from_starts(16, 3)
    solver.cache_clear()
    np.testing.assert_allclose(vectorised.objective, in_turn.objective, rtol=1e-7)


def test_a_run_of_weight_zero_is_a_run_left_out():
    runs = chinchilla_runs()
    problem = problem_of("chinchilla", runs, "huber")
    theta = problem.from_starts(16, 0)
    theta = theta.theta[best(theta)]
    weight = np.ones((1, 240))
    weight[0, :100] = 0
    masked = problem.from_best(theta, "mask", weight=weight, tolerance=1e-12)
    rest = fit("chinchilla", runs.select(runs.table.index[100:]), bootstrap=0)
    np.testing.assert_allclose(problem.constants(masked.theta)[0], list(rest.params.values()), rtol=1e-4)


def test_units_of_n_and_d_do_not_matter():
    runs = chinchilla_runs()
    table = runs.table.assign(params_total=runs.table["params_total"] * 8, tokens=runs.table["tokens"] / 3)
    ours, theirs = fit("chinchilla", runs, bootstrap=0), fit("chinchilla", Runs(table), bootstrap=0)
    assert ours.objective == pytest.approx(theirs.objective, rel=1e-9)
    assert ours.params["alpha"] == pytest.approx(theirs.params["alpha"], rel=1e-5)
    assert ours.params["A"] * 8 ** ours.params["alpha"] == pytest.approx(theirs.params["A"], rel=1e-4)


def test_bootstrap_intervals_hold_the_truth_about_as_often_as_they_say():
    truth = {"E": 1.8172, "alpha": 0.3478, "beta": 0.3658}
    inside = []
    base = chinchilla_runs()
    n, d = base.table["params_total"].to_numpy(), base.table["tokens"].to_numpy()
    clean = 1.8172 + 482.01 / n**0.3478 + 2085.43 / d**0.3658
    for seed in range(12):
        loss = clean * np.exp(0.01 * np.random.default_rng(seed).standard_normal(240))
        found = fit("chinchilla", Runs(base.table.assign(loss_nats=loss)), bootstrap=200, starts=8)
        inside += [found.intervals[name][0] <= value <= found.intervals[name][1] for name, value in truth.items()]
    assert 0.75 <= np.mean(inside) <= 1.0
