"""Fits against their scipy equivalents, on simulated data of the published shapes, without any download."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import jax
import numpy as np
import pandas as pd

from jaxlaws.bench import Row, median_seconds
from jaxlaws.fitting import noise as noises
from jaxlaws.fitting.points import Points, points
from jaxlaws.fitting.predict import predict
from jaxlaws.fitting.problem import Problem
from jaxlaws.fitting.resample import cell_weights
from jaxlaws.fitting.start import starts
from jaxlaws.laws.table import get
from jaxlaws.records.table import Curve, Runs

_STARTS, _BASELINE_STARTS = 512, 40
_RESAMPLES, _BASELINE_RESAMPLES = 4000, 20
_AGREE = 1e-6


def rows(repeats: int = 5) -> list[Row]:
    """Seconds a start that reaches the optimum, seconds of a bootstrap, and a cold command."""
    table, curves = chinchilla_runs(), multi_power_runs()
    return [*_chinchilla(table, repeats), *_multi_power(curves, repeats), _cold(curves, repeats)]


def chinchilla_runs() -> Runs:
    """240 runs about the published law, N 50M to 16B, D 1 to 300B, 1% noise."""
    rng = np.random.default_rng(0)
    n, d = np.exp(rng.uniform(np.log(5e7), np.log(1.6e10), 240)), np.exp(rng.uniform(np.log(1e9), np.log(3e11), 240))
    loss = 1.8172 + 482.01 / n**0.3478 + 2085.43 / d**0.3658
    frame = pd.DataFrame({"params_total": n, "tokens": d, "loss_nats": loss * np.exp(0.01 * rng.standard_normal(240))})
    return Runs(frame, source="simulated Chinchilla table")


def multi_power_runs() -> Runs:
    """Three curves of 437 points about the published 25M constants: cosine, constant and a single drop, 0.1% noise."""
    rng, peak, warmup = np.random.default_rng(0), 3e-4, 2160
    warm = np.linspace(0, peak, warmup)
    tail = np.arange(24000 - warmup) / (24000 - warmup)
    schedules = {
        "cosine": (np.concatenate([warm, peak * (0.55 + 0.45 * np.cos(np.pi * tail))]), 24000),
        "constant": (np.concatenate([warm, np.full(24000 - warmup, peak)]), 24000),
        "drop": (np.concatenate([warm, np.where(np.arange(warmup, 16000) < 8000, peak, 0.3 * peak)]), 14144),
    }
    curves = {}
    for name, (lr, end) in schedules.items():
        at = np.arange(2176, end, 128)
        loss = predict("multi_power:25M", lr=lr, at=at, warmup_steps=warmup).value
        curves[name] = Curve(lr, at, loss * np.exp(1e-3 * rng.standard_normal(len(at))), warmup)
    frame = pd.DataFrame({"loss_nats": [curve.loss[-1] for curve in curves.values()]}, index=pd.Index(list(curves)))
    return Runs(frame, curves, source="simulated curves")


def _certain(share: float, starts: int) -> float:
    """Starts of which one reaches the optimum with 99% probability; a share of 0 counts as half a start."""
    share = max(share, 0.5 / starts)
    return 1.0 if share >= 0.99 else float(np.log(0.01) / np.log1p(-share))


def _agreeing(objectives, best: float) -> float:
    return float(np.mean(np.asarray(objectives) <= best * (1 + _AGREE)))


def _chinchilla(runs: Runs, repeats: int) -> list[Row]:
    from scipy.optimize import minimize

    law = get("chinchilla")
    problem = Problem(law, noises.get("huber", law), points(law, runs), 64)
    problem.from_starts(64, 0)
    seconds, solution = median_seconds(lambda: problem.from_starts(_STARTS, 1), repeats)
    best = float(solution.objective.min()) * noises.DELTA**2
    ours = _agreeing(solution.objective * noises.DELTA**2, best)
    log_n, log_d, log_l = (np.log(runs.table[name].to_numpy()) for name in ("params_total", "tokens", "loss_nats"))

    def objective(x, weight=1.0):
        terms = np.stack([np.full_like(log_n, x[0]), x[1] - x[3] * log_n, x[2] - x[4] * log_d])
        residual = log_l - np.logaddexp.reduce(terms, 0)
        return float(np.sum(weight * noises.huber(residual)))

    rng = np.random.default_rng(0)
    grid = [
        [e, a, b, alpha, beta]
        for e, a, b, alpha, beta in zip(
            rng.choice([-1, -0.5, 0, 0.5, 1], _BASELINE_STARTS),
            rng.choice(np.arange(0, 26, 5), _BASELINE_STARTS),
            rng.choice(np.arange(0, 26, 5), _BASELINE_STARTS),
            rng.choice([0, 0.5, 1, 1.5, 2], _BASELINE_STARTS),
            rng.choice([0, 0.5, 1, 1.5, 2], _BASELINE_STARTS),
            strict=True,
        )
    ]
    base, theirs = median_seconds(lambda: [minimize(objective, x, method="L-BFGS-B").fun for x in grid], 1)
    share = _agreeing(theirs, best)
    optimum = Row(
        "chinchilla, 240 points: the optimum with 99% certainty",
        seconds / _STARTS * _certain(ours, _STARTS),
        base / _BASELINE_STARTS * _certain(share, _BASELINE_STARTS),
        "scipy L-BFGS-B, numeric gradient, the starts of the papers",
        f"share of starts within 1e-6 of the best: ours {ours:.1%}, baseline {share:.1%} of {_BASELINE_STARTS}",
    )

    theta = solution.theta[int(np.argmin(solution.objective))]
    weight = cell_weights(problem.points, _RESAMPLES, rng)
    seconds, refits = median_seconds(lambda: problem.from_best(theta, "bootstrap", weight=weight), repeats)
    p = dict(zip(law.names, problem.constants(theta), strict=True))
    x0 = np.array([np.log(p["E"]), np.log(p["A"]), np.log(p["B"]), p["alpha"], p["beta"]])

    def baseline():
        return [
            minimize(lambda x, w=w: objective(x, w) * 1e6, x0, method="BFGS").success
            for w in weight[:_BASELINE_RESAMPLES]
        ]

    base, success = median_seconds(baseline, 1)
    bootstrap = Row(
        f"chinchilla, 240 points: {_RESAMPLES} bootstrap resamples",
        seconds,
        base * _RESAMPLES / _BASELINE_RESAMPLES,
        f"scipy BFGS on {_BASELINE_RESAMPLES} of them, scaled",
        f"stopped short: ours {np.mean(refits.gain > 1e-3):.1%}, baseline {1 - np.mean(success):.0%}",
    )
    return [optimum, bootstrap]


def _multi_power(runs: Runs, repeats: int) -> list[Row]:
    from scipy.optimize import least_squares

    law = get("multi_power")
    data: Points = points(law, runs)
    problem = Problem(law, noises.get("huber", law), data, 16)
    problem.from_starts(16, 0)
    seconds, solution = median_seconds(lambda: problem.from_starts(16, 1), repeats)
    best = float(solution.objective.min()) * noises.DELTA**2
    x = data.inputs

    def residual(q):
        L0, A, alpha, B, C, beta, gamma = np.exp(q)
        rate = C * np.exp(-gamma * x["log_lr"]) * x["lr_sum"]
        loss = L0 + A * x["S"] ** -alpha - B * np.sum(x["drop"] * -np.expm1(-beta * np.log1p(rate)), 1)
        return np.log(data.loss) - np.log(np.maximum(loss, 1e-3))

    with jax.enable_x64(True):
        theta = starts(law, 8, 1, x, data.loss, 1 / data.loss**2, data.scale(), *problem.bounds)
    lanes = iter(np.log(problem.constants(theta)))

    def baseline():
        return float(
            np.sum(
                noises.huber(least_squares(residual, next(lanes), loss="huber", f_scale=noises.DELTA, max_nfev=300).fun)
            )
        )

    theirs = []
    base, _ = median_seconds(lambda: theirs.append(baseline()), 8)
    ours, share = _agreeing(solution.objective * noises.DELTA**2, best), _agreeing(theirs, best)
    optimum = Row(
        "multi_power, 3 curves, 437 points: the optimum with 99% certainty",
        seconds / 16 * _certain(ours, 16),
        base * _certain(share, 8),
        "scipy least_squares, Huber, numeric Jacobian, the same projected starts and events",
        f"starts within 1e-6 of the best: ours {ours:.0%}, baseline {share:.0%} of 8; our 16 starts {seconds:.2f} s",
    )
    return [optimum, _double_sum(runs, problem, solution.theta[int(np.argmin(solution.objective))], repeats)]


def _double_sum(runs: Runs, problem: Problem, theta: np.ndarray, repeats: int) -> Row:
    params = dict(zip(problem.law.names, problem.constants(theta), strict=True))

    def full():
        out = []
        for curve in runs.curves.values():
            total = np.concatenate([[0.0], np.cumsum(curve.lr)])
            drop, lr = -np.diff(curve.lr), np.maximum(curve.lr[1:], 1e-12)
            for t in curve.at:
                rate = params["C"] * lr[:t] ** -params["gamma"] * (total[t + 1] - total[1 : t + 1])
                gain = np.sum(drop[:t] * (1 - (1 + rate) ** -params["beta"]))
                out.append(params["L0"] + params["A"] * total[t + 1] ** -params["alpha"] - params["B"] * gain)
        return np.array(out)

    problem.predict(theta)
    seconds, ours = median_seconds(lambda: problem.predict(theta), 4 * repeats)
    base, theirs = median_seconds(full, 1)
    return Row(
        "multi_power, 3 curves, 437 points: one evaluation",
        seconds,
        base,
        "numpy, the double sum over every step and drop",
        f"largest difference {np.max(np.abs(ours - theirs)):.1e} nats",
    )


def _cold(runs: Runs, repeats: int) -> Row:
    frames = [
        pd.DataFrame(
            {"run_id": name, "step": curve.at, "lr": curve.lr[curve.at], "loss": curve.loss, "warmup_steps": 2160}
        )
        for name, curve in runs.curves.items()
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "curves.csv"
        pd.concat(frames).to_csv(path, index=False)
        command = [sys.executable, "-m", "jaxlaws", "fit", "multi_power", str(path), "--json", "--force"]
        seconds, process = median_seconds(
            lambda: subprocess.run(command, capture_output=True, text=True), min(repeats, 3)
        )
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {process.stderr.strip()[-500:]}")
    return Row("jaxlaws fit multi_power, the whole command on a cold process", seconds, note="with its intervals")
