"""Two fits in a chain: the second reads the prediction of the first, and the interval has the errors of both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from jaxlaws.errors import BadInput
from jaxlaws.extrapolation import Extrapolation
from jaxlaws.fitting.intervals import edges, new_runs
from jaxlaws.fitting.predict import Prediction, open_fit, predict, run_draws, unit_of
from jaxlaws.fitting.result import LossFit
from jaxlaws.inputs import INPUTS
from jaxlaws.records.columns import MAIN_LOSSES, TARGET


def chain(first: LossFit | str | Path, second: LossFit | str | Path, **inputs: Any) -> Prediction:
    """The prediction of `second` for a new run from that of `first`, such as accuracy from bits a byte.

    The interval is of new runs: each has constants of the first fit, the scatter of a run about it, and at that value
    constants of the second fit and the scatter of a run about that.

    Args:
      first: of a law of final losses or metrics.
      second: of a law whose one input is that metric.
      **inputs: of the first law, by the names of the columns of a table.

    Raises:
      BadInput: the second law reads something else as well or in place of it, or an input of the first is missing.
    """
    first, second = open_fit(first), open_fit(second)
    law = second.model
    if len(law.inputs) != 1 or INPUTS[law.inputs[0]].many:
        reads = ", ".join(INPUTS[name].column for name in law.inputs)
        raise BadInput(f"the law {law.name} reads {reads}, expected one number: what {first.law} predicts.")
    row = INPUTS[law.inputs[0]]
    if row.outcome and _in_nats(first) != (row.column in MAIN_LOSSES):
        raise BadInput(
            f"{first.law} predicts {unit_of(first)}, {law.name} reads {row.meaning}: give a fit of that, which "
            "--target NAME chooses where a table has several losses and metrics."
        )
    start = predict(first, **inputs)
    metric: dict[str, Any] = {row.column: start.value}
    end = predict(second, **metric)
    draws = run_draws(first, **inputs)
    low, high = (None, None) if start.low is None or end.low is None else _interval(second, draws, end)
    reach = Extrapolation(
        {**start.extrapolation.axes, **end.extrapolation.axes},
        (*start.extrapolation.impossible, *end.extrapolation.impossible),
    )
    through = f"{first.law} predicts {start.value:.4g} {unit_of(first)}, which {law.name} reads."
    return Prediction(end.value, low, high, second.level, reach, (through, *start.warnings, *end.warnings))


def _in_nats(fit: LossFit) -> bool:
    """Whether what a fit predicts is a cross-entropy in nats a token."""
    loss = fit.convention.get("loss", "nats")
    return loss in ("nats", *MAIN_LOSSES) or loss.startswith(TARGET)


def _interval(second: LossFit, draws: np.ndarray, end: Prediction) -> tuple[float | None, float | None]:
    """The interval of new runs whose input has these draws [draws]."""
    import jax

    rng = np.random.default_rng(1)
    law, rows = second.model, np.array(second.rows()[1:], np.float64)
    columns = dict(zip(second.params, rows[rng.integers(len(rows), size=len(draws))].T, strict=True))
    with jax.enable_x64(True):
        values = np.asarray(law.predict(columns, {law.inputs[0]: rng.permutation(draws)}))
    distance = np.log([end.extrapolation.factor if end.extrapolation.outside else 1.0])
    low, high = edges(np.array([end.value]), new_runs(second, values[:, None], distance), second.level)
    return (None, None) if low is None or high is None else (float(low[0]), float(high[0]))
