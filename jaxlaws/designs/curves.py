"""Non-increasing curves of a few real variables: the forms of a designed schedule, as blocks of constant LR.

A form gives its curve as `blocks`, differentiable and at a cost that does not grow with the steps, and as the array
that it stands for; both relative to the peak and after the warm-up. The first `stable` steps stay at the peak.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

#: Blocks that stand for one slope, and for a whole decay.
_BLOCKS, _DECAY_BLOCKS = 64, 512
#: Share of the peak that no curve falls below: a law may ask for an LR of 0, at which sums over LRs have no ratio.
LEAST = 1e-6


class Form(NamedTuple):
    """A form of curve.

    Attributes:
      size: variables.
      start: random generator → x [size].
      blocks: (x, steps, stable) → (levels, widths), traceable.
      values: (x, steps, stable) → [steps].
    """

    size: int
    start: Callable[[np.random.Generator], np.ndarray]
    blocks: Callable[[Any, Any, Any], tuple[Any, Any]]
    values: Callable[[np.ndarray, int, int], np.ndarray]


@lru_cache(maxsize=8)
def free(parts: int = 6) -> Form:
    """Parts of free length, each a sudden drop (or none) and then a line down (or flat).

    x holds ln of the parts' lengths over the first one's, then ln of the drops of ln LR at their beginnings, then along
    them. The optimum of a law that rewards sudden drops and that of one that rewards a slope are both such curves.
    """

    def pieces(x, steps, stable, xp):
        share = xp.exp(xp.concatenate([xp.zeros(1), x[: parts - 1]]))
        drop, slope = xp.exp(x[parts - 1 : 2 * parts - 1]), xp.exp(x[2 * parts - 1 :])
        down = xp.cumsum(drop + slope)
        return (steps - stable) * share / xp.sum(share), _level(slope - down, xp), _level(-down, xp)

    def blocks(x, steps, stable):
        lengths, begin, end = pieces(x, steps, stable, jnp)
        # Blocks lie denser towards the end of a part, as long as they are not shorter than a step.
        power = jnp.clip(jnp.log(jnp.maximum(lengths, 1.0)) / np.log(_BLOCKS), 1.0, 2.0)
        grid = np.linspace(1, 0, _BLOCKS + 1)[None]
        rest = jnp.where(grid > 0, np.maximum(grid, 1e-9) ** power[:, None], 0.0)
        middle = 1 - (rest[:, :-1] + rest[:, 1:]) / 2
        levels = begin[:, None] + (end - begin)[:, None] * middle
        widths = -lengths[:, None] * jnp.diff(rest, axis=1)
        return jnp.concatenate([jnp.ones(1), levels.ravel()]), jnp.concatenate([jnp.reshape(stable, 1), widths.ravel()])

    def values(x, steps, stable):
        lengths, begin, end = pieces(x, float(steps), float(stable), np)
        edges = np.rint(stable + np.r_[0, np.cumsum(lengths)]).astype(int)
        # The last part has a step at least: a law may ask for a drop just before the end.
        edges[:-1] = np.minimum(edges[:-1], max(steps - 1, stable))
        lr = np.ones(steps)
        for i, (first, last) in enumerate(pairwise(edges)):
            lr[first:last] = begin[i] + (end[i] - begin[i]) * (np.arange(last - first) + 0.5) / max(last - first, 1)
        return lr

    def start(rng):
        drops, slopes = rng.uniform(0.3, 1.5, parts), rng.uniform(0.02, 0.1, parts)
        return np.r_[-np.sort(rng.uniform(0, 6, parts - 1)), np.log(drops), np.log(slopes)]

    return Form(3 * parts - 1, start, blocks, values)


@lru_cache(maxsize=8)
def knotted(knots: int) -> Form:
    """The peak, then a decay of free length that is linear between equally spaced knots, with a free LR at each.

    Inside a decay of n steps that begins at step s, u = (t−s+1)/n. One knot is a linear cooldown to a free floor. x
    holds the logit of the decay's share of the steps, of which it has one at least, then ln of the drops of ln LR from
    knot to knot.
    """

    def shape(x, steps, stable, xp):
        heights = _level(-xp.cumsum(xp.concatenate([xp.zeros(1), xp.exp(x[1:])])), xp)
        least = xp.minimum(1.0, steps - stable)
        return least + (steps - stable - least) / (1 + xp.exp(-x[0])), heights

    def blocks(x, steps, stable):
        length, heights = shape(x, steps, stable, jnp)
        rest = np.linspace(1, 0, _DECAY_BLOCKS + 1) ** 1.5
        levels = jnp.interp(1 - (rest[:-1] + rest[1:]) / 2, np.linspace(0, 1, knots + 1), heights)
        widths = jnp.concatenate([(steps - length)[None], -length * np.diff(rest)])
        return jnp.concatenate([jnp.ones(1), levels]), widths

    def values(x, steps, stable):
        length, heights = shape(x, steps, stable, np)
        u = (np.arange(steps) + 1 - (steps - length)) / max(length, 1.0)
        return np.interp(u, np.linspace(0, 1, knots + 1), heights)

    def start(rng):
        return np.r_[rng.uniform(-2, 1), np.log(rng.uniform(1, 5) / knots) + 0.3 * rng.standard_normal(knots)]

    return Form(1 + knots, start, blocks, values)


def _level(log: Any, xp: Any) -> Any:
    """The share of the peak of its logarithm, above `LEAST`."""
    return LEAST + (1 - LEAST) * xp.exp(log)
