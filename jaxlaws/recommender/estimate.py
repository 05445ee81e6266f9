"""Estimating a law of peak LR and batch size from a table of runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxlaws.errors import BadInput, unknown
from jaxlaws.fits import check_count, provenance, versions
from jaxlaws.recommender.cells import Cell, cells_of, describe, edges, level_counts, levels, seq_len_of, usual_batch
from jaxlaws.recommender.exponents import drift, prior
from jaxlaws.recommender.hyperfit import AXES, FIXED, PARAMS, TERMS, HyperFit
from jaxlaws.recommender.local import Local, local_optima
from jaxlaws.recommender.power import Component, Power, power_laws
from jaxlaws.recommender.stages import METHODS, Stages
from jaxlaws.recommender.surface import Surface
from jaxlaws.recommender.verdict import findings, of_batches
from jaxlaws.records.settings import one_setting
from jaxlaws.records.shared import SHARED, SHARED_ALWAYS, shared_config
from jaxlaws.status import Finding, decide

if TYPE_CHECKING:
    from jaxlaws.records.table import Runs

#: Laws that `estimate` fits: name → what it is.
HYPER_LAWS = {"step_law": "η* and B* as power laws of N and D, from LR × batch grids in (N, D) cells"}
#: Columns that they read, which may differ between runs.
READS = ("params_nonembedding", "params_total", "tokens", "peak_lr", "batch_tokens")
#: Option of laws of the loss that these do not read → its flag, its harmless values, and the reason.
UNREAD: dict[str, tuple[str, tuple[Any, ...], str]] = {
    "train": ("--train", (), "which leaves every cell out once; select runs with --where"),
    "noise": ("--noise", (), "whose noise is the scatter of the cells"),
    "starts": ("--starts", (), "which has no random starts"),
    "fixed": ("--fix", (), "whose exponents are chosen by what predicts cells that are left out"),
    "params_column": ("--params-column", ("params_nonembedding",), "which counts params_nonembedding"),
    "warmup_ld": ("--warmup-ld", ("included",), "which reads final losses and no curves"),
}
LEVEL = 0.8
_RESAMPLING = {"cells": "by cell", "parametric": "parametric: fewer than 8 cells"}
#: Resampled coefficients that are stored with a fit.
_DRAWS = 400


def refuse(law: str, options: dict[str, Any]) -> None:
    """Removes harmless options of laws of the loss from `options`; `BadInput` for the first that is not harmless."""
    for option in set(UNREAD) & set(options):
        flag, harmless, reason = UNREAD[option]
        if (value := options.pop(option)) is not None and value not in harmless:
            raise BadInput(f"{flag} ({option}= in Python) is of no use to {law}, {reason}.")


def estimate(
    runs: Runs,
    *,
    law: str = "step_law",
    method: str | None = None,
    forms: tuple[str, str] | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
) -> HyperFit:
    """Fit η*(N, D) and B*(N, D) to runs over LR × batch in several (N, D) cells.

    `two_stage` (the default) takes the optimum of every cell from a local surface (`local_optima`), then regresses
    (`power_laws`); `one_stage` fits one penalised loss to all runs (`one_stage`). What each axis is a power law of is
    chosen by left-out regret. Intervals are for the optimum of a new cell: coefficients resampled by cell (parametric
    below eight cells), and the scatter of cells about the law.

    Args:
      runs: with params_nonembedding, tokens, peak_lr, batch_tokens, a loss, and status where runs diverged.
      law: name from `HYPER_LAWS`.
      method: name from `METHODS`; None for the default.
      forms: of η and B, names from `power.FORMS`; None to choose them.
      bootstrap: resamples.
      seed: of the resamples.

    Raises:
      BadInput: unknown names, missing columns, too few runs or cells.
    """
    if law not in HYPER_LAWS:
        raise unknown("law", law, HYPER_LAWS)
    method = next(iter(METHODS)) if method is None else method
    if method not in METHODS:
        raise unknown("method", method, METHODS)
    check_count("bootstrap", bootstrap, 0)
    runs = one_setting(runs, law, READS)
    cells, notes = cells_of(runs)
    z = np.array([[1.0, np.log(c.params), np.log(c.tokens)] for c in cells])
    seq_len = seq_len_of(runs)
    grids = [edges(cell, seq_len) for cell in cells]
    batch = of_batches(cells, grids, seq_len)
    batches = min(3, int(np.median(level_counts(cells, 1))))
    local = local_optima(cells, batches=batches, at=usual_batch(cells) if not batch.measured else None)
    resolution = [float(np.median([_resolution(cell, k) for cell in cells])) for k in (0, 1)]
    exponents = prior(one_batch=not batch.measured)
    power = power_laws(z, local.optimum, local.covariance, local.hessian, bootstrap, seed, forms, resolution, exponents)
    stages = METHODS[method](cells, z, local, power, bootstrap, seed)
    if not batch.measured:
        excess = replace(stages.excess, b=0.0, k_batch=0.0, c=stages.excess.c if batches > 1 else 0.0)
        stages = stages._replace(excess=excess)
    surfaces = [_surface(cell) if batch.measured else None for cell in cells]
    scatter = _scatter(surfaces, z, local, power.other_sizes, stages.covariance, power)
    regret = _regret(surfaces, stages.left_out, local)
    fit = HyperFit(
        law=law,
        convention=_convention(runs),
        ranges=describe(cells),
        forms={"lr": power.forms[0], "batch": power.forms[1] if batch.measured else FIXED},
        scatter=dict(zip(AXES, np.maximum(scatter, resolution).tolist(), strict=True)),
        **_constants(stages, power, exponents.covariance, batch.measured),
        excess=stages.excess,
        method=method,
        resampling=_RESAMPLING[power.resampling] if bootstrap else "none",
        sigma=local.sigma,
        cells=[_describe(cell, i, local, grids[i]) for i, cell in enumerate(cells)],
        held_out=_held_out(regret, surfaces, stages.left_out, power),
        data=provenance(runs) | _counts(cells, power),
        versions=versions(np),
    )
    half = fit.half_width("lr", *np.exp(z[:, 1:].mean(0)))
    items = findings(cells, grids, z, local, power, regret, half, batch)
    if not stages.converged:
        items.append(Finding("not_converged", "the one-stage fit did not end at an optimum", "use two stages"))
    warnings = [*map(str, items), *runs.answers, *notes]
    return replace(fit, status=decide(items), findings=[item.to_json() for item in items], warnings=warnings)


def _constants(stages: Stages, power: Power, prior_covariance: np.ndarray, has_batch: bool) -> dict[str, Any]:
    """The coefficients with their errors: intervals, resamples, rivals, drift outside the data.

    Args:
      stages: the estimate.
      power: the second stage, with the forms that the law is the mean of.
      prior_covariance: [2, 2, 2] prior covariance of the exponents.
      has_batch: whether the best batch was measured.
    """
    covariance, draws = stages.covariance, stages.draws
    return {
        "params": dict(zip(PARAMS, stages.coefficients.ravel().tolist(), strict=True)),
        "covariance": {axis: covariance[k].tolist() for k, axis in enumerate(AXES)},
        "rivals": {axis: [_rival(part) for part in power.mixture[k]] for k, axis in enumerate(AXES)},
        "drift": {axis: drift(prior_covariance[k], covariance[k, 1:, 1:]).tolist() for k, axis in enumerate(AXES)},
        "intervals": _intervals(draws, has_batch),
        "level": LEVEL,
        "dof": {axis: float(power.dof[k]) for k, axis in enumerate(AXES)},
        "draws": dict(zip(PARAMS, draws[:_DRAWS].reshape(-1, 6).T.tolist(), strict=True)),
    }


def _held_out(
    regret: np.ndarray, surfaces: Sequence[Surface | None], left_out: np.ndarray, power: Power
) -> dict[str, Any]:
    """The regret of the advice [cells] for cells that are left out."""
    return {
        "mean_regret": float(regret.mean()),
        "max_regret": float(regret.max()),
        "standard_error": _standard_error(surfaces, left_out),
        "cells_on_surfaces": sum(surface is not None for surface in surfaces),
        "forms": power.regrets,
        "advice": np.exp(left_out).tolist(),
    }


def _counts(cells: Sequence[Cell], power: Power) -> dict[str, int]:
    return {
        "cells": len(cells),
        "runs": int(sum(len(c.y) for c in cells)),
        "diverged": int(sum(len(c.diverged) for c in cells)),
        "deficient_resamples": power.deficient,
    }


def _rival(part: Component) -> dict[str, Any]:
    terms = dict(zip(TERMS, part.coefficients.tolist(), strict=True))
    return {"form": part.form, "weight": part.weight, **terms}


def _resolution(cell: Cell, axis: int) -> float:
    """The sd in logs below which no surface places an optimum: a sixth of the grid's step."""
    grid = levels(cell.x[:, axis])
    return float(np.median(np.diff(grid))) / 6 if len(grid) > 1 else 0.0


