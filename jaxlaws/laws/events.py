"""Schedules as weighted events: the double sum of a curve law over steps and earlier drops, in O(points · log steps).

The drops of a schedule are held in a binary tree over steps. For each point a block of drops is replaced by at most
two events that match its mass and first three moments (Gauss quadrature) once it is small against its distance from the
point, in steps, in LR sum and in LR; otherwise it is opened. Single drops are therefore kept exactly where it matters.

What a block may err by. Let its drops have the mass m and lie within w of a distance u from the point. The rule of two
events is exact for cubics, so that it errs by m·max|κ⁗|/4!·E[q²], where q is the monic quadratic of the least mean
square over the drops; E[q²] ≤ w⁴/64 for any drops, by the Chebyshev polynomial, and w⁴/180 for even ones. The kernels
are κ = 1 − h with h a mixture of e^{−ρu} of weight 1, for which u⁴·|h⁗| ≤ max (ρu)⁴·e^{−ρu} = 4⁴·e^{−4} = 4.69. Both
give m·(w/u)⁴ over 1536/4.69 = 327 for the worst drops and a single ρ, over 921 for even ones: 400 is between. A kernel
measures u in steps or in LR sum; w/u is the mean of both, which are equal at a constant LR. Where the LR has fallen far
since, a kernel of the LR sum may err by up to 2⁴ times that.

A kernel that depends on η^-γ·u is moved by the LR as by u: with γ ≤ 1 the change of ln η along the block, its slope
times w, adds to w/u. What is left of ln η beside that line has a mean of 0, no covariance with the position and the
variance v, and errs by m·v/2·max|∂²κ/∂(ln η)²|. For h = e^{−x} that is γ²·max|x(x − 1)e^{−x}| = .31·γ², so the error is
m·v/8 for γ ≤ .9.

A block is accepted where the sum of both is at most the tolerance: (m/peak)·((w/u + slope·w)⁴/400 + v/8).
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from jaxlaws.inputs import INPUTS
from jaxlaws.laws.curves.bound import lr_noise
from jaxlaws.laws.schedule import LEAST, first_change

#: Largest error that one block may add, as a share of (total drop) · (kernel between 0 and 1).
TOLERANCE = 2e-6


def inputs(
    lr: np.ndarray,
    at: np.ndarray,
    warmup_steps: int = 0,
    warmup_ld: str = "included",
    tolerance: float = TOLERANCE,
    phase_start: int | None = None,
    reads: Collection[str] | None = None,
) -> dict[str, np.ndarray]:
    """What curve laws read of a schedule at the points `at`.

    Args:
      lr: [steps] LR of every step.
      at: [points] index of the last step before each loss.
      warmup_steps: leading steps of warm-up.
      warmup_ld: `included` counts the (negative) drops of the warm-up as events, `excluded` leaves them out.
      tolerance: of a block of drops; 0 keeps every drop.
      phase_start: first step of a second phase; no block of drops lies in both.
      reads: inputs of a law; without one of `V` or of events among them, those are not computed.

    Returns:
      `S` LR sum with warm-up, `V` LR noise (`lr_noise`), `lr`, `peak`, `onset`, and `S_phase` and `age_phase`, the
      LR sum and the steps of the second phase, [points]; and for every event `drop` η_{k−1} − η_k, `lr_sum` S_k,
      `sum_at` T_k = Σ_{i≤k} η_i, `sum_after` S − T_k, `age` n_k = t − k + 1 and `log_lr` ln η_k [points, events],
      padded with drops of zero.
    """
    lr, at = np.asarray(lr, np.float64), np.asarray(at, np.int64)
    total = np.concatenate([[0.0], np.cumsum(lr)])
    first = first_change(warmup_steps, warmup_ld)
    start = len(lr) if phase_start is None else phase_start
    out = {
        "S": total[at + 1],
        "S_phase": np.maximum(total[at + 1] - total[start], 0.0),
        "age_phase": np.maximum(at + 1.0 - start, 0.0),
        "lr": lr[at],
        "peak": np.full(len(at), float(lr.max())),
        "onset": np.full(len(at), float(lr[min(first, len(lr)) - 1])),
    }
    if reads is None or "V" in reads:
        out["V"] = lr_noise(lr, at)
    if reads is None or any(INPUTS[name].events is not None for name in reads):
        out |= _events(lr, at, total, first, tolerance, phase_start)
    return out


def _events(
    lr: np.ndarray, at: np.ndarray, total: np.ndarray, first: int, tolerance: float, phase_start: int | None
) -> dict[str, np.ndarray]:
    """The inputs [points, events] of `inputs`; `total` [steps + 1] is the LR sum before each step."""
    drops = np.zeros_like(lr)
    drops[first:] = lr[first - 1 : -1] - lr[first:]
    peak = float(lr.max())
    phases = [(drops, at)]
    if phase_start is not None:
        late = np.arange(len(lr)) >= phase_start
        phases = [(np.where(late, 0.0, drops), np.minimum(at, phase_start - 1)), (np.where(late, drops, 0.0), at)]
    atoms = [
        _select(sign * change, sign, lr, total, until, tolerance * peak)
        for sign in (1.0, -1.0)
        for change, until in phases
    ]
    point, step, drop, log_lr = (np.concatenate(parts) for parts in zip(*atoms, strict=True))
    order = np.argsort(point, kind="stable")
    point, step, drop, log_lr = point[order], step[order], drop[order], log_lr[order]
    count = np.bincount(point, minlength=len(at))
    column = np.arange(len(point)) - np.repeat(np.cumsum(count) - count, count)
    shape = (len(at), max(int(count.max(initial=0)), 1))
    out = {
        "drop": np.zeros(shape),
        "lr_sum": np.ones(shape),
        "sum_at": np.ones(shape),
        "sum_after": np.ones(shape),
        "age": np.ones(shape),
        "log_lr": np.full(shape, np.log(peak)),
    }
    grid = np.arange(len(lr))
    out["drop"][point, column] = drop
    out["lr_sum"][point, column] = np.maximum(total[at[point] + 1] - np.interp(step, grid, total[:-1]), 0.0)
    sum_at = np.interp(step, grid, total[1:])
    out["sum_at"][point, column] = sum_at
    out["sum_after"][point, column] = np.maximum(total[at[point] + 1] - sum_at, 0.0)
    out["age"][point, column] = at[point] + 1 - step
    out["log_lr"][point, column] = log_lr
    return out


def stack(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The points of several curves one after the other, events padded to the longest."""
    fills = {key: fill for key in parts[0] if (fill := INPUTS[key].events) is not None}
    width = max((part[key].shape[1] for part in parts for key in fills), default=0)

    def fit_width(part, key):
        value = part[key]
        if key not in fills:
            return value
        return np.pad(value, ((0, 0), (0, width - value.shape[1])), constant_values=fills[key])

    return {key: np.concatenate([fit_width(part, key) for part in parts]) for key in parts[0]}


