"""Predicting the loss of a new run from a fit, a fit file or published constants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxlaws.errors import BadInput, unknown
from jaxlaws.extrapolation import LOG_BASES, Extrapolation, extrapolation, impossible_loss
from jaxlaws.fitting.axes import axes, beyond
from jaxlaws.fitting.intervals import form_sentences, form_share, new_runs, run_interval
from jaxlaws.fitting.keywords import arrays, keywords
from jaxlaws.fitting.result import LossFit
from jaxlaws.inputs import INPUTS
from jaxlaws.laws.law import Law
from jaxlaws.status import require_trusted

if TYPE_CHECKING:
    from jaxlaws.records.table import Curve

#: Convention of the loss → its unit, where it is not nats a token.
UNITS = {"bits_per_character": "bits a character"}


def unit_of(fit: LossFit) -> str:
    """The unit of the loss that a fit predicts, for people."""
    loss = fit.convention.get("loss", "nats")
    return UNITS.get(loss, "nats a token" if "nats" in loss or "loss" in loss else loss.replace("_", " "))


class Prediction(NamedTuple):
    """The loss of a new run, nats a token.

    Attributes:
      value: at the constants of the fit; a number, or an array [points] along a curve or of arrays.
      low, high: the interval in which the loss of one new run lies at `level` (constants, run and point all uncertain);
        None where the fit has no resamples, as published constants have none.
      level: of the interval.
      extrapolation: how far the question lies outside the data of the fit; of a curve, its end; of arrays, the point
        that is farthest outside.
      warnings: sentences for people, extrapolation and a status that is not to be trusted among them.
    """

    value: float | np.ndarray
    low: float | np.ndarray | None
    high: float | np.ndarray | None
    level: float
    extrapolation: Extrapolation
    warnings: tuple[str, ...]


def open_fit(name: str | Path | LossFit) -> LossFit:
    """A fit from itself, from a file, or from a preset `law:variant`."""
    if isinstance(name, LossFit):
        return name
    text = str(name)
    law_name, _, variant = text.partition(":")
    from jaxlaws.laws.table import LAWS, get

    if (variant or text in LAWS) and not Path(text).exists():
        law = get(law_name)
        if variant not in law.presets:
            presets = ", ".join(preset_names(LAWS))
            if not law.presets:
                raise BadInput(f"the law {law_name} has no preset; valid: {presets}.")
            if not variant:
                raise BadInput(f"{text} is a law without its constants: give the file of its fit, or one of {presets}.")
            raise unknown(f"preset of {law_name}", variant, law.presets)
        preset = law.presets[variant]
        return LossFit(
            law=law_name,
            convention={**law.convention, **preset.convention},
            noise="published",
            params=dict(preset.values),
            held_out=dict(preset.held_out),
            ranges=dict(preset.ranges),
            data={"source": preset.reference, "range": preset.range},
        )
    return LossFit.load(text)


def preset_names(laws) -> list[str]:
    """Every `law:variant`."""
    return [f"{law.name}:{variant}" for law in laws.values() for variant in law.presets]


def predict(
    fit: LossFit | str | Path,
    *,
    curve: Curve | None = None,
    lr: np.ndarray | None = None,
    at: np.ndarray | None = None,
    warmup_steps: int = 0,
    params_column: str | None = None,
    warmup_ld: str | None = None,
    **inputs: Any,
) -> Prediction:
    """The loss of new runs: of models and token budgets, or of one along a schedule.

        >>> import jaxlaws
        >>> print(f'{jaxlaws.predict("chinchilla:epoch", params=7e9, tokens=1.4e12).value:.4f}')
        2.0739
        >>> lr = jaxlaws.schedule("wsd", steps=24000, peak_lr=3e-4, warmup_steps=2160)
        >>> print(f'{jaxlaws.predict("multi_power:25M", lr=lr, warmup_steps=2160).value:.4f}')
        3.2603

    Args:
      fit: a `Fit`, a fit file, or a preset such as `multi_power:25M`.
      curve: a schedule with the points to predict at; its loss is not read.
      lr: [steps] the schedule, instead of `curve`.
      at: [points] last step before each loss; the end of the schedule without it.
      warmup_steps: leading steps of `lr` that are warm-up.
      params_column: what `params` counts; refused where the fit counts otherwise.
      warmup_ld: convention of the warm-up; refused where the fit has another.
      **inputs: what else the law reads, by the names of the columns of a table: params, tokens, batch_tokens, … Steps
        are tokens / batch_tokens where they are not given, and the reverse. A law of final losses takes arrays
        [points] too, and answers with arrays.

    Raises:
      BadInput: something that the law needs is missing, a convention differs, or the law has no finite loss there.
    """
    fit = open_fit(fit)
    _same_convention(fit, "params", params_column)
    _same_convention(fit, "warmup_ld", warmup_ld)
    if curve is not None:
        lr, at, warmup_steps = curve.lr, curve.at, curve.warmup_steps
        inputs = {**curve.logged, **inputs}
    symbols, single, at = _inputs(fit, inputs, lr, at, warmup_steps)
    values = evaluate(fit, symbols)
    coordinates = _coordinates(fit, symbols, at)
    distance = beyond(coordinates, fit.ranges)
    low, high = run_interval(fit, values, distance)
    reach = _reach(fit, coordinates, distance, at, values)
    form = form_sentences(fit) if reach.outside else []
    warnings = (*require_trusted(fit, fit.law, force=True), *reach.sentences(), *form)
    if single:
        least, most = (None if edge is None else float(edge[0]) for edge in (low, high))
        return Prediction(float(values[0, 0]), least, most, fit.level, reach, warnings)
    return Prediction(values[0], low, high, fit.level, reach, warnings)


def final_losses(fit: LossFit, lr: np.ndarray | None, warmup_steps: int = 0, **inputs: Any) -> np.ndarray:
    """[1 + draws] losses of a run, or at the end of a schedule: at the constants of the fit, then at resampled ones."""
    symbols, _, _ = _inputs(fit, inputs, lr, None, warmup_steps)
    return evaluate(fit, symbols)[:, 0]


def run_draws(fit: LossFit, **inputs: Any) -> np.ndarray:
    """[draws] losses of one new run of a point law, whose intervals are percentiles of them."""
    symbols, _, at = _inputs(fit, inputs, None, None, 0)
    distance = beyond(_coordinates(fit, symbols, at), fit.ranges)
    return new_runs(fit, evaluate(fit, symbols)[1:], distance)[:, 0]


def _same_convention(fit: LossFit, key: str, value: str | None) -> None:
    own = fit.convention.get(key)
    if value is not None and own is not None and value != own:
        raise BadInput(
            f"the fit of {fit.law} holds for {key} {own}, asked for {value}: constants do not convert, fit again."
        )


def _inputs(
    fit: LossFit, question: Mapping[str, Any], lr: np.ndarray | None, at: np.ndarray | None, warmup_steps: int
) -> tuple[dict[str, np.ndarray], bool, np.ndarray | None]:
    """What the law reads [points], whether that is one point given by numbers, and the steps of a curve."""
    from jaxlaws.fitting.points import curve_inputs, read_logged

    law = fit.model
    if law.kind == "point":
        if lr is not None:
            raise BadInput(f"the law {law.name} reads model and tokens, not a schedule: give params and tokens.")
        return *arrays(law, question, fit.convention), None
    values = keywords(law, question, fit.convention)
    if lr is None:
        raise BadInput(f"the law {law.name} predicts along a schedule: give one (--schedule, or lr=).")
    if np.any(~np.isfinite(lr)) or np.any(np.asarray(lr) < 0):
        raise BadInput("the schedule has a learning rate that is negative or not a number.")
    points = np.array([len(lr) - 1]) if at is None else np.asarray(at)
    if len(points) and not 0 <= points.min() <= points.max() < len(lr):
        raise BadInput(f"a point at step {points.max()} is asked for, the schedule has {len(lr)} steps.")
    symbols = curve_inputs(law, lr, points, warmup_steps, fit.convention.get("warmup_ld", "included"), values)
    for key, value in read_logged(law, question, "the question").items():
        if value.shape != points.shape:
            raise BadInput(f"{INPUTS[key].column} has the shape {value.shape}, expected one value for every point.")
        symbols[key] = value
    symbols |= {key: np.repeat(value[None], len(points), 0) for key, value in values.items()}
    return {key: symbols[key] for key in {*law.inputs, "S", "peak"}}, at is None, points


def evaluate(fit: LossFit, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """[1 + draws, points] losses, row 0 at the constants of the fit, which is finite."""
    import jax

    constants = np.array(fit.rows(), np.float64)
    with jax.enable_x64(True):
        losses = np.asarray(_evaluator(fit.model, tuple(fit.params))(constants, inputs))
    need_finite(fit.law, losses[0])
    return losses


def need_finite(law: str, losses: np.ndarray | float) -> None:
    """`BadInput` where a predicted loss is not finite, since comparisons with NaN would pass unnoticed."""
    if not np.all(np.isfinite(losses)):
        raise BadInput(
            f"the law {law} with these constants has no finite loss at what is asked: check the constants of the fit, "
            "and the model or the schedule."
        )


@lru_cache(maxsize=64)
def _evaluator(law: Law, names: tuple[str, ...]):
    import jax

    def losses(rows, inputs):
        return jax.lax.map(lambda row: law.predict(dict(zip(names, row, strict=True)), inputs), rows)

    return jax.jit(losses)


def _coordinates(fit: LossFit, inputs: Mapping[str, np.ndarray], at: np.ndarray | None) -> dict[str, np.ndarray]:
    """The axes of a question [points]; of a curve, an early point is not one of a short horizon."""
    values = axes(fit.model, inputs, at)
    if "steps" in values and "steps" in fit.ranges and len(values["steps"]):
        values["steps"] = np.maximum(values["steps"], min(values["steps"].max(), fit.ranges["steps"][0]))
    return values


def _reach(
    fit: LossFit, coordinates: Mapping[str, np.ndarray], distance: np.ndarray, at: np.ndarray | None, losses: np.ndarray
) -> Extrapolation:
    """How far a question lies outside the data of the fit: of a curve, its last point."""
    place = _farthest(coordinates, distance) if at is None else int(np.argmax(at))
    values = {name: float(value[place]) for name, value in coordinates.items()}
    unit = unit_of(fit)
    ends = (losses[0].min(), losses[0].max()) if unit in LOG_BASES else ()
    wrong = [text for loss in ends for text in impossible_loss(float(loss), unit=unit)]
    share = form_share(fit, losses[1:, place], float(distance[place]))
    return replace(extrapolation(values, fit.ranges, list(dict.fromkeys(wrong))), form=share)


def _farthest(coordinates: Mapping[str, np.ndarray], distance: np.ndarray) -> int:
    """The point that lies farthest outside the ranges in any axis; of several, the one with the fewest tokens for N."""
    if not coordinates:
        return 0
    ratio = coordinates.get("tokens_per_param", next(iter(coordinates.values())))
    return int(np.lexsort((ratio, -distance))[0])
