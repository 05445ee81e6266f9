"""Compute-optimal N(C) without a law of N and D: the envelope of losses and parabolas through isoFLOP profiles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from jaxlaws.errors import BadInput, Untrusted
from jaxlaws.fitting import frontier_checks
from jaxlaws.records.table import Runs
from jaxlaws.status import Finding, decide

#: Ratio of neighbouring 6ND that begins a new profile where the budgets are not stated.
PROFILE_GAP = 1.3
#: Largest ratio of 6ND within one profile.
PROFILE_SPAN = 1.5
#: Largest distance of a minimum from the middle of its profile without a warning, as a share of the half-width.
OFF_CENTRE = 0.5
#: Bias of N* on noiseless points from which approach 2 is reported as biased.
BIAS = 0.02


@dataclass(frozen=True)
class Profile:
    """Runs of one compute budget: `flops` C, and [points] `params` N, `tokens` D, `loss` L."""

    flops: float
    params: np.ndarray
    tokens: np.ndarray
    loss: np.ndarray


@dataclass(frozen=True)
class Frontier:
    """N*(C) = coefficient · C^exponent, and D* = C/(6 N*).

    Attributes:
      approach: 1 envelope, 2 parabolas (numbers of Hoffmann et al. 2022).
      exponent: of C in N*.
      log_coefficient: ln of the factor.
      flops: [profiles] budgets that it was fitted to.
      best_params: [profiles] N* of each.
      draws: [resamples, 2] bootstrap (log_coefficient, exponent), points resampled within profiles.
      warnings: what makes it less than it seems.
      findings: what the checks found, as `jaxlaws.status.Finding.to_json` gives it.
    """

    approach: int
    exponent: float
    log_coefficient: float
    flops: np.ndarray
    best_params: np.ndarray
    draws: np.ndarray = field(default_factory=lambda: np.empty((0, 2)))
    warnings: tuple[str, ...] = ()
    findings: tuple[dict[str, str], ...] = ()

    @property
    def status(self) -> str:
        """The gravest status of the findings."""
        return decide([Finding(**item) for item in self.findings])

    def params(self, flops: float) -> float:
        """N* at a budget."""
        return float(np.exp(self.log_coefficient + self.exponent * np.log(flops)))

    def params_draws(self, flops: float) -> np.ndarray:
        """[resamples] N* at a budget."""
        return np.exp(self.draws @ np.array([1.0, np.log(flops)]))


def profiles(runs: Runs, column: str | None = None) -> list[Profile]:
    """The isoFLOP profiles of a table: by `flops_budget` where stated, else by gaps in 6ND.

    Raises:
      BadInput: no N, D or loss; 6ND forms no groups; fewer than two budgets with three model sizes.
    """
    table = runs.finished().need("tokens")
    params = table[params_of(runs, column)].to_numpy(float)
    tokens, loss = table["tokens"].to_numpy(float), table[runs.loss_column].to_numpy(float)
    if "flops_budget" in table:
        budget = table["flops_budget"].to_numpy(float)
        groups = [np.flatnonzero(budget == value) for value in np.unique(budget)]
    else:
        flops = 6 * params * tokens
        order = np.argsort(flops)
        groups = np.split(order, np.flatnonzero(np.diff(np.log(flops[order])) > np.log(PROFILE_GAP)) + 1)
        budget = np.empty(len(flops))
        for group in groups:
            span = flops[group].max() / flops[group].min()
            if span > PROFILE_SPAN:
                raise BadInput(
                    f"{runs.source} has no isoFLOP profiles: 6ND runs without a gap over a factor of {span:.3g}: "
                    "give the column flops_budget, or use approach 3 (jaxlaws fit chinchilla)."
                )
            budget[group] = np.exp(np.mean(np.log(flops[group])))
    isoflops = [
        Profile(float(budget[g[0]]), params[g], tokens[g], loss[g]) for g in groups if len(np.unique(params[g])) >= 3
    ]
    if len(isoflops) < 2:
        raise BadInput(
            f"{runs.source} has {len(isoflops)} compute budgets with three or more model sizes, expected at least two."
        )
    return isoflops


def params_of(runs: Runs, column: str | None = None) -> str:
    """The column of N: `column` if given, else `params_nonembedding` if the table has it, else `params_total`."""
    if column is None:
        column = "params_total" if "params_nonembedding" not in runs.table else "params_nonembedding"
    if column not in ("params_nonembedding", "params_total"):
        raise BadInput(f"the params column is '{column}', expected params_nonembedding or params_total.")
    runs.need(column)
    return column


def envelope(runs: Runs, column: str | None = None) -> Frontier:
    """Approach 1: the model of the lowest loss at every budget, then a power law through them.

    With curves, L of every run against C = 6·N·(step+1)·batch_tokens is interpolated on a grid of budgets, and those
    count whose best model lies between a smaller and a larger one that reach them; without curves, the lowest point of
    each profile is taken. Hoffmann et al. 2022, section 3.1.

    Raises:
      BadInput: fewer than three model sizes, or no budget whose best model lies between two others.
    """
    warnings = ["approach 1 picks from the model sizes that were trained: its N* is no finer than their grid"]
    if runs.curves:
        flops, best, loss = _curve_envelope(runs, params_of(runs, column))
        findings: list[Finding] = []
        warnings.append(
            "losses along a curve are above those of a schedule that ends there: approach 1 favours large models"
        )
    else:
        groups = profiles(runs, column)
        flops = np.array([profile.flops for profile in groups])
        best = np.array([profile.params[profile.loss.argmin()] for profile in groups])
        loss = np.array([profile.loss.min() for profile in groups])
        findings = frontier_checks.of_profiles(groups)
    log_coefficient, exponent = _power_law(flops, best)
    findings += frontier_checks.of_frontier(flops, best, loss, exponent)
    items = tuple(finding.to_json() for finding in findings)
    return Frontier(1, exponent, log_coefficient, flops, best, warnings=tuple(warnings), findings=items)


def parabolas(
    runs: Runs,
    resamples: int = 1000,
    seed: int = 0,
    law: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    column: str | None = None,
) -> Frontier:
    """Approach 2: L = a(ln N)² + b ln N + c in each profile, N* = exp(−b/2a), then a power law through the N*.

    A parabola is symmetric and the profile of E + A/N^α + B/D^β is not unless α = β, so N* moves with the width and the
    centre of the grid. With `law`, the procedure is run on the law's own losses at the same points and what it gets
    wrong there, without any noise, is reported. Hoffmann et al. 2022, section 3.2.

    Args:
      runs: a table with profiles.
      resamples: bootstrap resamples of the points within each profile.
      seed: of the bootstrap.
      law: (N, D) → L, such as a fitted Chinchilla law, to measure the bias with.
      column: what N is, `params_nonembedding` or `params_total`.

    Raises:
      BadInput: no profiles.
      Untrusted: fewer than two of them are convex.
    """
    groups = profiles(runs, column)
    vertex = np.array([_vertex(np.log(p.params), p.loss) for p in groups])
    convex = np.isfinite(vertex)
    if convex.sum() < 2:
        raise Untrusted(
            f"{runs.source} has {convex.sum()} profiles with a minimum of the loss, expected at least two: check the "
            "losses, or widen the grid of N."
        )
    warnings = ["approach 2 is biased unless alpha = beta: compare it with approach 3 (jaxlaws fit chinchilla)"]
    if not convex.all():
        warnings.append(f"{(~convex).sum()} of {len(groups)} profiles have no minimum and were left out")
    usable = [profile for profile, ok in zip(groups, convex, strict=True) if ok]
    flops, best = np.array([p.flops for p in usable]), np.exp(vertex[convex])
    off = [_off_centre(np.log(p.params), np.log(n)) for p, n in zip(usable, best, strict=True)]
    if np.max(np.abs(off)) > OFF_CENTRE:
        count = int(np.sum(np.abs(off) > OFF_CENTRE))
        warnings.append(
            f"{count} of {len(usable)} profiles have their minimum far from the middle of their grid: N* is biased "
            "there"
        )
    log_coefficient, exponent = _power_law(flops, best)
    warnings += ["the bias of approach 2 was not measured: the runs give no law"] if law is None else _bias(usable, law)
    draws = _bootstrap(usable, resamples, np.random.default_rng(seed))
    loss = np.array([profile.loss.min() for profile in usable])
    findings = frontier_checks.of_profiles(groups) + frontier_checks.of_frontier(flops, best, loss, exponent)
    items = tuple(finding.to_json() for finding in findings)
    return Frontier(2, exponent, log_coefficient, flops, best, draws, tuple(warnings), items)


def _bias(groups: list[Profile], law: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> list[str]:
    """What approach 2 gets wrong on the noiseless losses of a law, at the largest budget."""
    flops = np.array([p.flops for p in groups])
    vertices = np.array([_vertex(np.log(p.params), law(p.params, p.flops / (6 * p.params))) for p in groups])
    true = np.array([_minimum(law, p) for p in groups])
    ok = np.isfinite(vertices)
    if ok.sum() < 2:
        return ["on noiseless losses of the fitted law the profiles have no minimum: do not use approach 2 here"]
    (c2, p2), (c3, p3) = _power_law(flops[ok], np.exp(vertices[ok])), _power_law(flops, np.exp(true))
    factor = np.exp(c2 - c3 + (p2 - p3) * np.log(flops.max()))
    if abs(np.log(factor)) < BIAS and abs(p2 - p3) < BIAS / 4:
        return []
    return [
        f"on noiseless losses of the fitted law approach 2 gives N* {factor:.3g} times the true one at "
        f"{flops.max():.3g} FLOP and the exponent {p2:.3f} instead of {p3:.3f}"
    ]


def _minimum(law: Callable[[np.ndarray, np.ndarray], np.ndarray], profile: Profile) -> float:
    """ln N of the lowest loss on a fine grid, a factor of 30 beyond the profile's models on both sides."""
    grid = np.linspace(np.log(profile.params.min() / 30), np.log(profile.params.max() * 30), 20001)
    loss = np.asarray(law(np.exp(grid), profile.flops / (6 * np.exp(grid))))
    return float(grid[loss.argmin()])


