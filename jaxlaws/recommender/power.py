"""Stage two: power laws through the optima of the cells, in every form that the cells admit, weighted by regret."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxlaws.errors import BadInput
from jaxlaws.recommender.exponents import Prior
from jaxlaws.recommender.resample import by_cell, by_size, normal, parametric, scatter_of

#: Forms of one axis: which of (1, ln N, ln D) it is a power law of, the smallest first.
FORMS = {"constant": (0,), "N": (0, 1), "D": (0, 2), "N, D": (0, 1, 2)}
#: Fewest clusters for a bootstrap by cell.
CLUSTERS = 8
#: Spread of the cells in a direction of (ln N, ln D) below which the direction is not identified.
_SPREAD = 0.1
#: Smallest weight of a form in the mixture.
_LEAST = 0.01
#: Variance in logs of an unknown optimum.
_UNKNOWN = 100.0
#: Draws that give the covariance of the shared part where there are no resamples.
_SHARED = 400
#: Smallest regret in a ratio: below it every form counts as exact.
_EXACT = 1e-12


class Component(NamedTuple):
    """One form of one axis in the mixture.

    Attributes:
      form: name from `FORMS`.
      weight: share of the mixture; those of an axis sum to 1.
      coefficients: [3] over (1, ln N, ln D).
    """

    form: str
    weight: float
    coefficients: np.ndarray


class Power(NamedTuple):
    """Two power laws with their uncertainty.

    Attributes:
      coefficients: [2, 3], rows ln η and ln B over (1, ln N, ln D): the mean of the mixture.
      forms: names from `FORMS`, of η and of B: the heaviest of the mixture.
      mixture: of η and of B, the heaviest first.
      covariance: [2, 3, 3] of the coefficients within a form, `shared` included; an interval takes Student's t on top.
      draws: [draws, 2, 3] resampled coefficients, each of one form of the mixture, `shared` included.
      shared: [draws, 2, 3] the part of them that no resample of cells shows: effects that the cells of one N share, and
        the resolution of the grids.
      scatter: [2] sd of a cell's optimum about the law, in logs.
      dof: [2] degrees of freedom of `scatter`.
      left_out: [cells, 2] the optimum predicted for each cell by the law of the other cells.
      other_sizes: [cells, 2] the same by the law of the cells of other sizes.
      regrets: "η form | B form" → mean excess loss of its own left-out predictions.
      resampling: `cells` or `parametric`.
      deficient: resamples that could not identify the law and were drawn again.
    """

    coefficients: np.ndarray
    forms: tuple[str, str]
    mixture: tuple[list[Component], list[Component]]
    covariance: np.ndarray
    draws: np.ndarray
    shared: np.ndarray
    scatter: np.ndarray
    dof: np.ndarray
    left_out: np.ndarray
    other_sizes: np.ndarray
    regrets: dict[str, float]
    resampling: str
    deficient: int


class Axis(NamedTuple):
    """One weighted regression, its columns a form's and those that only the prior can tell.

    Attributes:
      columns: of (1, ln N, ln D).
      value, covariance: of the coefficients of these columns.
      weight: [cells] of the regression.
      left_out: [cells] predictions by the others.
      other_sizes: [cells] predictions by the cells of other sizes.
      between: sd of an effect that the cells of one N share.
      scatter, dof: sd of a new cell about the law, and its degrees of freedom.
      mean, precision: of the prior of these columns.
    """

    columns: tuple[int, ...]
    value: np.ndarray
    covariance: np.ndarray
    weight: np.ndarray
    left_out: np.ndarray
    other_sizes: np.ndarray
    between: float
    scatter: float
    dof: float
    mean: np.ndarray
    precision: np.ndarray


def power_laws(
    z: np.ndarray,
    optimum: np.ndarray,
    covariance: np.ndarray,
    hessian: np.ndarray,
    resamples: int,
    seed: int,
    forms: tuple[str, str] | None = None,
    resolution: Sequence[float] = (0.0, 0.0),
    prior: Prior | None = None,
) -> Power:
    """Weighted least squares of the optima on (1, ln N, ln D), in a mixture of the forms that the cells identify.

        ln η*_c = a_0 + a_N ln N_c + a_D ln D_c + e_c,   Var e_c = τ² + s_c²,   (a_N, a_D) ~ prior

    with s_c the optimum's own standard error and τ the scatter between cells (moment estimate): cells weigh nearly
    equally unless one of them is measured badly. The regret of a left-out prediction is ½ dᵀH_c d, and a pair of forms
    weighs exp(−cells · (regret / least regret − 1)), its likelihood where regrets are χ² (pseudo-BMA). An exponent that
    the cells cannot tell beside a form's own comes from the prior.

    Args:
      z: [cells, 3] rows (1, ln N, ln D).
      optimum, covariance, hessian: of `local_optima`.
      resamples: bootstrap draws: by cell from `CLUSTERS` cells up, parametric (Student t) below.
      seed: of the resamples.
      forms: fixed forms instead of the mixture.
      resolution: [2] sd in logs to which the grids of a cell can place an optimum at best.
      prior: of the exponents; None for none.
    """
    names = identifiable_forms(z)
    if forms is not None and not set(forms) <= set(names):
        raise BadInput(
            f"the {len(z)} cells cannot identify the forms {forms}, they identify {', '.join(names)}: add cells."
        )
    variance = np.minimum(covariance[:, [0, 1], [0, 1]], _UNKNOWN)
    fits = {(k, n): _axis(z, optimum[:, k], variance[:, k], n, names, prior, k) for k in (0, 1) for n in names}
    regrets = {}
    for pair in itertools.product(names, names):
        gap = np.stack([fits[k, name].left_out - optimum[:, k] for k, name in enumerate(pair)], 1)
        regrets[pair] = float(np.mean(np.einsum("ci,cij,cj->c", gap, hessian, gap) / 2))
    weights = _weights(regrets, len(z)) if forms is None else {forms: 1.0}
    mixture = (_components(0, weights, fits), _components(1, weights, fits))
    cells = len(z) >= CLUSTERS
    rng = np.random.default_rng(seed)
    count = max(resamples, _SHARED)
    inside, draws, shared = np.zeros((2, 3, 3)), np.zeros((resamples, 2, 3)), np.zeros((count, 2, 3))
    deficient = 0
    for k, components in enumerate(mixture):
        share = [part.weight for part in components]
        owner = rng.choice(len(components), size=count, p=share)
        for i, part in enumerate(components):
            fit = fits[k, part.form]
            shifts = by_size(z, fit, resolution[k], count, rng)
            sample, again = (by_cell if cells else parametric)(z, optimum[:, k], fit, FORMS[part.form], resamples, rng)
            within = np.cov(sample.T) if cells and resamples > 1 else normal(fit)
            inside[k] += part.weight * (within + np.cov(shifts.T))
            shared[owner == i, k] = shifts[owner == i]
            draws[owner[:resamples] == i, k] = sample[owner[:resamples] == i]
            deficient += again
    shared = shared[:resamples]

    def mean(value: str) -> np.ndarray:
        return np.stack([sum(p.weight * getattr(fits[k, p.form], value) for p in mixture[k]) for k in (0, 1)], -1)

    return Power(
        np.stack([sum(part.weight * part.coefficients for part in components) for components in mixture]),
        (mixture[0][0].form, mixture[1][0].form),
        mixture,
        inside,
        draws + shared,
        shared,
        mean("scatter"),
        mean("dof"),
        mean("left_out"),
        mean("other_sizes"),
        {f"{a} | {b}": value for (a, b), value in sorted(regrets.items(), key=lambda item: item[1])},
        "cells" if cells else "parametric",
        deficient,
    )


def _weights(regrets: dict[tuple[str, str], float], cells: int) -> dict[tuple[str, str], float]:
    least = max(min(regrets.values()), _EXACT)
    weights = {pair: float(np.exp(-cells * max(0.0, regret / least - 1))) for pair, regret in regrets.items()}
    return {pair: weight / sum(weights.values()) for pair, weight in weights.items()}


def _components(axis: int, weights: dict[tuple[str, str], float], fits: dict[tuple[int, str], Axis]) -> list[Component]:
    """The forms of one axis, summed over those of the other, the heaviest first, without those below `_LEAST`."""
    share: dict[str, float] = {}
    for pair, weight in weights.items():
        share[pair[axis]] = share.get(pair[axis], 0.0) + weight
    heavy = {name: weight for name, weight in share.items() if weight >= _LEAST}
    components = []
    for name, weight in sorted(heavy.items(), key=lambda item: -item[1]):
        coefficients = np.zeros(3)
        coefficients[list(fits[axis, name].columns)] = fits[axis, name].value
        components.append(Component(name, weight / sum(heavy.values()), coefficients))
    return components


def _axis(
    z: np.ndarray,
    target: np.ndarray,
    variance: np.ndarray,
    form: str,
    names: Sequence[str],
    prior: Prior | None,
    axis: int,
) -> Axis:
    """One weighted regression with a moment estimate of the scatter between cells (DerSimonian–Laird, iterated)."""
    columns = FORMS[form] if prior is None else _with_unknown(form, names)
    mean, precision = np.zeros(len(columns)), np.zeros((len(columns), len(columns)))
    if prior is not None and len(columns) > 1:
        slopes = np.array(columns[1:]) - 1
        mean[1:] = prior.mean[axis, slopes]
        precision[1:, 1:] = np.linalg.inv(prior.covariance[axis][np.ix_(slopes, slopes)])
    design = z[:, columns]
    between = 0.0
    for _ in range(50):
        weight = 1 / (between + variance + 1e-12)
        covariance = np.linalg.inv((design.T * weight) @ design + precision)
        value = covariance @ ((design.T * weight) @ target + precision @ mean)
        residual = target - design @ value
        leverage = weight * np.einsum("ci,ij,cj->c", design, covariance, design)
        dof = max(float((1 - leverage).sum()), 1.0)
        update = max(0.0, between + ((weight * residual**2).sum() - dof) / (weight * (1 - leverage)).sum())
        if abs(update - between) < 1e-10:
            break
        between = update
    left_out = target - residual / np.maximum(1 - leverage, 1e-6)
    other_sizes = _without_size(z, design, target, weight, precision, mean)
    shared, scatter, dof = scatter_of(z, residual, columns, dof)
    return Axis(columns, value, covariance, weight, left_out, other_sizes, shared, scatter, dof, mean, precision)


def _without_size(
    z: np.ndarray,
    design: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray,
    precision: np.ndarray,
    mean: np.ndarray,
) -> np.ndarray:
    """[cells] predictions by the cells of the other sizes; where there is one size, by the other cells."""
    sizes = np.round(z[:, 1], 6)
    same = sizes[:, None] == sizes if np.ptp(sizes) > 0 else np.eye(len(z), dtype=bool)
    predictions = np.zeros(len(z))
    for group in np.unique(same, axis=0):
        product = (design * np.where(group, 0.0, weight)[:, None]).T
        value = np.linalg.pinv(product @ design + precision) @ (product @ target + precision @ mean)
        predictions[group] = design[group] @ value
    return predictions


def _with_unknown(form: str, names: Sequence[str]) -> tuple[int, ...]:
    """The columns of a form, and those of ln N and ln D that the cells cannot tell beside them."""
    own = FORMS[form]
    unknown = [j for j in {1, 2} - set(own) if not any(set(FORMS[name]) >= {*own, j} for name in names)]
    return tuple(sorted((*own, *unknown)))


def identifiable_forms(z: np.ndarray) -> list[str]:
    """The forms of `FORMS` that cells at these (1, ln N, ln D) identify, one cell to spare, whichever is left out."""

    def spread(columns: tuple[int, ...]) -> float:
        # What a cell leaves of the scatter about the mean: Σ d dᵀ − n/(n−1) d_i d_iᵀ.
        d = z[:, columns[1:]] - z[:, columns[1:]].mean(0)
        scatter = d.T @ d - len(d) / (len(d) - 1) * d[:, :, None] * d[:, None, :]
        return math.sqrt(max(float(np.linalg.eigvalsh(scatter).min()), 0.0))

    enough = [name for name, columns in FORMS.items() if len(z) > len(columns)]
    return [name for name in enough if name == "constant" or spread(FORMS[name]) > _SPREAD]
