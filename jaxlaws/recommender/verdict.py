"""The checks of a table of LR × batch grids, whose findings give the status of a `HyperFit`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxlaws.recommender.cells import Cell, edges, level_counts, levels
from jaxlaws.recommender.local import Local
from jaxlaws.recommender.power import FORMS, Power, identifiable_forms
from jaxlaws.status import Finding

#: Probabilities under chance: above `_CHANCE` there is no curvature, above `_RARE` it is weak.
_CHANCE, _RARE = 0.05, 0.01
_SHUFFLES = 499
#: Shares of cells with the best run on the edge of the grid: from the first an optimum is weak, from the second none.
_SOME, _MOST = 1 / 3, 2 / 3
#: Constants of a cell's surface by the number of its batches (3: three or more), shared third derivatives apart.
_CONSTANTS = {1: 3, 2: 5, 3: 6}
_WORDS = ("learning rate", "batch")


class Curvature(NamedTuple):
    """How clearly the loss has a minimum along an axis.

    Attributes:
      chance: share of shuffles of the losses within cells that curve at least as much upwards.
      extreme: whether no shuffle curves more, so that the runs are too few to say more.
    """

    chance: float
    extreme: bool

    @property
    def is_clear(self) -> bool:
        """Whether the runs show a minimum."""
        return self.chance <= _CHANCE or self.extreme


def curvature(cells: Sequence[Cell], axis: int, seed: int = 0) -> Curvature:
    """Whether the loss curves upwards along ln η (axis 0) or ln B (1) more than its noise could.

    The statistic is the coefficient of u² shared by all cells for the *ranks* of the losses, which a slope that bends
    does not have but a valley does. It is taken along lines of one batch (or one LR) where a cell has some with three
    points, so that an optimum that moves along the other axis does not hide the valley, and otherwise over the whole
    cell. Lines in ln η and ln B and the other axis's square are taken off; shuffles of what is left along each line
    give its distribution. With few runs that is generous: of pure noise in three cells of four LRs a tenth passes for
    a valley at 5%.
    """
    rng = np.random.default_rng(seed)
    statistic, null = 0.0, np.zeros(_SHUFFLES)
    for x, y in (line for cell in cells for line in _lines(cell, axis)):
        _, place, count = np.unique(np.round(y, 12), return_inverse=True, return_counts=True)
        rank = (np.cumsum(count) - (count - 1) / 2)[place] / len(y)
        u, v = (x - x.mean(0))[:, [axis, 1 - axis]].T
        others = np.linalg.qr(np.stack([u**0, u, v, v * v], 1)[:, _independent(u, v)])[0]
        square = u * u - others @ (others.T @ (u * u))
        if (square**2).sum() < 1e-9 * max((u**4).sum(), 1e-12):
            continue
        residual = rank - others @ (others.T @ rank)
        statistic += float(square @ residual)
        null += square @ rng.permuted(np.repeat(residual[:, None], _SHUFFLES, 1), axis=0)
    above = float((null >= statistic - 1e-9).mean())
    return Curvature(max(above, 1 / (_SHUFFLES + 1)), statistic > 0 and bool(null.max() <= statistic + 1e-9))


def _lines(cell: Cell, axis: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The runs of a cell, (coordinates, ln losses), in parts along which only `axis` varies, or all as one part."""
    across = cell.x[:, 1 - axis]
    nearest = np.abs(across[:, None] - levels(across)[None]).argmin(1)
    parts = [np.flatnonzero(nearest == k) for k in range(nearest.max() + 1)]
    parts = [part for part in parts if len(levels(cell.x[part, axis])) > 2] or [np.arange(len(cell.y))]
    return [(cell.x[part], cell.y[part]) for part in parts]


def _independent(u: np.ndarray, v: np.ndarray) -> list[bool]:
    """Flags of those of 1, u, v, v² that the grid of a cell determines."""
    across = len(levels(v))
    return [True, len(levels(u)) > 1, across > 1, across > 2]


def edge_share(cell_edges: Sequence[dict], name: str) -> float:
    """Share of the cells whose grid of `peak_lr` or `batch_tokens` does not bracket its best value."""
    return float(np.mean([axes[name]["edge"] is not None for axes in cell_edges]))


class Batch(NamedTuple):
    """The verdict of the cells on the best batch.

    Attributes:
      measured: whether the runs show it; otherwise the law is of the LR at one batch a cell.
      findings: why not, or what is weak about it.
    """

    measured: bool
    findings: Sequence[Finding]


def of_batches(cells: Sequence[Cell], cell_edges: Sequence[dict], seq_len: int) -> Batch:
    """Whether the grids show the best batch, from `edges` of the measured best runs."""
    count, at = int(np.median(level_counts(cells, 1))), "the answer is the learning rate at that batch"
    share, add = edge_share(cell_edges, "batch_tokens"), "add the batches that `jaxlaws inspect` names"
    if count == 1:
        what, remedy = "not measured, every cell has one batch", f"{at}; sweep at least three batches a cell"
    elif count == 2:
        what = "not measured, most cells have two batches and no parabola goes through two points"
        remedy = f"{at}; sweep at least three batches a cell"
    elif np.mean([cell.x[cell.best, 1] <= np.log(1.01 * seq_len) for cell in cells]) > _MOST:
        what = "the smallest that there is, one sequence, in most cells"
        remedy = f"{at}; shorter sequences allow smaller ones"
    elif share > _MOST:
        what, remedy = "not measured, it lies at the edge of the grid in most cells", f"{at}; {add}"
    elif not (clear := curvature(cells, 1)).is_clear:
        what = "not measured, the loss has no minimum in it that its noise could not make"
        remedy = "the answer is the learning rate at one batch; add batches on both sides, or seeds"
    else:
        edge = Finding("weak", f"the best batch lies at the edge of the grid in {share:.0%} of the cells", add)
        rare = Finding("weak", "the minimum in the batch stands out of the noise weakly", "add batches or seeds")
        return Batch(True, [*([edge] if share > _SOME else []), *([rare] if clear.chance > _RARE else [])])
    return Batch(False, [Finding("weak", f"the best batch is {what}", remedy)])