def _vertex(x: np.ndarray, y: np.ndarray) -> float:
    """Where the least-squares parabola through (x, y) is lowest; NaN where it opens downwards."""
    centre = x.mean()
    a, b, _ = np.polyfit(x - centre, y, 2)
    return float(centre - b / (2 * a)) if a > 0 else float("nan")


def _off_centre(x: np.ndarray, at: float) -> float:
    """Distance of `at` from the middle of x over the half-width."""
    return float((at - (x.min() + x.max()) / 2) / ((x.max() - x.min()) / 2))


def _power_law(flops: np.ndarray, params: np.ndarray) -> tuple[float, float]:
    """ln coefficient and exponent of the least-squares line of ln N on ln C."""
    exponent, log_coefficient = np.polyfit(np.log(flops), np.log(params), 1)
    return float(log_coefficient), float(exponent)


def _bootstrap(groups: list[Profile], resamples: int, rng: np.random.Generator) -> np.ndarray:
    """[resamples, 2] coefficients of N*(C) with the points of every profile drawn with replacement.

    Weighted normal equations of all resamples of a profile at once; a resample whose parabola opens downwards in a
    profile leaves that profile out, and one with fewer than two profiles is not counted.
    """
    x = np.log([p.flops for p in groups])
    vertices = np.full((resamples, len(groups)), np.nan)
    for i, profile in enumerate(groups):
        log_n = np.log(profile.params)
        centre = log_n.mean()
        weights = rng.multinomial(len(log_n), np.full(len(log_n), 1 / len(log_n)), size=resamples).astype(float)
        basis = np.stack([(log_n - centre) ** 2, log_n - centre, np.ones_like(log_n)], axis=1)
        gram = np.einsum("rp,pi,pj->rij", weights, basis, basis)
        right = np.einsum("rp,pi,p->ri", weights, basis, profile.loss)
        solvable = np.linalg.cond(gram) < 1e12
        a, b, _ = np.linalg.solve(gram[solvable], right[solvable][..., None])[..., 0].T
        vertices[solvable, i] = np.where(a > 0, centre - b / np.where(a > 0, 2 * a, 1), np.nan)
    good = np.isfinite(vertices)
    draws = [np.polyfit(x[row], line[row], 1)[::-1] for line, row in zip(vertices, good, strict=True) if row.sum() >= 2]
    return np.array(draws).reshape(-1, 2)


