"""A transformer of about N parameters for a command to train: a named size, or a usual shape."""

from __future__ import annotations

import math

from jaxlaws.recommender.question import Question

#: `model=NAME` → N, non-embedding, as docs/models.md has it.
LADDER = {
    "6k": 5_968,
    "12k": 11_640,
    "25k": 25_248,
    "55k": 55_536,
    "100k": 100_672,
    "220k": 221_360,
    "440k": 443_232,
    "1m": 1_004_928,
    "2m": 2_029_632,
    "4m": 3_955_456,
    "10m": 10_179_456,
    "25m": 25_207_296,
    "50m": 49_575_040,
    "124m": 127_430_400,
    "250m": 253_010_944,
    "350m": 350_407_296,
    "500m": 509_118_720,
    "1b": 1_004_991_232,
}
#: Largest relative difference in N between a named size and the question that takes the name.
_NEAR = 0.02
#: Share of N by which it may change for a width of the MLP that hardware likes.
_ROUNDED = 0.004
#: Width over depth of a usual shape, and width of a head from each N on.
_ASPECT, _HEADS = 64.0, {0.0: 16, 1e7: 64, 1e9: 128}


def model(q: Question) -> dict[str, str]:
    """The arguments of `jaxlaws train` for a model of q.params parameters, as wide and deep as the question says."""
    if q.width is None or q.layers is None:
        name = min(LADDER, key=lambda name: abs(LADDER[name] - q.params))
        if abs(LADDER[name] - q.params) <= _NEAR * q.params:
            return {"model": name}
        width, depth, head = _usual(q.params)
    else:
        width, depth = q.width, q.layers
        head = next((size for size in (128, 64, 32, 16, 8, 4, 2) if width % size == 0), 0)
        if not head or _mlp(q.params, width, depth) < 1:
            width, depth, head = _usual(q.params)
    shape = {"width": width, "depth": depth, "heads": width // head, "mlp_width": _mlp(q.params, width, depth)}
    return {f"model.{name}": str(value) for name, value in shape.items()}


def _usual(params: float) -> tuple[int, int, int]:
    """(width, depth, width of a head): near width = 64 · depth, and an MLP near 8/3 of the width."""
    head = [size for start, size in _HEADS.items() if params >= start][-1]
    about = (params * _ASPECT / 12) ** (1 / 3) / head
    step = max(1, round(about / 40))
    choices = []
    for count in range(max(1, int(about / 2)), int(2 * about) + 2, step):
        width = head * count
        depth = max(1, round(params / (12 * width * width)))
        wide = _mlp(params, width, depth) / width
        if wide > 0:
            choices.append((abs(math.log(3 * wide / 8)) + 0.3 * abs(math.log(width / depth / _ASPECT)), width, depth))
    _, width, depth = min(choices, default=(0.0, 2, 1))
    return width, depth, min(head, width)


def _mlp(params: float, width: int, depth: int) -> int:
    """Hidden width of a SwiGLU MLP with which N = depth · (4 d² + 3 d f + 2 d) + d.

    A multiple of a power of two, as hardware likes it, where that changes N by at most `_ROUNDED`.
    """
    exact = ((params - width) / depth - 4 * width * width - 2 * width) / (3 * width)
    most = 2 * _ROUNDED * params / (3 * width * depth)
    multiple = next((size for size in (256, 128, 64, 32, 16, 8, 4, 2) if size <= most), 1)
    return multiple * round(exact / multiple)