def findings(
    cells: Sequence[Cell],
    cell_edges: Sequence[dict],
    z: np.ndarray,
    local: Local,
    power: Power,
    regret: np.ndarray,
    half: float,
    batch: Batch,
) -> list[Finding]:
    """All findings against a law of LR and batch, the gravest first in each group.

    Args:
      cells: the runs.
      cell_edges: [cells] of `edges`.
      z: [cells, 3] rows (1, ln N, ln D).
      local, power: the two stages.
      regret: [cells] of the advice for a cell that is left out.
      half: half width in logs of the interval of the LR in the middle of the cells.
      batch: of `of_batches`.
    """
    if all(np.ptp(cell.y) < 1e-9 for cell in cells):
        return [Finding("unidentified", "the runs of every cell have the same loss", "check the column of the loss")]
    note = f" (used: LR of {power.forms[0]}, batch of {power.forms[1]}, other exponents from published sweeps)"
    return [
        *_rates(cells, cell_edges, local.convex),
        *_runs(cells, local.last_move),
        *batch.findings,
        *_forms(z, note),
        *_advice(cells, regret, half),
    ]


def of_grids(cells: Sequence[Cell], seq_len: int) -> list[Finding]:
    """Findings against a law of LR and batch by the measured runs alone, before a fit.

    Args: see `findings`; `seq_len` is the tokens of a sequence.
    """
    cell_edges = [edges(cell, seq_len) for cell in cells]
    return [
        *_rates(cells, cell_edges),
        *_runs(cells),
        *of_batches(cells, cell_edges, seq_len).findings,
        *_forms(np.array([[1.0, np.log(cell.params), np.log(cell.tokens)] for cell in cells])),
    ]


def _rates(cells: Sequence[Cell], cell_edges: Sequence[dict], convex: bool = True) -> list[Finding]:
    """Findings on the grids of LRs."""
    count = int(np.median(level_counts(cells, 0)))
    if count < 3:
        what = f"most cells have {'one learning rate' if count == 1 else 'two learning rates'}"
        return [Finding("unidentified", what, "sweep at least four peak LRs in every cell")]
    clear, share = curvature(cells, 0), edge_share(cell_edges, "peak_lr")
    if not (clear.is_clear and convex):
        what = "the loss has no minimum in the learning rate that its noise could not make"
        return [
            Finding("unidentified", what, "add LRs on both sides of the best ones, or seeds, and check the columns")
        ]
    what = f"the best learning rate lies at the edge of the grid in {share:.0%} of the cells"
    remedy = "add the LRs that `jaxlaws inspect` names"
    edge = [Finding("unidentified" if share > _MOST else "weak", what, remedy)] if share > _SOME else []
    rare = Finding("weak", "the minimum in the learning rate stands out of the noise weakly", "add LRs or seeds")
    return [*edge, *([rare] if clear.chance > _RARE else [])]


def _runs(cells: Sequence[Cell], last_move: float = 0.0) -> list[Finding]:
    """Findings on the runs themselves and on the surfaces through them."""
    answer = []
    odd, total = sum(cell.odd for cell in cells), sum(len(cell.y) for cell in cells)
    if odd:
        what = f"{odd} of {total} runs have losses far above or below their cell for no reason in their LR"
        grave = "misfit" if odd > 0.05 * total else "weak"
        answer.append(Finding(grave, what, "check the units and the status of those runs"))
    if np.median([cell.x[cell.best, 0] for cell in cells]) > 0:
        answer.append(Finding("misfit", "the best peak LRs are above 1", "give LRs as plain numbers such as 3e-3"))
    if last_move > 0.05:
        answer.append(Finding("not_converged", "the optima of the cells did not settle", "add runs near the best ones"))
    batches = min(3, int(np.median(level_counts(cells, 1))))
    if np.median([len(cell.y) for cell in cells]) <= _CONSTANTS[batches]:
        what = f"most cells have no more runs than a surface has constants ({_CONSTANTS[batches]})"
        answer.append(Finding("weak", what, "add a fourth LR to every cell"))
    return answer


def _forms(z: np.ndarray, note: str = "") -> list[Finding]:
    """Findings on exponents that the cells do not identify."""
    gaps = [name for name in FORMS if name not in identifiable_forms(z)]
    if not gaps:
        return []
    what = f"the {len(z)} cells cannot identify a law of {' or of '.join(gaps)}{note}"
    return [Finding("weak", what, "add cells that vary N and D independently")]


def _advice(cells: Sequence[Cell], regret: np.ndarray, half: float) -> list[Finding]:
    """Findings where the law is worth no more than a look at the grids."""
    answer = []
    blind = float(np.mean([np.median(np.expm1(cell.y - cell.y.min())) for cell in cells]))
    if regret.mean() > blind:
        what = (
            f"the advice for a cell that is left out costs {regret.mean():.2%} of the loss, a run picked blindly from "
            f"its grid {blind:.2%}"
        )
        answer.append(Finding("misfit", what, "check that N, D, LR and batch are what their columns say"))
    reach = float(np.median([np.ptp(levels(cell.x[:, 0])) for cell in cells]))
    if half > reach / 2:
        what = f"the interval of the best LR, ×/÷ {np.exp(min(half, 50.0)):.3g}, is as wide as the grids of LRs"
        answer.append(Finding("unidentified" if half > reach else "weak", what, "add cells and LRs"))
    return answer