def _surface(cell: Cell) -> Surface | None:
    """The cell's regret surface; None where its runs are too few for one."""
    try:
        return Surface(cell)
    except BadInput:
        return None


def _scatter(
    surfaces: Sequence[Surface | None],
    z: np.ndarray,
    local: Local,
    left_out: np.ndarray,
    covariance: np.ndarray,
    power: Power,
) -> np.ndarray:
    """[2] sd in logs of a new cell's measured optimum about the law, beyond what the coefficients leave open.

    From the gaps between left-out predictions and optima measured in two ways, the local surface's and the regret
    surface's: where a flat basin lets them disagree beyond noise, the interval has to know. At least the scatter of the
    regression.
    """
    square = (left_out - local.optimum) ** 2
    for i, surface in enumerate(surfaces):
        if surface is not None and surface.interior:
            noise = surface.minimum_variance(local.hessian[i])
            square[i] = np.maximum(square[i], (left_out[i] - surface.minimum) ** 2 - noise)
    square = square.mean(0) - np.einsum("ci,kij,cj->kc", z, covariance, z).mean(1)
    return np.sqrt(np.maximum(square, power.scatter**2))


def _regret(surfaces: Sequence[Surface | None], advice: np.ndarray, local: Local) -> np.ndarray:
    """[cells] regret on the regret surface, or on the local one where there is none."""
    gap = advice - local.optimum
    regret = np.einsum("ci,cij,cj->c", gap, local.hessian, gap) / 2
    return np.array(
        [
            value if surface is None or not surface.inside(x[None])[0] else surface.regret(x[None])[0]
            for value, surface, x in zip(regret, surfaces, advice, strict=True)
        ]
    )


