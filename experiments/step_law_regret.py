"""How good is advice on LR and batch? Regret on the public Step Law runs, left out cell by cell, and extrapolated.

    python experiments/step_law_regret.py [--data DIR] [--figure FILE]

About 90 s on two cores. Expect: published law .111% mean regret on the 17 cells, the near-best recipe left out
.080%, two stages left out .064% (.58 × the published law's), one stage left out .067%. The surface is
`jaxlaws.recommender.surface.Surface`; every number is a mean over cells, with its standard error from the noise of
runs.
"""

from __future__ import annotations

import argparse
import math
import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from jaxlaws.bench.recommend import TRUTH, near_best_recipe, step_law_runs
from jaxlaws.recommender.answer import recommend
from jaxlaws.recommender.cells import Cell, cells_of
from jaxlaws.recommender.estimate import estimate
from jaxlaws.recommender.hyperfit import HyperFit
from jaxlaws.recommender.local import local_optima
from jaxlaws.recommender.power import power_laws
from jaxlaws.recommender.presets import get
from jaxlaws.recommender.score import Scores, held_out, score, score_law, without
from jaxlaws.recommender.surface import SMOOTHING, Surface
from jaxlaws.records.source import open_runs
from jaxlaws.records.table import Runs

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("JAXLAWS_DATA", ROOT.parent / "shared" / "data"))
SPLIT = 4.3e8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA / "step_law" / "dense_lr_bs_loss.csv")
    parser.add_argument("--figure", type=Path, default=ROOT / "experiments" / "figures" / "step_law_regret.png")
    args = parser.parse_args()
    runs = open_runs(args.data, format="step_law")
    describe_surface(runs)
    reproduce_recipe(runs)
    scores = compare(runs)
    sensitivity(runs)
    choices(runs)
    calibration(runs)
    simulated_calibration()
    extrapolation(runs)
    deviations(runs)
    draw(scores, args.figure)


def law(table: np.ndarray) -> Callable[[float, float], tuple[float, float]]:
    """(N, D) → (ln η, ln B) of coefficients [2, 3]."""

    def advise(n: float, d: float) -> tuple[float, float]:
        lr, batch = table @ [1.0, math.log(n), math.log(d)]
        return float(lr), float(batch)

    return advise


def fits() -> dict[str, Callable[[Runs], HyperFit]]:
    return {
        "two stages (default)": partial(estimate, bootstrap=300),
        "two stages, B of D only": partial(estimate, bootstrap=300, forms=("N, D", "D")),
        "one stage": partial(estimate, bootstrap=300, method="one_stage"),
    }


def recipe_left_out(runs: Runs, surface: dict[str, float]) -> Scores:
    cells, _ = cells_of(runs)
    advice = np.array([law(near_best_recipe(without(runs, [cell]), 0))(cell.params, cell.tokens) for cell in cells])
    return score(cells, [Surface(cell, **surface) for cell in cells], advice)


def deepseek(runs: Runs) -> Callable[[float, float], tuple[float, float]]:
    """DeepSeek's law with the FLOPs per token of the shape that a cell was trained in."""
    shape = {}
    for name, n in zip(runs.table["model"], runs.table["params_nonembedding"], strict=True):
        match = re.match(r"h(\d+)_.*layers(\d+)", name)
        assert match is not None
        shape[n] = int(match[1]), int(match[2])

    def advise(n: float, d: float) -> tuple[float, float]:
        width, layers = shape[n]
        advice = recommend(params=n, tokens=d, law="deepseek", width=width, layers=layers)
        assert advice.peak_lr is not None
        assert advice.batch_tokens is not None
        return math.log(advice.peak_lr.value), math.log(advice.batch_tokens.value)

    return advise


def porian(n: float, d: float) -> tuple[float, float]:
    """Porian's law at the non-embedding N: the table does not say its vocabulary."""
    return math.log(3.7 * n**-0.36), math.log(0.7576 * n**0.703)


def describe_surface(runs: Runs) -> None:
    surfaces = [Surface(cell) for cell in cells_of(runs)[0]]
    print(f"surface: thin plate in (ln LR, ln batch), runs within 5%, smoothing {SMOOTHING}")
    print(f"  sd of a run about it: median {np.median([s.sigma for s in surfaces]):.3%} of the loss")
    print(f"  its minimum lies {np.mean([s.below_grid for s in surfaces]):.3%} below the grid's best run (mean)")


def reproduce_recipe(runs: Runs) -> None:
    (_, lr_n, lr_d), (b0, _, b_d) = near_best_recipe(runs, 0)
    print(f"authors' recipe on all runs: LR ~ N^{lr_n:.3f} D^{lr_d:.3f}, B = {math.exp(b0):.3f} D^{b_d:.3f}")


