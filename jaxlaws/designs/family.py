"""The numbers of a named schedule family with the lowest loss by a fitted law."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from jaxlaws.designs.objective import final_loss
from jaxlaws.designs.schedule import Design, check, curve_law
from jaxlaws.errors import BadInput
from jaxlaws.fitting.result import LossFit
from jaxlaws.schedules.config import family
from jaxlaws.schedules.shapes import SHAPES
from jaxlaws.schedules.spec import ScheduleConfig, parse, schedule_array, spec_string

#: Field of a family that the search varies → its range.
RANGES: dict[str, tuple[float, float]] = {
    "floor": (0.0, 1.0),
    "cooldown": (0.01, 1.0),
    "descent": (0.0, 0.9),
    "level": (0.01, 1.0),
    "phi": (0.02, 4.0),
}
#: Lowest floor of an exponential decay and of the infinite schedule.
_LEAST = 1e-4
#: Steps of the smaller schedule of the search.
_STEPS = 2048


def best_of_family(
    fit: LossFit,
    spec: str,
    steps: int,
    peak_lr: float | tuple[float, float],
    warmup_steps: int = 0,
    **inputs: Any,
) -> Design:
    """The schedule of one family with the lowest predicted final loss.

    Numbers that the spec gives stay, such as the shape in `wsd(shape=1-sqrt)`; the others of `RANGES`, and the decay's
    shape, are searched by steps along each that shrink, from three starts a shape, on a schedule of at most 2048 steps;
    the answer is then made and weighed at full length.

    Args:
      fit: of a law of loss along a schedule.
      spec: a family, with the numbers that are not searched.
      steps: T, warm-up included.
      peak_lr: or the range in which it is free.
      warmup_steps: W.
      **inputs: what else the law reads, by the names of the columns of a table: params, …

    Raises:
      BadInput: an impossible request, a fit that no schedule can be designed with, or a loss that is not finite.
    """
    _, extra = curve_law(fit, inputs)
    low, high = peak_lr if isinstance(peak_lr, tuple) else (peak_lr, peak_lr)
    check([steps], warmup_steps, low)
    settings = parse(spec)
    fields = family(settings["name"]).fields
    if not family(settings["name"]).warmup:
        raise BadInput(f"schedule '{settings['name']}' is read from a file and has no numbers to design.")
    names = [name for name in fields if name in RANGES and name not in settings]
    names = [name for name in names if not (name == "floor" and "floor_lr" in settings)]
    if low < high:
        names.append("peak")
    shapes = list(SHAPES) if "shape" in fields and "shape" not in settings else [None]
    if not names and shapes == [None]:
        raise BadInput(f"'{spec}' leaves no number free: leave out the ones that the design is to find.")
    scale = min(1.0, _STEPS / steps)
    small = max(round(steps * scale), 2)
    small_warmup = min(round(warmup_steps * scale), small - 1)

    def config(numbers: dict[str, float], shape: str | None, warmup: int) -> tuple[ScheduleConfig, float]:
        candidate = ScheduleConfig(**{**settings, "warmup_steps": warmup, "shape": shape or settings.get("shape")})
        numbers = dict(numbers)
        peak = low * (high / low) ** numbers.pop("peak", 0.0)
        if (candidate.shape or fields.get("shape")) == "exponential" or settings["name"] == "infinite":
            numbers["floor"] = max(numbers.get("floor", candidate.floor or 0.0), _LEAST)
        if "floor" in numbers and "level" in numbers:
            numbers["floor"] = min(numbers["floor"], numbers["level"])
        return ScheduleConfig(**{**vars(candidate), **numbers}), peak

    def value(shape: str | None, numbers: dict[str, float]) -> float:
        candidate, peak = config(numbers, shape, small_warmup)
        lr = schedule_array(candidate, small, peak)
        return final_loss(fit, lr, small_warmup, extra, stretch=steps / small)

    results = []
    for shape, start in product(shapes, (0.15, 0.4, 0.8)):
        results.append((*_compass(partial(value, shape), names, start), shape))
    _, numbers, shape = min(results, key=lambda one: one[0])
    candidate, peak = config({name: float(f"{number:.4g}") for name, number in numbers.items()}, shape, warmup_steps)
    lr = schedule_array(candidate, steps, peak)
    loss = final_loss(fit, lr, warmup_steps, extra)
    return Design((lr,), (loss,), warmup_steps, peak, spec_string(candidate), tuple(sorted(one[0] for one in results)))


def _compass(
    value: Callable[[dict[str, float]], float], names: list[str], start: float
) -> tuple[float, dict[str, float]]:
    """The lowest value from `start`, a share of every range, by steps that halve when none of them helps."""
    ranges = {name: RANGES.get(name, (0.0, 1.0)) for name in names}
    x = {name: low + (high - low) * start**2 for name, (low, high) in ranges.items()}
    best, step = value(x), 0.25
    while step > 1e-4:
        progress = False
        for trial in _around(x, ranges, step):
            level = value(trial)
            if level < best - 1e-10:
                x, best, progress = trial, level, True
                break
        if not progress:
            step /= 2
    return best, x


def _around(x: dict[str, float], ranges: dict[str, tuple[float, float]], step: float) -> Iterator[dict[str, Any]]:
    for name, (low, high) in ranges.items():
        for sign in (1, -1):
            place = float(np.clip(x[name] + sign * step * (high - low), low, high))
            if place != x[name]:
                yield {**x, name: place}
