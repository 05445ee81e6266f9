"""How the best peak LR moves with the cooldown: measured on public runs, and predicted by the convex bound.

    python experiments/lr_transfer.py DATA/lr_scheduling   # 2 s

124M parameters, WSD with a linear cooldown over six shares of four horizons. The measured best peak LR is the minimum
of the parabola through the losses at 5e-4, 1e-3 and 2e-3 in ln LR; the predicted shift is
`jaxlaws.designs.bound.transfer` between the two schedules, with nothing fitted.
"""

from __future__ import annotations

import sys
from itertools import combinations
from pathlib import Path

import numpy as np

from jaxlaws.designs.bound import transfer
from jaxlaws.records.published.lr_scheduling import schedule
from jaxlaws.records.source import open_runs

PEAKS = (5e-4, 1e-3, 2e-3)


def best_lrs(folder: Path) -> dict[tuple[int, float], float]:
    """(steps, cooldown share) → measured best peak LR."""
    table = open_runs(folder, "lr_scheduling_final", where="cooldown_fraction>0").table
    out = {}
    for key, cell in table.groupby(["steps", "cooldown_fraction"]):
        loss = [cell["val_loss_nats"][np.isclose(cell["peak_lr"], peak)].iloc[0] for peak in PEAKS]
        bend, slope, _ = np.polyfit(np.log(PEAKS), loss, 2)
        steps, share = np.array(key)
        out[int(steps), float(share)] = float(np.exp(-slope / (2 * bend)))
    return out


def shifts(best: dict[tuple[int, float], float]) -> np.ndarray:
    """[pairs, 5]: steps, two shares, and ln of the ratio of their best peak LRs, measured and predicted."""
    rows = []
    for (steps, low), (other, high) in combinations(sorted(best), 2):
        if steps == other:
            measured = np.log(best[steps, high] / best[steps, low])
            predicted = np.log(transfer(schedule(1.0, steps, low), schedule(1.0, steps, high)))
            rows.append((steps, low, high, measured, predicted))
    return np.array(rows)


def main(folder: Path) -> None:
    best = best_lrs(folder)
    horizons, shares = sorted({key[0] for key in best}), sorted({key[1] for key in best})
    print("best peak LR over that of a 10% cooldown: measured / predicted")
    print(f"{'steps':>8}", *(f"{share:>14.0%}" for share in shares[1:]))
    for steps in horizons:
        cells = []
        for share in shares[1:]:
            factor = transfer(schedule(1.0, steps, shares[0]), schedule(1.0, steps, share))
            cells.append(f"{best[steps, share] / best[steps, shares[0]]:>7.2f} /{factor:>5.2f}")
        print(f"{steps:>8}", *cells)
    rows = shifts(best)
    measured, predicted = rows[:, 3], rows[:, 4]
    off = predicted - measured
    print(f"\n{len(rows)} pairs of cooldowns at equal steps")
    print(f"  direction right in {np.mean(np.sign(measured) == np.sign(predicted)):.0%}")
    print(
        f"  mean error of the factor {np.expm1(np.mean(np.abs(off))):.0%}, worst {np.expm1(np.abs(off).max()):.0%}; ",
        end="",
    )
    print(f"of no shift at all {np.expm1(np.mean(np.abs(measured))):.0%}; rms in ln LR {np.sqrt(np.mean(off**2)):.2f}")
    print(f"  measured shift over predicted {np.sum(measured * predicted) / np.sum(predicted**2):.2f} (in ln LR)")
    horizon = [(a, b) for a, b in combinations(sorted(best), 2) if a[1] == b[1]]
    moved = np.array([np.log(best[b] / best[a]) for a, b in horizon])
    said = np.array([np.log(transfer(schedule(1.0, *a), schedule(1.0, *b))) for a, b in horizon])
    print(f"{len(horizon)} pairs of horizons at equal cooldown")
    print(f"  mean error of the factor {np.expm1(np.mean(np.abs(said - moved))):.0%}; of no shift at all ", end="")
    print(
        f"{np.expm1(np.mean(np.abs(moved))):.0%}; measured over predicted {np.sum(moved * said) / np.sum(said**2):.2f}"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
