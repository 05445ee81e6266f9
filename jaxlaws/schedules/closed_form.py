"""A schedule as text: the expression of every stretch of steps, for other programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np

from jaxlaws.schedules.config import ScheduleConfig, numbers
from jaxlaws.schedules.spec import schedule_array, warmup_steps

#: Decay → its expression in u, as in `jaxlaws.schedules.shapes.SHAPES` at a floor of 0; the exponential has none.
FORMS = {
    "linear": "1 - {u}",
    "1-sqrt": "1 - sqrt({u})",
    "power-1.5": "(1 - {u}) ** 1.5",
    "square": "1 - {u} ** 2",
    "cosine": "0.5 * (1 + cos(pi * {u}))",
    "rex": "(1 - {u}) / (0.5 + 0.5 * (1 - {u}))",
}
#: Warm-up → its expression in v = k / W.
WARMUPS = {"linear": "{v}", "cosine": "0.5 * (1 - cos(pi * {v}))", "sqrt": "sqrt({v})"}
#: Largest error, as a share of the peak, of the straight lines that stand for a schedule from a file.
TOLERANCE = 1e-5


class Piece(NamedTuple):
    """Steps after the piece before it up to k = last, and the share of the peak LR there.

    Attributes:
      last: k = t + 1 of its last step.
      text: an expression in k, with sqrt, cos and pi.
    """

    last: int
    text: str


def closed_form(config: ScheduleConfig, steps: int, peak_lr: float) -> list[Piece]:
    """The schedule of a family that has a formula, in pieces that cover k = 1 … steps."""
    schedule_array(config, steps, peak_lr)
    values = numbers(config)
    if "floor" in values and config.floor_lr is not None:
        values["floor"] = config.floor_lr / peak_lr
    warmup = warmup_steps(config, steps)
    bodies = _FAMILIES[config.name](steps, warmup, values, peak_lr)
    rise = WARMUPS[config.warmup_shape].format(v=f"k / {warmup}")
    pieces: list[Piece] = []
    for piece in (Piece(warmup - 1, rise), *bodies):
        if pieces and piece == (warmup, "1.0"):
            pieces[-1] = Piece(warmup, rise)
        elif piece.last > (pieces[-1].last if pieces else 0):
            pieces.append(piece)
    return pieces


def knots(lr: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(k = t + 1, share of the peak) of as few steps of lr[steps] as `TOLERANCE` allows, between which it is linear."""
    share, ends = lr / lr.max(), [0]
    last = len(share) - 1
    while ends[-1] < last:
        start, reach = ends[-1], 1
        while start + 2 * reach <= last and _is_line(share, start, start + 2 * reach):
            reach *= 2
        low, high = start + reach, min(start + 2 * reach, last + 1)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if _is_line(share, start, middle) else (low, middle)
        ends.append(min(low, last))
    return np.array(ends) + 1, share[ends]


def _is_line(share: np.ndarray, start: int, end: int) -> bool:
    line = np.linspace(share[start], share[end], end - start + 1)
    return bool(np.abs(line - share[start : end + 1]).max() <= TOLERANCE)


def _decay(start: int, length: int, form: str, floor: float, level: float = 1.0) -> Piece:
    """`level` · form(u, floor / level) over `length` steps after `start`, u = (k − start)/length."""
    u, f = f"((k - {start}) / {length})" if start else f"(k / {length})", float(floor) / float(level)
    if form == "exponential":
        text = f"{f!r} ** {u}"
    else:
        text = FORMS.get(form, form).format(u=u)
        text = f"{f!r} + {1 - f!r} * ({text})" if f else text
    return Piece(start + length, text if level == 1 else f"{float(level)!r} * ({text})")


def _whole(length: float) -> int:
    return int(np.rint(length))


def _flat(steps: int, warmup: int, values: dict, peak_lr: float) -> Iterator[Piece]:
    yield Piece(steps, "1.0")


def _to_the_end(form: str) -> Callable[..., Iterator[Piece]]:
    def pieces(steps: int, warmup: int, values: dict, peak_lr: float) -> Iterator[Piece]:
        text = form
        if "phi" in values:
            phi, c = float(values["phi"]), "(1 + cos(pi * {u}))"
            text = f"2 * {c} / ({2 * phi!r} + {2 - phi!r} * {c})"
        yield Piece(warmup, "1.0")
        yield _decay(warmup, steps - warmup, text, values["floor"])

    return pieces


