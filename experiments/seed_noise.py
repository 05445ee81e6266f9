"""How much the final loss of a small run varies with its seed, by schedule, LR, batch and length.

    python experiments/seed_noise.py [OUT]   # trains into OUT (sweeps/seed_noise) what is not there yet

The model of the quickstart's schedules, six seeds each. Printed: mean, and standard deviation as a share of it; six
seeds leave the latter between .67 and 2.1 times what they show (90%).
Expected: at LR 5e-3 and batch 9 cosine .60%, linear .56%, WSD .20%; cosine at LR 8e-3 1.05%, at batch 3 .53%.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np

from jaxlaws.cli.progress import progress
from jaxlaws.quickstart import FULL, TRAINED, schedule_run, sweep

SEEDS = range(6)
#: (name of a schedule of the quickstart, peak LR, batch in sequences of 64, tokens)
SETTINGS = (
    ("cosine", 5e-3, 9, 800_000),
    ("linear", 5e-3, 9, 800_000),
    ("wsd linear 20%", 5e-3, 9, 800_000),
    ("cosine", 8e-3, 9, 800_000),
    ("cosine", 4e-3, 3, 400_000),
)


def main(out: Path) -> None:
    base = schedule_run(FULL, TRAINED["cosine"])
    runs = [
        replace(
            base,
            schedule=TRAINED[name],
            optimizer=replace(base.optimizer, peak_lr=lr),
            eval=replace(base.eval, points=1),
            batch_sequences=batch,
            tokens=tokens,
            seed=seed,
        )
        for (name, lr, batch, tokens), seed in product(SETTINGS, SEEDS)
    ]
    records = [item.directory.record() for item in sweep(runs, out, progress)]
    losses = np.array([record["val_loss_nats"] for record in records]).reshape(len(SETTINGS), len(SEEDS))
    for (name, lr, batch, tokens), loss in zip(SETTINGS, losses, strict=True):
        spread = loss.std(ddof=1) / loss.mean()
        print(f"{name:<16} LR {lr:g}, batch {batch} x 64, {tokens} tokens: mean {loss.mean():.4f}, sd {spread:.2%}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "sweeps/seed_noise"))
