"""Which law of the schedules: six schedules of one small model, each left out in turn and predicted from the others.

    python experiments/schedule_law_cv.py [OUT]   # trains into OUT (sweeps/schedule_law_cv) what is not there yet

The runs are the quickstart's, the unseen one included. Printed for each law: the mean error of the final loss, and how
many of the six lie inside their 90% interval of a new run; ? marks a fit that did not converge or is not identified.
Expected: bound .58% and 6 of 6, multi_power 1.30% and 6, with --noise huber .96% and 5, annealing 1.84% and 3.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from jaxlaws.cli.progress import progress
from jaxlaws.fitting.fit import fit
from jaxlaws.fitting.predict import predict
from jaxlaws.quickstart import FULL, TRAINED, UNSEEN, UNSEEN_NAME, schedule_run, sweep
from jaxlaws.records.run import collect

#: Title → law, noise model (None: the law's own).
LAWS = {
    "bound": ("bound", None),
    "multi_power": ("multi_power", None),
    "multi_power, huber": ("multi_power", "huber"),
    "annealing": ("annealing", None),
}


def main(out: Path) -> None:
    schedules = {**TRAINED, UNSEEN_NAME: UNSEEN}
    planned = sweep([schedule_run(FULL, schedule) for schedule in schedules.values()], out, progress)
    names = {item.directory.name: name for item, name in zip(planned, schedules, strict=True)}
    runs = collect(out)
    print(f"{'left out':<20}" + "".join(f"{name:>22}" for name in names.values()) + f"{'mean':>10}{'inside':>8}")
    for title, (law, noise) in LAWS.items():
        errors, inside, cells = [], 0, []
        for left in names:
            curve = runs.curves[left]
            found = fit(law, runs, train=[name for name in names if name != left], noise=noise)
            answer, measured = predict(found, curve=curve), float(curve.loss[-1])
            value, low, high = (float(np.ravel(np.asarray(part, float))[-1]) for part in answer[:3])
            errors.append(value / measured - 1)
            inside += low <= measured <= high
            mark = "in" if low <= measured <= high else "out"
            cells.append(f"{errors[-1]:+.2%} {mark}{'' if found.trusted else ' ?'}")
        mean = np.mean(np.abs(errors))
        print(f"{title:<20}" + "".join(f"{cell:>22}" for cell in cells) + f"{mean:>10.2%}{inside:>6}/6", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "sweeps/schedule_law_cv"))
