"""What a law of LR and batch is worth on a table: regret and coverage in cells (N, D) that it was not fitted to."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import numpy as np

from jaxlaws.atlas.score import Effort
from jaxlaws.recommender.cells import Cell, cells_of
from jaxlaws.recommender.estimate import HYPER_LAWS, estimate
from jaxlaws.recommender.hyperfit import HyperFit
from jaxlaws.recommender.presets import PRESETS
from jaxlaws.recommender.score import Scores, held_out, score_law
from jaxlaws.records.table import Runs
from jaxlaws.status import TRUSTED

#: Share of the cells that are the largest.
_LARGEST = 0.2


def names() -> tuple[str, ...]:
    """The laws of LR and batch: those that are fitted, and published constants, which may have seen the table."""
    return (*HYPER_LAWS, *(name for name, law in PRESETS.items() if isinstance(law, HyperFit)))


def score(name: str, runs: Runs, effort: Effort) -> dict[str, Any]:
    """The values of a row of the atlas, by the names of its columns.

    Args:
      name: one of `names`.
      runs: over LR and batch in several cells.
      effort: of which `bootstrap` is read.

    Raises:
      BadInput: the table has too few cells.
    """
    cells, _ = cells_of(runs)
    row: dict[str, Any] = {"runs": len(runs.table), "losses": sum(len(cell.y) for cell in cells)}
    if name not in HYPER_LAWS:
        law = PRESETS[name]
        assert isinstance(law, HyperFit)
        return (
            row
            | _summary("", score_law(runs, law.optimum))
            | {
                "status": "published",
                "note": "published constants, which may have seen these runs",
            }
        )
    fit = partial(estimate, law=name, bootstrap=effort.bootstrap)
    begin = time.process_time()
    whole = fit(runs)
    row |= {
        "status": whole.status,
        "note": "" if whole.status in TRUSTED else whole.findings[0]["what"],
        "constants": len(whole.params),
        "level": whole.level,
        "cpu_first": time.process_time() - begin,
    }
    begin = time.process_time()
    row |= _summary("", held_out(runs, fit)) | {"cpu_again": (time.process_time() - begin) / len(cells)}
    edge = np.quantile([cell.params * cell.tokens for cell in cells], 1 - _LARGEST)

    def small(cell: Cell) -> bool:
        return cell.params * cell.tokens <= edge

    return row | _summary("forward_", held_out(runs, fit, small))


def _summary(prefix: str, scores: Scores) -> dict[str, float]:
    """Mean and largest regret over the cells; the share of the best LRs and batches that their intervals hold."""
    out = {
        f"{prefix}regret": float(scores.regret.mean()),
        f"{prefix}regret_most": float(scores.regret.max()),
        f"{prefix}left_out": len(scores.cells),
    }
    if np.isfinite(scores.half).all():
        width = 2 * float(scores.half.mean())
        out |= {f"{prefix}inside": float(scores.covered().mean()), f"{prefix}width": width}
    return out