def compare(runs: Runs) -> dict[str, Scores]:
    bootstrap = get("step_law:bootstrap")
    assert isinstance(bootstrap, HyperFit)
    scores = {
        "deepseek": score_law(runs, deepseek(runs)),
        "porian": score_law(runs, porian),
        "step_law:published": score_law(runs, get("step_law:published").optimum),  # type: ignore[union-attr]
        "step_law:bootstrap": score_law(runs, bootstrap.optimum),
        "near-best recipe, in sample": score_law(runs, law(near_best_recipe(runs, 0))),
        "near-best recipe, left out": recipe_left_out(runs, {}),
    }
    scores |= {f"{name}, left out": held_out(runs, fit) for name, fit in fits().items()}
    base = scores["step_law:published"].regret.mean()
    print(f"\nregret, %{'':<31}mean   (s.e.)    max  against grid  × published")
    for name, s in scores.items():
        grid = np.mean(s.regret - [surface.below_grid for surface in s.surfaces])
        error = np.sqrt(np.sum(s.error**2)) / len(s.regret)
        outside = "" if s.inside.all() else f"   {np.sum(~s.inside)} cells outside the surface's runs"
        print(
            f"  {name:<36}{s.regret.mean():7.3%} ({error:.3%}) {s.regret.max():7.3%} {grid:9.3%}"
            f" {s.regret.mean() / base:9.2f}{outside}"
        )
    return scores


def sensitivity(runs: Runs) -> None:
    print("\nthe ratio to the published law under other smoothings of the surface")
    for smoothing in (0.001, 0.01, 0.03, 0.1, 0.3):
        published = score_law(runs, get("step_law:published").optimum, smoothing=smoothing)  # type: ignore[union-attr]
        recipe = recipe_left_out(runs, {"smoothing": smoothing})
        ours = held_out(runs, fits()["two stages (default)"], smoothing=smoothing)
        a, b, c = (s.regret.mean() for s in (published, recipe, ours))
        print(f"  {smoothing:<6} published {a:.3%}   recipe left out {b / a:.2f}   two stages left out {c / a:.2f}")


def choices(runs: Runs) -> None:
    """What the estimator of a cell's optimum is worth: the power laws are left out, the optima are not."""
    cells, _ = cells_of(runs)
    surfaces = [Surface(cell) for cell in cells]
    z = np.array([[1.0, np.log(c.params), np.log(c.tokens)] for c in cells])
    usual = local_optima(cells)

    def mean(optimum: np.ndarray, forms: tuple[str, str]) -> float:
        power = power_laws(z, optimum, 0 * usual.covariance, usual.hessian, 0, 0, forms)
        return float(score(cells, surfaces, power.left_out).regret.mean())

    print("\nthe optimum of a cell from …, regret with LR of N, D and batch of N, D | D")
    rows = {
        f"a quadratic on runs within {within:.0%}": quadratic_optima(cells, within) for within in (0.01, 0.02, 0.03)
    }
    rows["the surface's own minimum"] = np.array([surface.minimum for surface in surfaces])
    rows |= {f"local cubics, misfit {m}": local_optima(cells, misfit=m).optimum for m in (0.25, 0.5, 1.0)}
    rows |= {f"local cubics, spread {s}": local_optima(cells, spread=s).optimum for s in (0.1, 3.0)}
    for name, optimum in rows.items():
        print(f"  {name:<32}{mean(optimum, ('N, D', 'N, D')):.3%} | {mean(optimum, ('N, D', 'D')):.3%}")


def quadratic_optima(cells: list[Cell], within: float) -> np.ndarray:
    """Least squares of a full quadratic in (ln LR, ln batch), cell by cell."""
    optima = []
    for cell in cells:
        keep = cell.y < cell.y.min() + np.log1p(within)
        u, v = (cell.x[keep] - cell.x[keep].mean(0)).T
        b = np.linalg.lstsq(np.stack([u**0, u, v, u * u, u * v, v * v], 1), cell.y[keep], rcond=None)[0]
        optima.append(cell.x[keep].mean(0) - np.linalg.solve([[2 * b[3], b[4]], [b[4], 2 * b[5]]], b[1:3]))
    return np.array(optima)


def simulated_calibration() -> None:
    print("\n80% intervals in simulation: share that holds the true optimum of a new cell, LR and batch")
    asked = [(2.1e8, 4e9), (4.3e8, 3e10), (1.07e9, 1e11)]
    for noise in (5e-4, 1.5e-3):
        held = []
        for seed in range(12):
            fit = estimate(step_law_runs(noise=noise, seed=seed, half_lrs=4, half_batches=3), bootstrap=100, seed=seed)
            rng = np.random.default_rng(1000 + seed)
            for n, d in 5 * asked:
                new = TRUTH @ [1, np.log(n), np.log(d)] + 0.1 * rng.standard_normal(2)
                half = [fit.half_width(axis, n, d) for axis in ("lr", "batch")]
                held.append(np.abs(new - fit.optimum(n, d)) <= half)
        print(f"  noise of a run {noise:.2%}: {np.mean(held, 0)[0]:.0%}, {np.mean(held, 0)[1]:.0%} of {len(held)}")


