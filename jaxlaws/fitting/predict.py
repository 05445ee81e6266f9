"""Predicting the loss of a new run from a fit, a fit file or published constants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxlaws.errors import BadInput, unknown
from jaxlaws.extrapolation import Extrapolation, extrapolation, impossible_loss
from jaxlaws.fitting.axes import axes
from jaxlaws.fitting.resample import FEW
from jaxlaws.fitting.result import LossFit
from jaxlaws.inputs import INPUTS, Input
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
      value: at the constants of the fit; a number, or an array along a curve.
      low, high: the interval in which the loss of one new run lies at `level` (constants, run and point all uncertain);
        None where the fit has no resamples, as published constants have none.
      level: of the interval.
      extrapolation: how far the question lies outside the data of the fit; of a curve, its end.
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
    if variant and not Path(text).exists():
        from jaxlaws.laws.table import LAWS, get

        law = get(law_name)
        if variant not in law.presets:
            if not law.presets:
                raise BadInput(f"the law {law_name} has no preset; valid: {', '.join(preset_names(LAWS))}.")
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
    """The loss of a new run: of a model and a token budget, or along a schedule.

    Args:
      fit: a `Fit`, a fit file, or a preset such as `multi_power:25M`.
      curve: a schedule with the points asked for; its loss is not read.
      lr: [steps] the schedule, instead of `curve`.
      at: [points] last step before each loss; the end of the schedule without it.
      warmup_steps: leading steps of `lr` that are warm-up.
      params_column: what `params` counts; refused where the fit counts otherwise.
      warmup_ld: convention of the warm-up; refused where the fit has another.
      **inputs: what else the law reads, by the names of the columns of a table: params, tokens, batch_tokens, … Steps
        are tokens / batch_tokens where they are not given, and the reverse.

    Raises:
      BadInput: something that the law needs is missing, a convention differs, or the law has no finite loss there.
    """
    fit = open_fit(fit)
    _same_convention(fit, "params", params_column)
    _same_convention(fit, "warmup_ld", warmup_ld)
    if curve is not None:
        lr, at, warmup_steps = curve.lr, curve.at, curve.warmup_steps
        inputs = {**curve.logged, **inputs}
    read, at, single = _inputs(fit, inputs, lr, at, warmup_steps)
    values = evaluate(fit, read)
    low, high = _edges(values[0], _new_runs(fit, values[1:]), fit.level)
    reach = _reach(fit, read, at, values[0])
    warnings = (*require_trusted(fit, fit.law, force=True), *reach.sentences())
    if single:
        least, most = (None if edge is None else float(edge[0]) for edge in (low, high))
        return Prediction(float(values[0, 0]), least, most, fit.level, reach, warnings)
    return Prediction(values[0], low, high, fit.level, reach, warnings)


def final_losses(fit: LossFit, lr: np.ndarray, warmup_steps: int = 0, **inputs: Any) -> np.ndarray:
    """[1 + draws] losses at the end of a schedule: at the constants of the fit, then at its resampled ones."""
    read, _, _ = _inputs(fit, inputs, lr, None, warmup_steps)
    return evaluate(fit, read)[:, 0]


def _same_convention(fit: LossFit, key: str, given: str | None) -> None:
    held = fit.convention.get(key)
    if given is not None and held is not None and given != held:
        raise BadInput(
            f"the fit of {fit.law} holds for {key} {held}, asked for {given}: constants do not convert, fit again."
        )


def _inputs(
    fit: LossFit, given: Mapping[str, Any], lr: np.ndarray | None, at: np.ndarray | None, warmup_steps: int
) -> tuple[dict[str, np.ndarray], np.ndarray | None, bool]:
    """What the law reads, at which steps of a curve, and whether one number is asked for."""
    from jaxlaws.fitting.points import curve_inputs, read_logged

    law = fit.model
    values = keywords(law, given, fit.convention)
    if law.kind == "point":
        if lr is not None:
            raise BadInput(f"the law {law.name} reads model and tokens, not a schedule: give params and tokens.")
        return {key: value[None] for key, value in values.items()}, None, True
    if lr is None:
        raise BadInput(f"the law {law.name} predicts along a schedule: give one (--schedule, or lr=).")
    if np.any(~np.isfinite(lr)) or np.any(np.asarray(lr) < 0):
        raise BadInput("the schedule has a learning rate that is negative or not a number.")
    points = np.array([len(lr) - 1]) if at is None else np.asarray(at)
    if len(points) and not 0 <= points.min() <= points.max() < len(lr):
        raise BadInput(f"a point at step {points.max()} is asked for, the schedule has {len(lr)} steps.")
    read = curve_inputs(lr, points, warmup_steps, fit.convention.get("warmup_ld", "included"), values)
    for key, value in read_logged(law, given, "the question").items():
        if value.shape != points.shape:
            raise BadInput(f"{INPUTS[key].column} has the shape {value.shape}, expected one value for every point.")
        read[key] = value
    read |= {key: np.repeat(value[None], len(points), 0) for key, value in values.items()}
    return {key: read[key] for key in {*law.inputs, "S", "peak"}}, points, at is None


#: Each of these from the two others.
_BUDGET = {
    "tokens": lambda given: given["batch_tokens"] * given["steps"],
    "steps": lambda given: given["tokens"] / given["batch_tokens"],
    "batch_tokens": lambda given: given["tokens"] / given["steps"],
}


def keywords(law: Law, given: Mapping[str, Any], convention: Mapping[str, str]) -> dict[str, np.ndarray]:
    """What a law reads besides a schedule, from keywords named as columns: symbol → number, or [names] of several.

    Raises:
      BadInput: a keyword is unknown or missing, the law does not read it, or a value is not what it is defined for.
    """
    rows = {row.column: row for row in INPUTS.values() if row.column}
    for name in given:
        if name not in rows:
            raise unknown("input", name, rows)
    stated = {name: value for name, value in given.items() if value is not None and rows[name].of_run}
    reads = {INPUTS[key].column: key for key in law.inputs if INPUTS[key].of_run}
    made = [name for name in _BUDGET if name in reads and name not in stated and set(_BUDGET) - {name} <= set(stated)]
    for name in stated:
        if name not in reads and not (made and name in _BUDGET):
            expected = f"it reads {', '.join(reads)}" if reads else "it reads a schedule only"
            raise BadInput(f"the law {law.name} does not read {name}: leave out {_flag(name)}; {expected}.")
    values = {name: _value(value, rows[name], convention) for name, value in stated.items()}
    values |= {name: _BUDGET[name](values) for name in made}
    for name in reads:
        if name not in values:
            short = {"steps": "tokens" if "batch_tokens" in values else "batch_tokens"}.get(name, name)
            raise BadInput(f"the law {law.name} needs {short}: give {_flag(short)} ({short}= in Python).")
    return {key: values[name] for name, key in reads.items()}


def _flag(column: str) -> str:
    return f"--{column.replace('_', '-')}"


def _value(value: Any, row: Input, convention: Mapping[str, str]) -> np.ndarray:
    """A number that an input may have, or [names] of an input of several columns."""
    if row.many:
        return _several(value, row.column, convention.get(row.column, "").split(","))
    number = np.asarray(value, np.float64)
    if number.ndim or not (np.isfinite(number) and (number >= 0 if row.zero else number > 0)):
        expected = "a number of at least 0" if row.zero else "a positive number"
        raise BadInput(f"{row.column} is {value}, expected {expected}.")
    return number


def _several(given: Mapping[str, float], name: str, parts: Sequence[str]) -> np.ndarray:
    """[parts] an input of several columns; what is not named is 0."""
    for part, value in given.items():
        if part not in parts:
            raise unknown(name, part, parts)
        if not (np.isfinite(value) and value >= 0):
            raise BadInput(f"{name}.{part} is {value}, expected a number of at least 0.")
    return np.array([float(given.get(part, 0.0)) for part in parts])


def evaluate(fit: LossFit, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """[1 + draws, points] losses, row 0 at the constants of the fit, which is finite."""
    import jax

    constants = np.array(fit.rows(), np.float64)
    with jax.enable_x64(True):
        losses = np.asarray(_evaluator(fit.model, tuple(fit.params))(constants, inputs))
    need_finite(fit.law, losses[0])
    return losses


def need_finite(law: str, losses: np.ndarray | float) -> None:
    """`BadInput` where a predicted loss is not a finite number, which every comparison would pass over."""
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


def _new_runs(fit: LossFit, values: np.ndarray) -> np.ndarray:
    """Losses [draws, points] of new runs: draws · offset of a run · scatter of a point."""
    if len(values) < FEW:
        return values
    rng = np.random.default_rng(0)
    rows = np.repeat(values, max(1, 2000 // len(values)), 0)
    noise = rng.choice(np.asarray(fit.scatter["quantiles"]), len(rows)) + fit.scatter["offset"] * rng.standard_normal(
        len(rows)
    )
    if fit.model.signed:
        return rows + fit.scatter["size"] * noise[:, None]
    return rows * np.exp(noise)[:, None]


def _edges(value: np.ndarray, draws: np.ndarray, level: float) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The central interval of draws [draws, points] at `level`, wide enough to hold the value [points].

    None where there are too few finite draws, or where they do not differ and so say nothing of the uncertainty.
    """
    draws = draws[np.all(np.isfinite(draws), axis=1)]
    if len(draws) < FEW:
        return None, None
    low, high = np.percentile(draws, (50 * (1 - level), 50 * (1 + level)), axis=0)
    low, high = np.minimum(low, value), np.maximum(high, value)
    return (low, high) if np.all(high > low) else (None, None)


def _reach(fit: LossFit, inputs: dict[str, np.ndarray], at: np.ndarray | None, losses: np.ndarray) -> Extrapolation:
    """How far a question lies outside the data of the fit: of a curve, its last point."""
    last = 0 if at is None else int(np.argmax(at))
    values = {name: float(value[last]) for name, value in axes(fit.model, inputs).items()}
    if at is not None:
        values["steps"] = float(at[last] + 1)
    unit = unit_of(fit)
    ends = (losses.min(), losses.max()) if fit.model.convention.get("loss") == "nats" else ()
    wrong = [text for loss in ends for text in impossible_loss(float(loss), unit=unit)]
    return extrapolation(values, fit.ranges, list(dict.fromkeys(wrong)))
