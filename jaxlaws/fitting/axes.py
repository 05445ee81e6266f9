"""The inputs of a law by the names of `jaxlaws.extrapolation`, the same for the data of a fit and for a question."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from jaxlaws.inputs import INPUTS, following
from jaxlaws.laws.law import Law


def axes(law: Law, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The values at the points of a law of N, D, D/N, C = 6·N·D, batch, steps, LR sum and peak LR, [points] each.

    Args:
      law: whose inputs they are.
      inputs: as `jaxlaws.fitting.points.Points` holds them; of a curve law `S` and `peak` too. The steps of a curve
        are not among them: they are those of its last point.
    """
    names = {INPUTS[key].column: key for key in law.inputs if INPUTS[key].of_run and not INPUTS[key].many}
    if law.kind == "curve":
        names |= {"lr_sum": "S", "peak_lr": "peak"}
    out = {name: np.asarray(inputs[key], float) for name, key in names.items() if key in inputs}
    for key in (key for key in law.inputs if INPUTS[key].many):
        out |= {f"{INPUTS[key].column}.{part}": inputs[key][..., i] for i, part in enumerate(law.parts)}
    with np.errstate(over="ignore"):
        for name in ("tokens", "flops"):
            if name not in out and (value := following(name, out)) is not None:
                out[name] = value
        if {"params", "tokens"} <= set(out):
            out["tokens_per_param"] = out["tokens"] / out["params"]
    return out