def calibration(runs: Runs) -> None:
    print("\n80% intervals over left-out cells: share that holds the surface's minimum, and that meets its basin")
    for name, fit in fits().items():
        s = held_out(runs, fit)
        lr, batch = s.covered().mean(0)
        print(
            f"  {name:<26} LR {lr:.0%}, batch {batch:.0%}, both {s.covered().all(1).mean():.0%}, basin "
            f"{s.basin_covered().mean():.0%} of {len(s.cells)}; half widths ×{np.exp(s.half[:, 0].mean()):.2f}, "
            f"×{np.exp(s.half[:, 1].mean()):.2f}"
        )


def extrapolation(runs: Runs) -> None:
    print(f"\nfitted to N <= {SPLIT:.2g}, asked for larger N: regret")

    def small(cell: Cell) -> bool:
        return cell.params <= SPLIT

    published = score_law(runs, get("step_law:published").optimum)  # type: ignore[union-attr]
    large = [i for i, cell in enumerate(published.cells) if not small(cell)]
    chosen = [published.cells[i] for i in large]
    table = near_best_recipe(without(runs, chosen), 0)
    recipe = score_law(runs, law(table))
    rows = {"step_law:published (saw them)": published.regret[large], "near-best recipe": recipe.regret[large]}
    for name, fit in fits().items():
        s = held_out(runs, fit, small)
        rows[name] = s.regret
        lr, batch = s.covered().sum(0)
        print(f"  {name:<30} intervals hold the minimum: LR {lr}/{len(large)}, batch {batch}/{len(large)}")
    print(f"  {'':<30}" + "".join(f"{cell.params:9.2g}" for cell in chosen))
    for name, regret in rows.items():
        print(f"  {name:<30}" + "".join(f"{r:9.3%}" for r in regret) + f"   mean {regret.mean():.3%}")


def deviations(runs: Runs) -> None:
    """The excess loss of a factor in one axis, the other following: on the surfaces, and as it is fitted."""
    fit = estimate(runs, bootstrap=0)
    excess = fit.excess
    assert excess is not None
    print("\nexcess loss of a factor, other axis following: median and worst cell on the surfaces; fitted excess")
    surfaces = [Surface(cell) for cell in cells_of(runs)[0]]
    for k, (name, cost) in enumerate((("LR", excess.of_lr), ("batch", excess.of_batch))):
        for factor in (0.5, 2.0):
            found = []
            for surface in surfaces:
                line = np.repeat(surface.minimum[None], 201, 0)
                line[:, 1 - k] = np.linspace(surface.low[1 - k], surface.high[1 - k], 201)
                line[:, k] += math.log(factor)
                if surface.inside(line[:1])[0]:
                    found.append(surface.regret(line).min())
            print(
                f"  {name} ×{factor}: {np.median(found):.2%}, {max(found):.2%} ({len(found)} cells); "
                f"fit {math.expm1(cost(math.log(factor))):.2%}"
            )


def draw(scores: dict[str, Scores], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    path.parent.mkdir(parents=True, exist_ok=True)
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2))
    names = [name for name in scores if name not in ("deepseek", "porian")]
    for i, name in enumerate(names):
        regret = 100 * scores[name].regret
        left.scatter(regret, np.full(len(regret), i), s=14, alpha=0.5)
        left.plot(regret.mean(), i, "k|", markersize=16)
    left.set_yticks(range(len(names)), names)
    left.set_xlabel("regret per cell, % of the loss (bar: mean)")
    ours = scores["two stages (default), left out"]
    minimum = np.array([surface.minimum for surface in ours.surfaces])
    for k, (marker, label) in enumerate((("o", "peak LR"), ("s", "batch"))):
        gap = np.exp(ours.advice[:, k] - minimum[:, k])
        size = np.exp(ours.half[:, k])
        position = np.arange(len(gap)) + 0.25 * k
        right.errorbar(position, gap, [gap - gap / size, gap * size - gap], fmt=marker, label=label, capsize=2)
    right.axhline(1, color="0.6")
    right.set_yscale("log", base=2)
    right.set_xlabel("left-out cell, by N then D")
    right.set_ylabel("advice / measured optimum, 80% interval")
    right.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    print(f"\nfigure: {path.name}")


if __name__ == "__main__":
    main()
