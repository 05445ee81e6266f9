"""Stage two: power laws through the optima of the cells, their nested forms, and their resamples."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxlaws.errors import BadInput

#: Forms of one axis: which of (1, ln N, ln D) it is a power law of, the smallest first.
FORMS = {"constant": (0,), "N": (0, 1), "D": (0, 2), "N, D": (0, 1, 2)}
#: Clusters from which a bootstrap by cell is trusted.
CLUSTERS = 8
#: A direction of (ln N, ln D) whose spread is below this is not identified.
_SPREAD = 0.1
#: Prior sd of an exponent that the cells cannot identify: published ones of N and D lie between −.8 and .7.
_OPEN = 0.5
#: A form is an alternative to the chosen one where its left-out regret is at most this many times as large.
_RIVAL = 1.5
#: Variance in logs of an optimum that is not known at all.
_UNKNOWN = 100.0
#: Draws from which the covariance of the shared part is taken where no resamples are asked for.
_SHARED = 400


class Power(NamedTuple):
    """Two power laws and what is known of them.

    Attributes:
      coefficients: [2, 3], rows ln η and ln B over (1, ln N, ln D); 0 where a form leaves a column out.
      forms: names from `FORMS`, of η and of B.
      covariance: [2, 3, 3] of the coefficients, `shared` included; an interval takes Student's t on top.
      draws: [draws, 2, 3] resampled coefficients, `shared` included.
      shared: [draws, 2, 3] the part of them that no resample of cells shows: effects that the cells of one N share, the
        resolution of the grids, and exponents that the cells cannot identify.
      rivals: per axis the [3] coefficients of the other forms that predict left-out cells about as well.
      scatter: [2] sd of a cell's optimum about the law, in logs.
      dof: [2] degrees of freedom of `scatter`.
      left_out: [cells, 2] the optimum predicted for each cell by the law of the other cells.
      regrets: "η form | B form" → mean excess loss of `left_out`.
      resampling: `cells` or `parametric`.
      deficient: resamples that could not identify the law and were drawn again.
    """

    coefficients: np.ndarray
    forms: tuple[str, str]
    covariance: np.ndarray
    draws: np.ndarray
    shared: np.ndarray
    rivals: tuple[list[np.ndarray], list[np.ndarray]]
    scatter: np.ndarray
    dof: np.ndarray
    left_out: np.ndarray
    regrets: dict[str, float]
    resampling: str
    deficient: int


def power_laws(
    z: np.ndarray,
    optimum: np.ndarray,
    covariance: np.ndarray,
    hessian: np.ndarray,
    resamples: int,
    seed: int,
    forms: tuple[str, str] | None = None,
    resolution: Sequence[float] = (0.0, 0.0),
) -> Power:
    """Weighted least squares of the optima on (1, ln N, ln D), in the form with the least left-out regret.

        ln η*_c = a_0 + a_N ln N_c + a_D ln D_c + e_c,   Var e_c = τ² + s_c²

    with s_c the optimum's own standard error and τ the scatter between cells (moment estimate): cells weigh nearly
    equally unless one of them is measured badly. The regret of a left-out prediction is ½ dᵀH_c d.

    Args:
      z: [cells, 3] rows (1, ln N, ln D).
      optimum, covariance, hessian: of `local_optima`.
      resamples: bootstrap draws: by cell from `CLUSTERS` cells up, parametric (Student t) below.
      seed: of the resamples.
      forms: fixed forms instead of the chosen ones.
      resolution: [2] sd in logs to which the grids of a cell can place an optimum at best.
    """
    names = identified(z)
    variance = np.minimum(covariance[:, [0, 1], [0, 1]], _UNKNOWN)
    fits = {(k, name): _axis(z[:, FORMS[name]], optimum[:, k], variance[:, k]) for k in (0, 1) for name in names}
    regrets = {}
    for pair in itertools.product(names, names):
        gap = np.stack([fits[k, name].left_out - optimum[:, k] for k, name in enumerate(pair)], 1)
        regrets[pair] = float(np.mean(np.einsum("ci,cij,cj->c", gap, hessian, gap) / 2))
    if forms is None:
        chosen = min(regrets, key=lambda pair: regrets[pair])
    elif set(forms) <= set(names):
        chosen = forms
    else:
        raise BadInput(
            f"the {len(z)} cells cannot identify the forms {forms}, they identify {', '.join(names)}: add cells."
        )
    parts = [fits[k, name] for k, name in enumerate(chosen)]
    coefficients = np.zeros((2, 3))
    for k, name in enumerate(chosen):
        coefficients[k, FORMS[name]] = parts[k].value
    rng = np.random.default_rng(seed)
    by_cell, draws, deficient = len(z) >= CLUSTERS, np.zeros((0, 2, 3)), 0
    if resamples:
        draws, deficient = (
            _by_cell(z, optimum, parts, chosen, resamples, rng)
            if by_cell
            else (_parametric(coefficients, parts, chosen, resamples, rng), 0)
        )
    count = max(resamples, _SHARED)
    shared = _by_size(z, parts, chosen, resolution, count, rng) + _open(z, names, chosen, count, rng)
    covariance = np.zeros((2, 3, 3))
    for k, name in enumerate(chosen):
        drawn = np.cov(draws[:, k].T) if by_cell and resamples > 1 else _normal(parts[k], name)
        covariance[k] = drawn + np.cov(shared[:, k].T)
    shared = shared[:resamples]
    return Power(
        coefficients,
        chosen,
        covariance,
        draws + shared,
        shared,
        (_rivals(0, names, chosen, fits, regrets), _rivals(1, names, chosen, fits, regrets)),
        np.array([part.scatter for part in parts]),
        np.array([part.dof for part in parts]),
        np.stack([part.left_out for part in parts], 1),
        {f"{a} | {b}": value for (a, b), value in sorted(regrets.items(), key=lambda item: item[1])},
        "cells" if by_cell else "parametric",
        deficient,
    )


class _Axis(NamedTuple):
    value: np.ndarray
    covariance: np.ndarray
    weight: np.ndarray
    left_out: np.ndarray
    residual: np.ndarray
    scatter: float
    dof: int


def _axis(design: np.ndarray, target: np.ndarray, variance: np.ndarray) -> _Axis:
    """One weighted regression with a moment estimate of the scatter between cells (DerSimonian–Laird, iterated)."""
    cells, size = design.shape
    dof = cells - size
    between = 0.0
    for _ in range(50):
        weight = 1 / (between + variance + 1e-12)
        normal = np.linalg.inv((design.T * weight) @ design)
        value = normal @ (design.T * weight) @ target
        residual = target - design @ value
        leverage = weight * np.einsum("ci,ij,cj->c", design, normal, design)
        update = max(0.0, between + ((weight * residual**2).sum() - dof) / (weight * (1 - leverage)).sum())
        if abs(update - between) < 1e-10:
            break
        between = update
    left_out = target - residual / np.maximum(1 - leverage, 1e-6)
    return _Axis(value, normal, weight, left_out, residual, float(np.sqrt((residual**2).sum() / dof)), dof)


def identified(z: np.ndarray) -> list[str]:
    """The forms of `FORMS` that cells at these (1, ln N, ln D) identify, one cell to spare, whichever is left out."""

    def spread(columns: tuple[int, ...]) -> float:
        parts = (np.delete(z[:, columns[1:]], i, 0) for i in range(len(z)))
        return min(np.linalg.svd(part - part.mean(0), compute_uv=False)[-1] for part in parts)

    enough = [name for name, columns in FORMS.items() if len(z) > len(columns)]
    return [name for name in enough if name == "constant" or spread(FORMS[name]) > _SPREAD]


def _by_cell(
    z: np.ndarray, optimum: np.ndarray, parts: list[_Axis], forms: tuple[str, str], count: int, rng: np.random.Generator
) -> tuple[np.ndarray, int]:
    """Cells drawn with replacement; a draw whose cells do not span the form is drawn again and counted."""
    times = np.zeros((0, len(z)))
    deficient = 0
    while len(times) < count:
        drawn = rng.multinomial(len(z), np.full(len(z), 1 / len(z)), size=count)
        good = np.ones(count, bool)
        for form in set(forms):
            design = z[:, FORMS[form]] - np.r_[0.0, z[:, FORMS[form][1:]].mean(0)]
            smallest = np.linalg.eigvalsh(np.einsum("bc,ci,cj->bij", drawn, design, design))[:, 0]
            good &= smallest > _SPREAD**2
        deficient += int((~good).sum())
        times = np.concatenate([times, drawn[good]])
    times = times[:count]
    draws = np.zeros((count, 2, 3))
    for k, form in enumerate(forms):
        design = z[:, FORMS[form]]
        centre = np.r_[0.0, design[:, 1:].mean(0)]
        weighted = times * parts[k].weight
        normal = np.einsum("bc,ci,cj->bij", weighted, design - centre, design - centre)
        moment = np.einsum("bc,ci,c->bi", weighted, design - centre, optimum[:, k])
        value = np.linalg.solve(normal, moment[..., None])[..., 0]
        value[:, 0] -= value @ centre
        draws[:, k, FORMS[form]] = value
    return draws, deficient


def _rivals(
    axis: int,
    names: list[str],
    chosen: tuple[str, str],
    fits: dict[tuple[int, str], _Axis],
    regrets: dict[tuple[str, str], float],
) -> list[np.ndarray]:
    """[3] coefficients of the axis's other forms whose left-out regret, the other axis as chosen, is nearly as low."""
    found = []
    for name in names:
        pair = (name, chosen[1]) if axis == 0 else (chosen[0], name)
        if name != chosen[axis] and regrets[pair] <= _RIVAL * regrets[chosen]:
            found.append(np.zeros(3))
            found[-1][list(FORMS[name])] = fits[axis, name].value
    return found