def _levels(mass: np.ndarray, log_lr: np.ndarray) -> list[dict[str, np.ndarray]]:
    """Bottom-up, for every block: mass, mean and central moments of position; mean and (co)variance of ln LR."""
    size = 1 << max(len(mass) - 1, 0).bit_length()
    pad = size - len(mass)
    mass = np.pad(mass, (0, pad))
    zero = np.zeros(size)
    level = {
        "mass": mass,
        "mean": np.arange(size, dtype=float),
        "second": zero,
        "third": zero,
        "log": np.pad(log_lr, (0, pad)),
        "cross": zero,
        "log_second": zero,
    }
    levels = [level]
    while len(level["mass"]) > 1:
        a, b = ({key: value[side::2] for key, value in level.items()} for side in (0, 1))
        total = a["mass"] + b["mass"]
        safe = np.where(total > 0, total, 1.0)
        wa, wb = a["mass"] / safe, b["mass"] / safe
        gap, log_gap = b["mean"] - a["mean"], b["log"] - a["log"]
        level = {
            "mass": total,
            "mean": wa * a["mean"] + wb * b["mean"],
            "second": wa * a["second"] + wb * b["second"] + wa * wb * gap**2,
            "third": wa * a["third"]
            + wb * b["third"]
            + wa * wb * (wa - wb) * gap**3
            + 3 * wa * wb * gap * (b["second"] - a["second"]),
            "log": wa * a["log"] + wb * b["log"],
            "cross": wa * a["cross"] + wb * b["cross"] + wa * wb * gap * log_gap,
            "log_second": wa * a["log_second"] + wb * b["log_second"] + wa * wb * log_gap**2,
        }
        levels.append(level)
    return levels


