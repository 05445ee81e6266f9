"""Fitting a law: global starts, resamples, held-out errors and diagnostics, gathered in one `Fit`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxlaws.errors import BadInput, unknown
from jaxlaws.fits import check_count, provenance, versions
from jaxlaws.fitting import design_checks, diagnose, resample, score
from jaxlaws.fitting import noise as noises
from jaxlaws.fitting.axes import axes, ranges_of
from jaxlaws.fitting.bootstrap import Bootstrap, refit
from jaxlaws.fitting.columns import cells, columns_of, parts_of, with_metric
from jaxlaws.fitting.forward import form_error
from jaxlaws.fitting.identification import Identification, identification, under_other_deltas
from jaxlaws.fitting.left_out import held_out
from jaxlaws.fitting.points import Points, points
from jaxlaws.fitting.problem import Problem, Progress
from jaxlaws.fitting.result import LossFit
from jaxlaws.fitting.scatter import Scatter, noise_scale, scatter
from jaxlaws.fitting.solve import Solution, best_of
from jaxlaws.fitting.verdict import Evidence, Search, findings
from jaxlaws.laws.check import computed
from jaxlaws.laws.law import Law
from jaxlaws.laws.table import get
from jaxlaws.records.files import finite
from jaxlaws.records.repeats import CLUSTER
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
) -> LossFit:
    """Fit a loss law to runs.

    Args:
      law: name from `jaxlaws.laws.table.LAWS`.
      runs: a table (point laws read `runs.loss_column`) or curves (curve laws).
      train: run ids to fit; the others are held out and scored. Without it the fit is to all runs.
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
    runs = comparable(with_metric(the_law, runs), law, columns_of(the_law), the_law.kind == "curve")
    if the_law.kind == "point" and train is not None:
        runs, train = _of_clusters(runs, train)
    everything = points(the_law, runs, params_column, warmup_ld)
    training = everything if train is None else everything.of(_check_train(train, everything))
    the_noise = noises.get(noise, the_law)
    _enough(the_law, training, runs, the_noise)
    count = STARTS[the_law.kind] if starts is None else starts
    resamples = BOOTSTRAP[the_law.kind] if bootstrap is None else bootstrap
    check_count("starts", count, 1)
    check_count("bootstrap", resamples, 0)
    width = min(count, STARTS[the_law.kind])
    problem = Problem(the_law, the_noise, training, width, fixed or {}, progress)
    computed(the_law, problem.inputs, training.scale(), len(training.loss))
    problem, solution = _solve(problem, count, seed)
    if not np.isfinite(solution.objective).any():
        raise BadInput(f"the law {law} has no finite objective on {runs.source} from any of {count} starts.")
    return _result(problem, solution, everything, train, runs, resamples, seed + 1)


def _solve(problem: Problem, count: int, seed: int) -> tuple[Problem, Solution]:
    """The solutions from `count` starts, where the noise adapts under the scale of the residuals of a plain fit."""
    if problem.noise.adaptive:
        scale = noise_scale(problem, problem.from_starts(count, seed, plain=True))
        problem = replace(problem, noise=problem.noise.at_scale(scale))
    return problem, problem.from_starts(count, seed)


def _result(
    problem: Problem,
    solution: Solution,
    everything: Points,
    train: Sequence[str] | None,
    runs: Runs,
    resamples: int,
    seed: int,
) -> LossFit:
    """The fit: the constants at the best of the solutions, and what the data say about them."""
    law, best = problem.law, best_of(solution)
    spread = scatter(problem, best.theta)
    refits = refit(problem, best.theta, spread, resamples, seed)
    search = _search(solution, best)
    constants = identification(problem, best, spread, refits)
    errors = held_out(problem, best.theta, everything, train)
    form = form_error(problem, best.theta, spread) if resamples else None
    items = findings(Evidence(law, problem.points, search, spread, constants, errors))
    prior = diagnose.prior_in_words(law, constants.prior, problem.points.scale())
    fields = {
        **_constants(problem, best, refits, constants),
        "objective_plain": float(np.sum(noises.huber(spread.residual))),
        "status": decide(items),
        "findings": [item.to_json() for item in items],
        "starts": search.starts,
        "starts_agreeing": search.agreeing / search.starts,
        "warnings": [*runs.warnings, *map(str, items), *refits.warnings(), *prior],
        "curves": _curves(problem, best, everything, train),
        "held_out": errors,
        "diagnostics": _diagnostics(problem, solution, search, spread, constants) | {"resamples": refits.counts},
        "scatter": _scatter(spread),
        "form_error": {} if form is None else form._asdict(),
        "ranges": ranges_of(axes(law, problem.points.inputs))
        | (_schedules(problem.points, runs) if law.kind == "curve" else {}),
        "data": _data(problem, runs, train),
        "versions": versions(jax, np),
    }
    return LossFit(law=law.name, convention=problem.points.convention, noise=problem.noise.name, **finite(fields))


def _search(solution: Solution, best: Solution) -> Search:
    """How the search ended: starts agree within 1e-6 of the best objective."""
    objective = float(best.objective)
    agreeing = int(np.sum(solution.objective <= objective * (1 + 1e-6) + 1e-9))
    return Search(len(solution.objective), agreeing, float(best.gain), objective < 1e-6)


