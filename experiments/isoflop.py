"""The three approaches to a compute optimum on the two readings of Chinchilla's figure 4.

    python experiments/isoflop.py DATA   # DATA holds isoflops/; 15 s on two cores

Expected: approach 3 on Epoch's 240 points has objective 1.01827e-3 from all starts and 17.9 tokens a parameter at
5.88e23 FLOP; a design with D = 20 N is reported as unidentified.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from jaxlaws.errors import BadInput
from jaxlaws.fitting.fit import fit
from jaxlaws.fitting.isoflop import envelope, parabolas
from jaxlaws.fitting.optimum import Optimum, frontier_optimum, optimum
from jaxlaws.records.published import load
from jaxlaws.records.table import Runs

FLOPS = (1e21, 5.88e23)
#: Epoch's optimum, from which the collinear design is simulated.
TRUTH = {"E": 1.81715, "A": 477.7, "B": 2141.6, "alpha": 0.34729, "beta": 0.36713}


def line(name: str, found: Optimum) -> str:
    n, ratio, exponent = found.params, found.tokens_per_param, found.exponent
    assert exponent is not None
    brackets = (
        "" if n.low is None else f"  [{ratio.low:.1f}, {ratio.high:.1f}]  [{exponent.low:.3f}, {exponent.high:.3f}]"
    )
    return f"{name:<36}{found.flops.value:9.3g}{n.value:12.4g}{ratio.value:8.2f}{exponent.value:8.3f}{brackets}"


def main(data: Path) -> None:
    print(f"{'':<36}{'C':>9}{'N*':>12}{'D/N':>8}{'N ~ C^':>8}  90% intervals of D/N and exponent")
    for name in ("chinchilla_figure4_epoch.csv", "ml_scalefit.csv"):
        runs = load(data / "isoflops" / name, "isoflop")
        third = fit("chinchilla", runs, bootstrap=4000)
        p = third.params
        for flops in FLOPS:
            print(line(f"3 law, {name[:18]}", optimum(third, flops)))
        law = _loss(p)
        try:
            second = parabolas(runs, law=law)
        except BadInput as error:
            print(f"1, 2: {error}")
        else:
            for flops in FLOPS:
                print(line(f"2 parabolas, {name[:18]}", frontier_optimum(second, flops)))
                print(line(f"1 envelope, {name[:18]}", frontier_optimum(envelope(runs), flops)))
            print(*second.warnings, sep="\n")
        print(f"3: objective {third.objective_plain:.7g}, {third.starts_agreeing:.0%} of {third.starts} starts, {p}")
        print(f"   90% intervals {third.intervals}, {third.diagnostics['resamples']}")
    bias_of_parabolas()
    collinear()


def bias_of_parabolas() -> None:
    """What approach 2 gets wrong without any noise, as α moves from β and the grid from its centre."""
    print("approach 2 on noiseless losses, 5 budgets of 9 models over a factor of e^±2.5:")
    for alpha, beta, first, last in (
        (0.35, 0.35, 0.0, 0.0),
        (0.5, 0.25, 0.0, 0.0),
        (0.25, 0.5, 0.0, 0.0),
        (0.35, 0.35, 1.0, 1.0),
        (0.5, 0.25, -1.0, 1.0),
        (0.35, 0.35, -1.0, 1.0),
    ):
        p = {**TRUTH, "alpha": alpha, "beta": beta}
        rows = []
        for c, shift in zip(np.geomspace(1e19, 1e21, 5), np.linspace(first, last, 5), strict=True):
            n = _best(p, c) * np.exp(shift + np.linspace(-2.5, 2.5, 9))
            loss = _loss(p)(n, c / (6 * n))
            rows.append(pd.DataFrame({"params_total": n, "tokens": c / (6 * n), "flops_budget": c, "loss_nats": loss}))
        found = parabolas(Runs(pd.concat(rows, ignore_index=True).rename(index=str)), resamples=10)
        print(
            f"  α {alpha} β {beta}, off centre by {first:+.0f} to {last:+.0f} in ln N: N* × "
            f"{found.params(1e21) / _best(p, 1e21):.3f} at 1e21, exponent {found.exponent:.3f}, "
            f"true {beta / (alpha + beta):.3f}"
        )


def _loss(p: Mapping[str, float]):
    return lambda n, d: p["E"] + p["A"] * n ** -p["alpha"] + p["B"] * d ** -p["beta"]


def _best(law: Mapping[str, float], flops: float) -> float:
    alpha, beta = law["alpha"], law["beta"]
    return (alpha * law["A"] / (beta * law["B"])) ** (1 / (alpha + beta)) * (flops / 6) ** (beta / (alpha + beta))


def collinear() -> None:
    """24 runs with D = 20 N and .3% of noise."""
    n = np.geomspace(3e7, 1e10, 24)
    loss = _loss(TRUTH)(n, 20 * n) * np.exp(0.003 * np.random.default_rng(0).standard_normal(24))
    table = pd.DataFrame({"params_total": n, "tokens": 20 * n, "loss_nats": loss}).rename(index=str)
    found = fit("chinchilla", Runs(table), bootstrap=200)
    print(f"D = 20 N: {found.status}; {found.warnings[0]}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data"))