def _curve_envelope(runs: Runs, column: str, budgets: int = 200) -> tuple[np.ndarray, ...]:
    """Budgets, the N of the lowest loss at each, and that loss, over the curves of runs with N and batch."""
    table = runs.finished().need("batch_tokens")
    lines = []
    for name in table.index:
        if name in runs.curves:
            curve, n = runs.curves[name], float(table.loc[name, column])
            lines.append((n, np.log(6 * n * (curve.at + 1) * float(table.loc[name, "batch_tokens"])), curve.loss))
    if len({n for n, _, _ in lines}) < 3:
        raise BadInput(
            f"{runs.source} has curves of {len({n for n, _, _ in lines})} model sizes, expected at least three."
        )
    grid = np.linspace(min(c[0] for _, c, _ in lines), max(c[-1] for _, c, _ in lines), budgets)
    loss = np.array([np.interp(grid, c, y, left=np.inf, right=np.inf) for _, c, y in lines])
    sizes = np.array([n for n, _, _ in lines])[:, None]
    in_range = np.isfinite(loss)
    best = sizes[loss.argmin(axis=0), 0]
    inside = (np.where(in_range, sizes, np.inf).min(axis=0) < best) & (best < np.where(in_range, sizes, 0).max(axis=0))
    if inside.sum() < 2:
        raise BadInput(
            f"{runs.source} has no compute budget whose best model lies between a smaller and a larger one: train "
            "other model sizes, or longer."
        )
    return np.exp(grid[inside]), best[inside], loss.min(axis=0)[inside]
