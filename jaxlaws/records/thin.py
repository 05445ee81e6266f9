"""Fewer losses along a curve: the means of blocks of consecutive losses, which are short where the LR changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from jaxlaws.errors import BadInput
from jaxlaws.records.table import Curve, Runs
from jaxlaws.text import printable

#: Losses of all curves together above which they are thinned, and how many of them and of each curve then remain.
MOST, LEFT, LEFT_OF_EACH = 30_000, 300, 40
#: By how much the LR and its mean over the last steps may change together within a block, as a share of the peak, and
#: the steps may grow, as a share of them.
LR_CHANGE, GROWTH = 0.05, 0.05
#: How many steps that mean is over, as a share of all: for so long a block is short after a drop, as the loss follows.
_MEMORY = 0.01
#: Largest share of the blocks that either of these may add.
_ADDS = 0.25


def thinned(runs: Runs, every: int | None = None, from_step: float = 0.0) -> Runs:
    """The runs with fewer losses along their curves, and a note that says so.

    Args:
      runs: with their curves.
      every: how many consecutive losses a block has at most, 1 to keep all; without it 1 up to `MOST` losses, above
        that the number that leaves about `LEFT`, or `LEFT_OF_EACH` of many curves.
      from_step: the losses before this step are left out; below 1 a share of the steps of each curve.

    Raises:
      BadInput: `every` or `from_step` is no such number, or leaves no loss of a curve.
    """
    if every is not None and not (every >= 1 and every == int(every)):
        raise BadInput(f"--every is {every:g}, expected a whole number of losses from 1, such as 10.")
    if not 0 <= from_step < float("inf"):
        raise BadInput(f"--from-step is {from_step:g}, expected a step, or a share of the steps below 1, such as 0.1.")
    curves = {name: _late(name, curve, from_step) for name, curve in runs.curves.items()} if from_step else runs.curves
    total = sum(len(curve.at) for curve in curves.values())
    block = every or (-(-total // max(LEFT, LEFT_OF_EACH * len(curves))) if total > MOST else 1)
    if block > 1:
        curves = {name: _means(curve, block) for name, curve in curves.items()}
    left = sum(len(curve.at) for curve in curves.values())
    notes = []
    if from_step:
        what = f"The first {from_step:.3g} of the steps" if from_step < 1 else f"What is before step {from_step:g}"
        notes.append(f"{what} of each curve is left out, as --from-step says.")
    if left < total:
        why = "" if every else ", since a fit of all takes minutes; --every 1 keeps them"
        notes.append(
            f"{total:,} losses along {len(curves)} curves are thinned to {left:,}: means of at most {block} in turn, "
            f"of fewer where the LR changes{why}."
        )
    return replace(runs, curves=curves, notes=(*runs.notes, *notes)) if notes else runs


def _late(name: str, curve: Curve, from_step: float) -> Curve:
    """The curve without the losses before a step, or a share of its steps."""
    first = from_step * len(curve.lr) if from_step < 1 else from_step
    keep = curve.at >= first
    if not keep.any():
        raise BadInput(
            f"--from-step {from_step:g} leaves no loss of the curve '{printable(name)}', whose last is of step "
            f"{curve.at[-1]}: choose a smaller one, or leave the curve out with --where."
        )
    logged = {column: values[keep] for column, values in curve.logged.items()}
    return replace(curve, at=curve.at[keep], loss=curve.loss[keep], logged=logged)


def _means(curve: Curve, every: int) -> Curve:
    """The curve with the mean of each block at its mean step.

    A block ends with `every` losses, and earlier by as much as the LR has changed or the steps have grown in it, so
    that the loss is a straight line along it and the means of it and of the steps belong together.
    """
    place = np.arange(len(curve.at)) / every
    most = _ADDS * len(place) / every
    for clock, unit in ((_changes(curve), LR_CHANGE), (np.log1p(np.arange(len(curve.lr))), GROWTH)):
        passed = (clock[curve.at] - clock[curve.at[0]]) / unit
        place += passed * min(1.0, most / max(passed[-1], 1e-300))
    after_warmup = curve.at >= curve.warmup_steps - 1
    block = np.unique(np.floor(place).astype(int) + after_warmup, return_inverse=True)[1]
    count = np.bincount(block)
    at, loss, *logged = (
        np.bincount(block, values) / count for values in (curve.at, curve.loss, *curve.logged.values())
    )
    logged_means = dict(zip(curve.logged, logged, strict=True))
    return Curve(curve.lr, np.round(at).astype(int), loss, curve.warmup_steps, logged_means)


def _changes(curve: Curve) -> np.ndarray:
    """[steps] by how much the LR and its mean over the last steps have changed since the warm-up, over the peak."""
    lr = curve.lr
    window = max(round(_MEMORY * len(lr)), 1)
    total = np.concatenate([np.zeros(window), np.cumsum(lr)])
    changes = np.abs(np.diff(np.stack([lr, (total[window:] - total[: len(lr)]) / window]), prepend=0.0)).sum(0)
    changes[: curve.warmup_steps] = 0.0
    return np.cumsum(changes) / lr.max()