def _constants(problem: Problem, best: Solution, refits: Bootstrap, constants: Identification) -> dict[str, Any]:
    """The constants with their intervals and resamples; one that no loss shows, or that is fixed, has no interval."""
    names = problem.law.names
    params = dict(zip(names, problem.constants(best.theta).tolist(), strict=True))
    columns = dict(zip(names, refits.constants.T, strict=True))
    enough = len(refits.constants) >= resample.FEW
    no_interval = {*constants.untouched, *problem.fixed}
    return {
        "params": params,
        "objective": float(best.objective) * problem.noise.sigma**2,
        "intervals": {
            name: resample.interval(params[name], columns[name], LEVEL)
            for name in names
            if enough and name not in no_interval
        },
        "level": LEVEL,
        "resampling": refits.resampling,
        "draws": {name: [float(f"{x:.12g}") for x in columns[name][:_DRAWS]] for name in names},
    }


def _curves(
    problem: Problem, best: Solution, everything: Points, train: Sequence[str] | None
) -> dict[str, dict[str, Any]]:
    """Errors of every curve; none of single points."""
    if problem.law.kind != "curve":
        return {}
    return score.by_curve(everything, problem.predict(best.theta, everything), train)


def _diagnostics(
    problem: Problem, solution: Solution, search: Search, spread: Scatter, constants: Identification
) -> dict[str, Any]:
    """What an expert may want to know of a fit: the end of the search, how sharp the constants are, the noise."""
    noise, best, curvature = problem.noise, best_of(solution), constants.curvature
    offsets = dict(zip(problem.points.names, best.offset.tolist(), strict=True)) if noise.offset else {}
    return {
        "gradient_norm": float(np.max(np.abs(best.gradient))) / max(float(best.objective), 1e-12),
        "gain_of_another_step": search.gain,
        "steps": int(best.steps),
        "condition_number": curvature.condition,
        "sd_of_ln": dict(zip(constants.names, curvature.sd.tolist(), strict=True)),
        "bounds_hit": constants.bounds,
        "fixed": dict(problem.fixed),
        "untouched": constants.untouched,
        "prior": {name: {"sd_away": away, "variance_left": left} for name, (away, left) in constants.prior.items()},
        "unidentified": curvature.unidentified,
        "weak": curvature.weak,
        "loss_unit": spread.spacing,
        "next_basin": diagnose.next_basin(solution.objective),
        "residual_correlation": spread.correlation,
        "noise_scale": {"sigma": noise.sigma, "offset": noise.offset, "delta": noise.delta},
        "offsets": offsets,
        "delta": under_other_deltas(problem, best.theta),
    }


def _scatter(spread: Scatter) -> dict[str, Any]:
    """The scatter of a new run about the law."""
    quantiles = np.quantile(spread.of_a_point(), _QUANTILES).tolist()
    return {"sigma": spread.sigma, "offset": spread.offset, "size": spread.size, "quantiles": quantiles}


def _data(problem: Problem, runs: Runs, train: Sequence[str] | None) -> dict[str, Any]:
    """Where the losses are from and how many there are."""
    return {
        **provenance(runs),
        "setting": shared_config(runs, ALL) if problem.law.kind == "curve" else {},
        "runs": len(problem.points.names),
        "points": len(problem.points.loss),
        "train": None if train is None else list(train),
    }


def _of_clusters(runs: Runs, train: Sequence[str]) -> tuple[Runs, Sequence[str]]:
    """The runs and the training runs by cluster, of which one that is fitted in part counts as two."""
    if CLUSTER not in runs.table:
        return runs, train
    cluster, rows = runs.table[CLUSTER].astype(str), runs.table.index.astype(str)
    fitted = cluster.isin(train) | rows.isin(train)
    others = [name for name in train if name not in set(cluster) | set(rows)]
    names = cluster.where(fitted, cluster + " (left out)")
    table = runs.table.assign(**{CLUSTER: names})
    return replace(runs, table=table), [*dict.fromkeys(cluster[fitted]), *others]


def _check_train(train: Sequence[str], everything: Points) -> Sequence[str]:
    for name in train:
        if name not in everything.names:
            raise unknown("run in --train", name, everything.names)
    if len(set(train)) < len(train):
        raise BadInput("--train names a run twice, expected each once.")
    if not train:
        raise BadInput("--train names no run, expected at least one.")
    return train


def _enough(law: Law, training: Points, runs: Runs, noise: noises.Noise) -> None:
    distinct = len(training.loss) if law.kind == "curve" else int(cells(training.inputs).max()) + 1
    if why := design_checks.too_few(law, len(training.names), distinct, noise.draws_to_prior(law)):
        raise BadInput(f"{runs.source} gives {why}.")


def _schedules(training: Points, runs: Runs) -> dict[str, list[float]]:
    """What the schedules of the curves went through, after the warm-up and up to the last loss.

    `steps`, of every curve; `lowest_share`, the lowest LR over the peak; `steepest_drop`, of one step, over the peak.
    """
    spans: dict[str, list[float]] = {"steps": [], "lowest_share": [], "steepest_drop": []}
    for name in training.names:
        curve = runs.curves[name]
        lr = curve.lr[max(curve.warmup_steps - 1, 0) : curve.at[-1] + 1]
        peak = float(curve.lr.max())
        spans["steps"].append(float(curve.at[-1] + 1))
        spans["lowest_share"].append(float(lr.min()) / peak)
        spans["steepest_drop"].append(max(float(-np.diff(lr).min(initial=0.0)), 0.0) / peak)
    return {key: [min(values), max(values)] for key, values in spans.items() if values}