def _open(z: np.ndarray, names: list[str], forms: tuple[str, str], count: int, rng: np.random.Generator) -> np.ndarray:
    """[count, 2, 3] exponents that the cells cannot identify beside the chosen form's, drawn from their prior.

    The exponent of ln N or ln D multiplies what the chosen form's columns leave of it: on one ray D = kN that is zero
    on the ray and grows off it.
    """
    moved = np.zeros((count, 2, 3))
    for k, form in enumerate(forms):
        used = list(FORMS[form])
        for column in {1, 2} - set(used):
            if any(set(FORMS[name]) >= {*used, column} for name in names):
                continue
            explained = np.linalg.lstsq(z[:, used], z[:, column], rcond=None)[0]
            slope = _OPEN * rng.standard_normal(count)
            moved[:, k, column] += slope
            moved[:, k, used] -= slope[:, None] * explained
    return moved


def _by_size(
    z: np.ndarray,
    parts: list[_Axis],
    forms: tuple[str, str],
    resolution: Sequence[float],
    count: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """[count, 2, 3] what effects shared by all cells of one N, and the grids' resolution, move the coefficients by.

    Cells of one size are one model shape: their residuals agree more than cells drawn one by one can show. The variance
    between sizes is a moment estimate.
    """
    sizes, group = np.unique(np.round(z[:, 1], 6), return_inverse=True)
    moved = np.zeros((count, 2, 3))
    for k, form in enumerate(forms):
        columns = list(FORMS[form])
        variance = _between(parts[k].residual, group, 1 + (1 in columns), int(2 in columns))
        effect = np.sqrt(variance) * rng.standard_normal((count, len(sizes)))[:, group]
        effect += resolution[k] * rng.standard_normal((count, len(z)))
        design = z[:, columns]
        moved[:, k, columns] = effect @ (design * parts[k].weight[:, None]) @ parts[k].covariance
    return moved


def _between(residual: np.ndarray, group: np.ndarray, used_between: int, used_within: int) -> float:
    """Variance of an effect shared by a group, from residuals of a fit that used up these degrees of freedom."""
    counts = np.bincount(group)
    means = np.bincount(group, residual) / counts
    between, within = len(counts) - used_between, len(residual) - len(counts) - used_within
    if between < 1 or within < 1:
        return 0.0
    square_between = (counts * means**2).sum() / between
    square_within = ((residual - means[group]) ** 2).sum() / within
    typical = (len(residual) - (counts**2).sum() / len(residual)) / (len(counts) - 1)
    return max(0.0, float((square_between - square_within) / typical))


def _normal(part: _Axis, form: str) -> np.ndarray:
    """[3, 3] covariance of the regression, scaled by the scatter that was seen."""
    columns = list(FORMS[form])
    answer = np.zeros((3, 3))
    answer[np.ix_(columns, columns)] = part.covariance * max(1.0, part.scatter**2 * part.weight.mean())
    return answer


def _parametric(
    coefficients: np.ndarray, parts: list[_Axis], forms: tuple[str, str], count: int, rng: np.random.Generator
) -> np.ndarray:
    """Student-t draws from the covariance of the regression."""
    draws = np.repeat(coefficients[None], count, 0)
    for k, form in enumerate(forms):
        columns = list(FORMS[form])
        covariance = _normal(parts[k], form)[np.ix_(columns, columns)]
        normal = rng.standard_normal((count, len(columns)))
        wide = np.sqrt(parts[k].dof / rng.chisquare(parts[k].dof, count))
        root = np.linalg.cholesky(covariance + 1e-15 * np.eye(len(columns)))
        draws[:, k, columns] += wide[:, None] * (normal @ root.T)
    return draws
