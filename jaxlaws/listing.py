"""Every law of the loss and of LR and batch as plain data, which `jaxlaws laws` shows. No JAX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jaxlaws.errors import unknown
from jaxlaws.inputs import INPUTS
from jaxlaws.laws.law import Law
from jaxlaws.laws.table import LAWS
from jaxlaws.recommender.hyperfit import HyperFit
from jaxlaws.recommender.presets import PRESETS

#: Kind of a law → what it is a law of.
KINDS = {
    "curve": "loss curves",
    "point": "final losses",
    "advice": "the best learning rate and batch size",
}


def laws(name: str | None = None) -> dict[str, dict[str, Any]]:
    """Law → `formula`, `reference`, `kind`, `inputs` and `params` (name → meaning), `convention` and `presets`.

    Args:
      name: of one law, of the loss and of LR and batch; all laws without it.

    Raises:
      BadInput: there is no such law.
    """
    every = {law.name: _of_loss(law) for law in LAWS.values()} | _of_advice()
    if name is None:
        return every
    selection = {key: law for key, law in every.items() if name in (key, key.split(" ")[0])}
    if not selection:
        raise unknown("law", name, every)
    return selection


def _of_loss(law: Law) -> dict[str, Any]:
    presets = {
        f"{law.name}:{variant}": {
            "formula": law.formula,
            "params": dict(preset.values),
            "reference": preset.reference,
            "range": preset.range,
            "ranges": _plain(preset.ranges),
            "convention": {**law.convention, **preset.convention},
        }
        for variant, preset in law.presets.items()
    }
    meanings = {parameter.name: parameter.meaning for parameter in law.parameters}
    inputs = {name: f"{INPUTS[name].column or 'of the schedule'}: {INPUTS[name].meaning}" for name in law.inputs}
    return _entry(law.formula, law.reference, law.kind, inputs, meanings, law.convention, presets)


def _of_advice() -> dict[str, dict[str, Any]]:
    """The laws of LR and batch; `NAME (advice)` where a law of the loss has the name."""
    every: dict[str, dict[str, Any]] = {}
    for preset, source in PRESETS.items():
        name = preset.split(":")[0]
        name += " (advice)" if name in LAWS else ""
        meanings, params = (source.meanings, source.params) if isinstance(source, HyperFit) else ({}, {})
        first = _entry(source.formula, source.reference, "advice", {}, meanings, source.convention, {})
        ranges = _plain(source.ranges)
        every.setdefault(name, first)["presets"][preset] = {
            "formula": source.formula,
            "params": dict(params),
            "reference": source.reference,
            "range": "; ".join(f"{key} {low:.3g} to {high:.3g}" for key, (low, high) in ranges.items()) or "not stated",
            "ranges": ranges,
            "convention": dict(source.convention),
        }
    return every


def _entry(
    formula: str,
    reference: str,
    kind: str,
    inputs: Mapping[str, str],
    params: Mapping[str, str],
    convention: Mapping[str, Any],
    presets: dict[str, Any],
) -> dict[str, Any]:
    return {
        "formula": formula,
        "reference": reference,
        "kind": kind,
        "inputs": dict(inputs),
        "params": dict(params),
        "convention": dict(convention),
        "presets": presets,
    }


def _plain(ranges: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    return {axis: [float(value) for value in pair] for axis, pair in ranges.items()}
