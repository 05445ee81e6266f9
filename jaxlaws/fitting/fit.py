"""Fitting a law: global starts, resamples, held-out errors and diagnostics, gathered in one `Fit`."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxlaws import __version__
from jaxlaws.errors import BadInput, unknown
from jaxlaws.fitting import design_checks, diagnose, resample, score, verdict
from jaxlaws.fitting import noise as noises
from jaxlaws.fitting.axes import axes
from jaxlaws.fitting.columns import columns_of, parts_of
from jaxlaws.fitting.evidence import Evidence, best_of, noise_scale
from jaxlaws.fitting.points import Points, points
from jaxlaws.fitting.problem import Problem, Progress
from jaxlaws.fitting.result import Fit
from jaxlaws.laws.law import Law
from jaxlaws.laws.table import get
from jaxlaws.records.files import finite
from jaxlaws.records.settings import comparable
from jaxlaws.records.shared import ALL, shared_config
from jaxlaws.status import decide

if TYPE_CHECKING:
    from jaxlaws.records.table import Runs

LEVEL = 0.9
#: Starts, resamples and lanes of one program: points are cheap, curves are not.
STARTS = {"point": 64, "curve": 16}
BOOTSTRAP = {"point": 1000, "curve": 200}
#: Resampled constants that are stored with a fit.
_DRAWS = 200
_QUANTILES = np.linspace(0.0125, 0.9875, 40)


def fit(
    law: str,
    runs: Runs,
    *,
    train: Sequence[str] | None = None,
    noise: str | None = None,
    starts: int | None = None,
    bootstrap: int | None = None,
    seed: int = 0,
    params_column: str | None = None,
    warmup_ld: str = "included",
    fixed: Mapping[str, float] | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> Fit:
    """Fit a loss law to runs.

    Args:
      law: name from `jaxlaws.laws.table.LAWS`.
      runs: a table (point laws read `runs.loss_column`) or curves (curve laws).
      train: run ids to fit, the others are held out and scored; all without it.
      noise: name from `jaxlaws.fitting.noise.NOISES`; the law's default without it.
      starts: random starts.
      bootstrap: resamples for intervals, 0 for none.
      seed: of starts and resamples.
      params_column: what N is, `params_nonembedding` or `params_total`.
      warmup_ld: `included` or `excluded`, whether LR changes of the warm-up count as events.
      fixed: constants that are not fitted, by name, such as {"lambda": 0.999}; those that units do not touch.
      progress: called with (stage, done, total).

    Raises:
      BadInput: the law, a run or a column is unknown, or there are too few points.
    """
    the_law = get(law, parts_of(get(law), runs))
    model = noises.get(noise, the_law)
    runs = comparable(runs, law, columns_of(the_law), the_law.kind == "curve")
    everything = points(the_law, runs, params_column, warmup_ld)
    chosen = everything if train is None else everything.of(_known(train, everything))
    _enough(the_law, chosen, runs)
    count = STARTS[the_law.kind] if starts is None else starts
    if count < 1:
        raise BadInput(f"starts is {count}, expected at least 1.")
    problem = Problem(the_law, model, chosen, min(count, STARTS[the_law.kind]), fixed or {}, progress)
    if model.adaptive:
        scale = noise_scale(problem, problem.from_starts(count, seed, plain=True))
        problem = replace(problem, noise=model.resolved(scale))
    solution = problem.from_starts(count, seed)
    best = best_of(solution)
    if not np.isfinite(solution.objective[best]):
        raise BadInput(f"the law {law} has no finite objective on {runs.source} from any of {count} starts.")
    theta = solution.theta[best]
    state = Evidence(problem, solution, best, seed)
    drawn = state.resample(BOOTSTRAP[the_law.kind] if bootstrap is None else bootstrap)
    return _gather(the_law, state, drawn, everything, train, runs, theta)


def _gather(
    law: Law, state: Evidence, drawn, everything: Points, train: Sequence[str] | None, runs: Runs, theta: np.ndarray
) -> Fit:
    problem, solution, best = state.problem, state.solution, state.best
    kind, draws, counts = drawn
    values = dict(zip(law.names, problem.constants(theta).tolist(), strict=True))
    objective = float(solution.objective[best])
    agree = solution.objective <= objective * (1 + 1e-6) + 1e-9
    low, high = problem.bounds
    bounds = diagnose.at_bounds(law, theta, low, high)
    untouched = state.untouched()
    free = [i for i, name in enumerate(law.names) if name not in (*bounds, *untouched)]
    names = [law.names[i] for i in free]
    curvature = diagnose.curvature(names, solution.hessian[best][np.ix_(free, free)], state.dispersion)
    bounds = [name for name in bounds if name not in problem.fixed]
    untouched = [name for name in untouched if name not in problem.fixed]
    gain = float(solution.gain[best])
    predicted = problem.predict(theta, everything)
    curves = score.by_curve(everything, predicted, train) if law.kind == "curve" else {}
    held_out = state.leave_out()
    if train is not None:
        held = ~np.isin(everything.run, [everything.names.index(name) for name in train])
        if not state.single:
            held_out["test"] = score.average(curves, "test")
        elif held.any():
            fitted = float(problem.points.loss.mean())
            held_out["test"] = score.errors(everything.loss[held], predicted[held], fitted)
    if not state.single:
        held_out["gaps"] = score.gaps(everything, predicted, train)
    if law.kind == "curve":
        held_out["decay_gaps"] = score.decay_ratio(everything, predicted, train)
    intervals = {
        name: resample.interval(values[name], draws[:, i], LEVEL)
        for i, name in enumerate(law.names)
        if len(draws) >= resample.FEW and name not in untouched and name not in problem.fixed
    }
    prior = state.of_the_prior()
    found = verdict.findings(
        verdict.Seen(
            law=law,
            points=problem.points,
            residual=state.residual,
            unit=state.unit,
            noise=state.point_noise,
            phi=state.phi,
            gain=gain,
            exact=objective < 1e-6,
            starts=len(agree),
            agreeing=int(agree.sum()),
            bounds=bounds,
            untouched=untouched,
            open=curvature.unidentified,
            weak=curvature.weak,
            prior={name: left for name, (_, left) in prior.items()},
            held_out=held_out,
        )
    )
    noise = problem.noise
    diagnostics = {
        "gradient_norm": float(np.max(np.abs(solution.gradient[best]))) / max(objective, 1e-12),
        "gain_of_another_step": gain,
        "steps": int(solution.steps[best]),
        "condition_number": curvature.condition,
        "sd_of_ln": dict(zip(names, curvature.sd.tolist(), strict=True)),
        "bounds_hit": bounds,
        "fixed": dict(problem.fixed),
        "untouched": untouched,
        "prior": {name: {"sd_away": away, "variance_left": share} for name, (away, share) in prior.items()},
        "unidentified": curvature.unidentified,
        "weak": curvature.weak,
        "loss_unit": state.unit,
        "next_basin": diagnose.next_basin(solution.objective),
        "residual_correlation": state.phi,
        "noise_scale": {"sigma": noise.sigma, "offset": noise.offset, "delta": noise.delta},
        "offsets": dict(zip(problem.points.names, solution.offset[best].tolist(), strict=True)) if noise.offset else {},
        "delta": state.deltas(),
        "resamples": counts,
    }
    keep = draws[:_DRAWS]
    return Fit(
        **finite(
            {
                "law": law.name,
                "convention": problem.points.convention,
                "noise": noise.name,
                "params": values,
                "objective": objective * noise.sigma**2,
                "objective_plain": float(np.sum(noises.huber(state.residual))),
                "intervals": intervals,
                "level": LEVEL,
                "resampling": kind,
                "status": decide(found),
                "findings": [finding.to_json() for finding in found],
                "starts": len(agree),
                "starts_agreeing": float(np.mean(agree)),
                "warnings": [
                    *runs.warnings,
                    *map(str, found),
                    *_lost(counts),
                    *diagnose.prior_in_words(law, prior, problem.points.scale()),
                ],
                "curves": curves,
                "held_out": held_out,
                "diagnostics": diagnostics,
                "scatter": {
                    "sigma": state.sigma,
                    "offset": state.offset,
                    "size": problem.points.size,
                    "quantiles": np.quantile(state.scatter(), _QUANTILES).tolist(),
                },
                "draws": {name: [float(f"{x:.12g}") for x in keep[:, i]] for i, name in enumerate(law.names)},
                "ranges": _ranges(law, problem.points)
                | (_schedules(problem.points, runs) if law.kind == "curve" else {}),
                "data": {
                    "source": runs.source,
                    "digest": runs.digest,
                    "used": runs.used.sentence() if runs.used else "",
                    "assumed": dict(runs.doubts),
                    "setting": shared_config(runs, ALL) if law.kind == "curve" else {},
                    "runs": len(problem.points.names),
                    "points": len(problem.points.loss),
                    "train": None if train is None else list(train),
                },
                "versions": {
                    "jaxlaws": __version__,
                    "jax": jax.__version__,
                    "numpy": np.__version__,
                    "python": platform.python_version(),
                },
            }
        )
    )


def _known(train: Sequence[str], everything: Points) -> Sequence[str]:
    for name in train:
        if name not in everything.names:
            raise unknown("run in --train", name, everything.names)
    if len(set(train)) < len(train):
        raise BadInput("--train names a run twice, expected each once.")
    if not train:
        raise BadInput("--train names no run, expected at least one.")
    return train


def _enough(law: Law, chosen: Points, runs: Runs) -> None:
    distinct = len(chosen.loss) if law.kind == "curve" else int(chosen.cell.max()) + 1
    if why := design_checks.too_few(law, len(chosen.names), distinct):
        raise BadInput(f"{runs.source} gives {why}.")


def _ranges(law: Law, chosen: Points) -> dict[str, list[float]]:
    return {name: [float(value.min()), float(value.max())] for name, value in axes(law, chosen.inputs).items()}


def _schedules(chosen: Points, runs: Runs) -> dict[str, list[float]]:
    """What the schedules of the curves went through, after the warm-up and up to the last loss.

    `steps`, of every curve; `lowest_share`, the lowest LR over the peak; `steepest_drop`, of one step, over the peak.
    """
    seen: dict[str, list[float]] = {"steps": [], "lowest_share": [], "steepest_drop": []}
    for name in chosen.names:
        curve = runs.curves[name]
        lr = curve.lr[max(curve.warmup_steps - 1, 0) : curve.at[-1] + 1]
        peak = float(curve.lr.max())
        seen["steps"].append(float(curve.at[-1] + 1))
        seen["lowest_share"].append(float(lr.min()) / peak)
        seen["steepest_drop"].append(max(float(-np.diff(lr).min(initial=0.0)), 0.0) / peak)
    return {key: [min(values), max(values)] for key, values in seen.items() if values}


def _lost(counts: dict[str, Any]) -> list[str]:
    lost = counts.get("rank_deficient", 0) + counts.get("not_converged", 0)
    if lost <= 0.05 * counts.get("resamples", 0):
        return []
    return [f"{lost} of {counts['resamples']} resamples could not be fitted: intervals are too narrow."]