def _wsd(steps: int, warmup: int, values: dict, peak_lr: float) -> Iterator[Piece]:
    length = min(_whole(values["cooldown"] * steps), steps - warmup)
    yield Piece(steps - length, "1.0")
    yield _decay(steps - length, length, values["shape"], values["floor"])


def _edges(origin: int, steps: int, values: dict) -> list[int]:
    lengths = [values["growth"] ** i for i in range(values["cycles"])]
    inner = [origin + (steps - origin) * total / sum(lengths) for total in accumulate(lengths[:-1])]
    return [origin, *map(_whole, inner), steps]


def _cosine_restarts(steps: int, warmup: int, values: dict, peak_lr: float) -> Iterator[Piece]:
    yield Piece(warmup, "1.0")
    for start, end in pairwise(_edges(warmup, steps, values)):
        yield _decay(start, end - start, "cosine", values["floor"])


def _wsd_cycles(steps: int, warmup: int, values: dict, peak_lr: float) -> Iterator[Piece]:
    for start, end in pairwise(_edges(0, steps, values)):
        length = min(_whole(values["cooldown"] * (end - start)), end - max(start, min(warmup, end)))
        yield Piece(end - length, "1.0")
        yield _decay(end - length, length, values["shape"], values["floor"])


def _step(steps: int, warmup: int, values: dict, peak_lr: float) -> Iterator[Piece]:
    edges = [*(_whole(share * steps) for share in values["milestones"]), steps]
    for last, value in zip(edges, [1.0, *values["values"]], strict=True):
        yield Piece(last, repr(float(value)))


def _infinite(steps: int, warmup: int, values: dict, peak_lr: float) -> Iterator[Piece]:
    down = min(_whole(values["descent"] * steps), steps - warmup)
    last = min(_whole(values["cooldown"] * steps), steps - warmup - down)
    yield Piece(warmup, "1.0")
    yield _decay(warmup, down, "cosine", values["level"])
    yield Piece(steps - last, repr(float(values["level"])))
    yield _decay(steps - last, last, "exponential", values["floor"], values["level"])


def _inverse_sqrt(steps: int, warmup: int, values: dict, peak_lr: float) -> Iterator[Piece]:
    origin, floor = max(warmup, 1), values["floor"]
    bend = min(steps, int(origin / floor**2)) if floor else steps
    pieces = [Piece(bend, f"sqrt({origin} / k)"), Piece(steps, repr(float(floor)))]
    yield from _trunk(pieces, lambda k: max((origin / max(k, origin)) ** 0.5, floor), steps, warmup, values)


def _power(steps: int, warmup: int, values: dict, peak_lr: float) -> Iterator[Piece]:
    batch, b = values["batch_sequences"], values["b"]
    scale = batch * values["a"] * (batch * values["seq_len"]) ** b / peak_lr
    bend = int(min(float(steps), scale ** (-1 / b)))
    pieces = [Piece(bend, "1.0"), Piece(steps, f"{scale!r} * k ** {b!r}")]
    yield from _trunk(pieces, lambda k: min(1.0, scale * k**b), steps, warmup, values)


def _trunk(
    pieces: list[Piece], share: Callable[[int], float], steps: int, warmup: int, values: dict
) -> Iterator[Piece]:
    """The pieces up to the cooldown, and a decay from their level at its start."""
    length = min(_whole(values["cooldown"] * steps), steps - warmup)
    start = steps - length
    for piece in pieces:
        yield Piece(min(piece.last, start), piece.text)
    yield _decay(start, length, values["shape"], values["floor"], share(max(start, 1)))


_FAMILIES: dict[str, Callable[..., Iterator[Piece]]] = {
    "constant": _flat,
    "cosine": _to_the_end("cosine"),
    "linear": _to_the_end("linear"),
    "rex": _to_the_end("rex"),
    "uba": _to_the_end(""),
    "wsd": _wsd,
    "cosine_restarts": _cosine_restarts,
    "wsd_cycles": _wsd_cycles,
    "inverse_sqrt": _inverse_sqrt,
    "step": _step,
    "infinite": _infinite,
    "power": _power,
}