def _standard_error(surfaces: Sequence[Surface | None], advice: np.ndarray) -> float | None:
    """Standard error of the mean regret, from the noise of runs."""
    errors = [s.standard_error(x[None])[0] for s, x in zip(surfaces, advice, strict=True) if s is not None]
    return float(np.sqrt(np.sum(np.square(errors))) / len(errors)) if errors else None


def _intervals(draws: np.ndarray, batch: bool) -> dict[str, list[float]]:
    """Intervals of the constants of any form of the mixture."""
    if not len(draws):
        return {}
    edges = np.quantile(draws, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2], axis=0)
    return {
        f"{axis}_{name}": edges[:, k, i].tolist()
        for k, axis in enumerate(AXES)
        for i, name in enumerate(TERMS)
        if (batch or axis == "lr") and draws[:, k, i].any()
    }


def _describe(cell: Cell, i: int, local: Local, grid: dict[str, Any]) -> dict[str, Any]:
    return {
        "params": cell.params,
        "tokens": cell.tokens,
        "runs": len(cell.y),
        "diverged": len(cell.diverged),
        "peak_lr": float(np.exp(local.optimum[i, 0])),
        "batch_tokens": float(np.exp(local.optimum[i, 1])),
        "se_ln_lr": float(np.sqrt(local.covariance[i, 0, 0])),
        "se_ln_batch": float(np.sqrt(local.covariance[i, 1, 1])),
        "loss": float(np.exp(min(local.level[i], 300.0))),
        "edges": grid,
    }


def _convention(runs: Runs) -> dict[str, Any]:
    """What the constants mean: units, and the setting that every run shares."""
    table = runs.table[~runs.inside_warmup]
    answer: dict[str, Any] = {
        "params": "params_nonembedding",
        "batch": "tokens per step",
        "lr": "peak",
        "loss": runs.loss_column,
    }
    for name in (
        *("schedule", "final_lr", "warmup_steps", "seq_len"),
        *("optimizer", "weight_decay", "beta1", "beta2", "clip", "parameterisation", "corpus"),
    ):
        if name in table and table[name].nunique() == 1:
            value = table[name].iloc[0]
            answer[name] = value.item() if hasattr(value, "item") else value
    if config := shared_config(runs, (*SHARED, *SHARED_ALWAYS)):
        answer["config"] = config
    return answer
