"""What the newer laws along schedules are worth: held-out errors and coverage beside their rivals.

    python experiments/laws/schedule_laws.py ../shared/data curves     # about 5 minutes on two cores
    python experiments/laws/schedule_laws.py ../shared/data noise      # half a minute
    python experiments/laws/schedule_laws.py ../shared/data collapse   # a few seconds

`curves`: every law of one model on the public Multi-Power curves, fitted to three curves of each size and scored on the
other six. `noise`: the law of SGD noise on its authors' runs, a random quarter of them held out, by how the trace is
known. `collapse`: Δ(x) of OLMo's ladder, L̂ the E of Chinchilla's law of its final losses, and of the runs of `noise`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from jaxlaws.fitting.collapse import collapse
from jaxlaws.fitting.fit import fit
from jaxlaws.fitting.predict import predict
from jaxlaws.fitting.score import errors
from jaxlaws.records.published.noise_law import references
from jaxlaws.records.reference import LOSS, TRACES, against_reference
from jaxlaws.records.source import open_runs

TRAIN = ("cosine_24000", "constant_24000", "wsdcon_9")
FITS = (
    *(("multi_power", "correlated"), ("multi_power", "huber"), ("fsl", "huber"), ("fsl", "correlated")),
    *(("annealing", "huber"), ("lldl", "huber"), ("opl", "huber"), ("bound", "huber")),
)
COLUMNS = ("mae", "rmse", "worst_e")


def curves(folder: Path) -> None:
    print("law          noise       size  ", *(f"{name:>8}" for name in COLUMNS), "    gaps   inside  objective")
    for law, noise in FITS:
        for size in (25, 100):
            runs = open_runs(folder / f"multi_power_law/csv_{size}", format="multi_power_law")
            result = fit(law, runs, train=TRAIN, noise=noise, bootstrap=100)
            curves = [runs.curves[name] for name in sorted(set(runs.curves) - set(TRAIN))]
            inside = covered(curves, [predict(result, curve=curve) for curve in curves])
            row = [result.held_out["test"][name] for name in COLUMNS] + [result.held_out["gaps"]["mae"]]
            print(f"{law:<12} {noise:<11} {size}M".ljust(31), *(f"{value:8.5f}" for value in row), end=" ")
            print(f"{inside:7.2f}  {result.objective_plain:.5e}", end="  ")
            print({name: float(f"{value:.4g}") for name, value in result.params.items()}, result.status, flush=True)


def noise(folder: Path) -> None:
    runs = open_runs(folder / "noise_law", format="noise_law", assume=("settings",))
    pairs = references(runs)
    names = np.random.default_rng(0).permutation(sorted(pairs, key=int))
    others = sorted(names[: len(names) // 4], key=int)
    train = [name for name in pairs if name not in others]
    print("held out:", *(f"{name} {runs.table.loc[name, 'schedule']}" for name in others))
    print("trace         alpha, all runs    MAE       R2     held out: alpha   MAE   of the reference alone   inside")
    for trace in TRACES:
        against = against_reference(runs, pairs, trace)
        whole = fit("noise_law", against, bootstrap=0)
        part = fit("noise_law", against, train=train)
        everything, rest = scored(against, whole, list(pairs)), scored(against, part, others)
        print(
            f"{trace:<12} {whole.params['alpha']:14.4f} {everything['mae']:11.6f} {everything['r2']:8.4f} "
            f"{part.params['alpha']:16.4f} {rest['mae']:10.6f} {rest['reference']:14.6f} {rest['inside']:15.2f}",
            flush=True,
        )


def covered(curves, answers) -> float:
    """Mean over curves of the share of losses inside the 90% bands; NaN where there are none."""
    bands = [
        np.mean((curve.loss >= answer.low) & (curve.loss <= answer.high))
        for curve, answer in zip(curves, answers, strict=True)
        if answer.low is not None
    ]
    return float(np.mean(bands)) if bands else float("nan")


def scored(runs, result, names) -> dict[str, float]:
    """Errors of the difference from the reference over the points of these runs, and the share inside the 90% bands."""
    curves = [runs.curves[name] for name in names]
    answers = [predict(result, curve=curve) for curve in curves]
    loss, reference, predicted = (
        np.concatenate(parts)
        for parts in ([c.loss for c in curves], [c.logged[LOSS] for c in curves], [a.value for a in answers])
    )
    return errors(loss - reference, predicted - reference) | {
        "reference": float(np.mean(np.abs(loss - reference))),
        "inside": covered(curves, answers),
    }


def collapses(folder: Path) -> None:
    runs = open_runs(folder / "olmo_ladder", format="olmo_ladder", target="c4_en")
    floor = fit("chinchilla", runs, bootstrap=0).params["E"]
    multiple = runs.table.index.str.extract(r"-([\d.]+xC)", expand=False)
    print("tokens a parameter / 20  runs    L0    deviation (seed noise) at 10%, 25%, 40%, 70% of the steps   leave")
    for times in ("0.5xC", "1xC", "2xC", "5xC", "10xC"):
        for level in (floor, 2.0):
            answer = collapse(runs.select(runs.table.index[multiple == times]), level)
            spread, seeds = (
                np.interp((0.1, 0.25, 0.4, 0.7), answer.table["x"], answer.table[column])
                for column in ("deviation", "seed_noise" if "seed_noise" in answer.table else "x")
            )
            deviations = [
                f"{a:.4f} ({b:.4f})" if answer.share is not None else f"{a:.4f}"
                for a, b in zip(spread, seeds, strict=True)
            ]
            print(f"{times:<24} {len(answer.runs):<5} {level:6.3f}", *deviations, int(answer.runs["leaves"].sum()))
    runs = open_runs(folder / "noise_law", format="noise_law")
    print("schedule      decays over  runs    L0    deviation at 10%, 40%, 70% of the steps   runs that leave")
    for (name, share), rows in runs.table.groupby(["schedule", "cooldown_fraction"]):
        if len(rows) < 3:
            continue
        for floor in (0.0, 0.01):
            answer = collapse(runs.select(rows.index), floor)
            deviations = np.interp((0.1, 0.4, 0.7), answer.table["x"], answer.table["deviation"])
            ends = [f"{run} at {row['leaves_at']:.2f}" for run, row in answer.runs.iterrows() if row["leaves"]]
            print(
                f"{name:<13} {share:<12g} {len(rows):<5} {floor:5.2f}", *(f"{value:9.3f}" for value in deviations), ends
            )


PARTS: dict[str, Callable[[Path], None]] = {"curves": curves, "noise": noise, "collapse": collapses}


if __name__ == "__main__":
    PARTS[sys.argv[2]](Path(sys.argv[1]))
