"""How far two runs of one configuration lie apart, from the public curves that share their schedule for a while.

    python experiments/laws/run_noise.py ../shared/data/multi_power_law   # a second

Curves of one size that share every LR up to a step are replicates up to it, unless they were branched off one run and
are equal to the last digit. Printed: for each pair the sd of ln L of one run (root mean square difference over √2), and
the pooled one with the interval in which the true sd lies (90%, χ²): two pairs leave a factor of seven.
Expected: .00086 (25M), .00085 (100M); pooled .00086, between .00049 and .0038.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from scipy.stats import chi2

from jaxlaws.records.source import open_runs
from jaxlaws.records.table import Curve

#: Shortest shared stretch after the warm-up, steps.
SHARED = 4000


def shared(first: Curve, second: Curve) -> np.ndarray:
    """ln L of the one less that of the other at the steps up to which both had every LR in common."""
    length = min(len(first.lr), len(second.lr))
    end = int(np.argmin(np.append(np.isclose(first.lr[:length], second.lr[:length]), False)))
    if end < max(first.warmup_steps, second.warmup_steps) + SHARED:
        return np.empty(0)
    at = np.intersect1d(first.at, second.at)
    at = at[at < end]
    return np.log(first.loss[np.isin(first.at, at)] / second.loss[np.isin(second.at, at)])


def main(folder: Path) -> None:
    pairs = {}
    for size in (25, 100):
        curves = open_runs(folder / f"csv_{size}", format="multi_power_law").curves
        different: list[tuple[str, Curve]] = []
        for name, curve in curves.items():
            if len(curve.at) and all(
                np.any(shared(curve, other)) or not len(shared(curve, other)) for _, other in different
            ):
                different.append((name, curve))
        for i, (name, curve) in enumerate(different):
            for other_name, other in different[:i]:
                if len(gap := shared(curve, other)):
                    pairs[f"{size}M {other_name}, {name}"] = float(np.sqrt(np.mean(gap**2) / 2))
    for name, sd in pairs.items():
        print(f"{name}: sd of a run {sd:.5f}")
    count = len(pairs)
    pooled = float(np.sqrt(np.mean(np.square(list(pairs.values())))))
    low, high = (pooled * np.sqrt(count / chi2.ppf(q, count)) for q in (0.95, 0.05))
    print(f"pooled over {count} pairs: {pooled:.5f}, 90% between {low:.5f} and {high:.5f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
