"""How each run ended, from a tracker's word and its loss."""

from __future__ import annotations

import numpy as np
import pandas as pd

from jaxlaws.records.columns import STATUS, status_of


def ended(table: pd.DataFrame, loss: np.ndarray, nan_loss: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
    """([runs] our status, None if finite losses say as much; [runs] the reason of every run that is not ok).

    A finished run whose loss is NaN diverged. In a file that spells NaN out, an empty cell is no loss at all, and the
    run is left out; in one that does not, an empty cell of a finished run is the NaN.

    Args:
      table: with `status`, a tracker's word or ours, where it is known.
      loss: [runs].
      nan_loss: [runs] whether the loss is spelt NaN or infinite.
    """
    reason = np.full(len(table), "", object)
    if "status" not in table:
        if not nan_loss.any():
            return None, reason
        reason[nan_loss] = "NaN"
        return np.where(nan_loss, "diverged", "ok"), reason
    code, distinct = pd.factorize(table["status"].astype(object))
    words = np.array([str(word).strip().lower() for word in distinct], object)
    status = np.array([status_of(str(word)) for word in distinct], object)[code]
    silent = (words == "")[code]
    status[silent] = np.where(np.isfinite(loss[silent]) | nan_loss[silent], "ok", "failed")
    not_ok = np.isin(status, [name for name in STATUS if name != "ok"])
    reason[not_ok] = words[code[not_ok]]
    reason[silent & (status == "failed")] = "without a status or loss"
    ok = status == "ok"
    nan = ok & (nan_loss | (~np.isfinite(loss) if not nan_loss.any() else np.isinf(loss)))
    none = ok & ~nan & np.isnan(loss)
    status[nan], reason[nan] = "diverged", "NaN"
    status[none], reason[none] = "failed", "finished without a loss"
    return status, reason