def _select(drops, sign, lr, total, at, tolerance):
    """Events (point, fractional step, signed drop, ln LR) of the positive part of `drops` for every point."""
    mass = np.maximum(drops, 0.0)
    levels = _levels(mass, np.log(np.maximum(lr, LEAST * lr.max())))
    point = np.arange(len(at))
    block = np.zeros(len(at), np.int64)
    atoms: list[tuple[np.ndarray, ...]] = []
    for depth in range(len(levels) - 1, -1, -1):
        level, width = levels[depth], 1 << depth
        start, end = block * width, np.minimum((block + 1) * width, len(lr))
        keep = (level["mass"][block] > 0) & (start <= at[point])
        point, block, start, end = (value[keep] for value in (point, block, start, end))
        blocks = {key: value[block] for key, value in level.items()}
        if depth == 0:
            accept = np.ones(len(point), bool)
        else:
            inside = end <= at[point] + 1
            near_steps = np.maximum(at[point] + 2 - end, 1)
            near_sum = total[at[point] + 1] - total[np.minimum(end, len(lr)) - 1]
            with np.errstate(over="ignore"):  # LRs near 0 make blocks infinitely far apart
                spread = (end - start) / near_steps + (total[end] - total[start]) / np.maximum(near_sum, 1e-300)
                if sign > 0:  # the gain of a drop may depend on the LR sum before it, whose distance counts too
                    spread += (total[end] - total[start]) / np.maximum(total[start], 1e-300)
            slope = blocks["cross"] / np.maximum(blocks["second"], 1e-300)
            bend = 0.5 * spread + np.abs(slope) * (end - start)  # w/u and the change of ln LR
            rough = blocks["log_second"] - slope * blocks["cross"]
            accept = inside & (blocks["mass"] * (np.minimum(bend, 1e3) ** 4 / 400 + rough / 8) <= tolerance)
        atoms += _atoms(point[accept], {key: value[accept] for key, value in blocks.items()}, sign)
        point, block = np.repeat(point[~accept], 2), np.repeat(2 * block[~accept], 2)
        block[1::2] += 1
    return tuple(np.concatenate(column) for column in zip(*atoms, strict=True))


def _atoms(point, blocks, sign):
    """The two-point Gauss quadrature of each block, as events (point, step, drop, ln LR)."""
    sd = np.sqrt(blocks["second"])
    wide = sd > 1e-6 * (1 + blocks["mean"])
    safe = np.where(wide, sd, 1.0)
    slope = np.where(wide, blocks["cross"] / safe, 0.0)
    half_skew = np.where(wide, blocks["third"] / safe**3 / 2, 0.0)
    reach = np.sqrt(1 + half_skew**2)
    upper = blocks["mass"] * np.where(wide, (reach - half_skew) / (2 * reach), 1.0)
    high = np.where(wide, half_skew + reach, 0.0)
    low = half_skew - reach

    def atoms(rows, node, mass):
        return point[rows], (blocks["mean"] + sd * node)[rows], sign * mass[rows], (blocks["log"] + slope * node)[rows]

    return [atoms(slice(None), high, upper), atoms(wide, low, blocks["mass"] - upper)]
