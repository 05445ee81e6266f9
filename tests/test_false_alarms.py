"""Clean data raise no alarm, and intervals hold the truth as often as they say: neither less nor more.

pytest tests/test_false_alarms.py -m slow -s        forty tables of each law, with the counts of every status
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from samples import warmed

from jaxlaws.fitting.fit import fit
from jaxlaws.fitting.predict import open_fit, predict
from jaxlaws.fitting.result import LossFit
from jaxlaws.laws.table import LAWS
from jaxlaws.records.source import open_runs
from jaxlaws.records.table import Curve, Runs
from jaxlaws.status import TRUSTED

TRUTHS = {
    "chinchilla": {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658},
    "kaplan": {"N_c": 8.8e13, "D_c": 5.4e13, "alpha_N": 0.076, "alpha_D": 0.095},
    "critical_batch": {"N_c": 6e13, "alpha_N": 0.077, "S_c": 2.1e3, "alpha_S": 0.76, "B_star": 2.1e8, "alpha_B": 0.21},
    "farseer": dict(open_fit("farseer:published").params),
    "multi_power": {"L0": 2.0, "A": 0.9, "alpha": 0.5, "B": 60.0, "C": 1.5, "beta": 0.6, "gamma": 0.6},
    "annealing": {"L0": 2.0, "A": 0.9, "alpha": 0.5, "C": 0.5, "lambda": 0.99},
    "annealing_size": {
        **{"L0": 1.5, "A": 0.9, "alpha": 0.5, "B": 40.0, "beta": 0.25},
        **{"C": 0.1, "gamma": 0.1, "lambda": 0.99},
    },
    "opl": {"L0": 2.0, "A": 0.9, "alpha": 0.5},
    "lldl": {"L0": 2.0, "A": 0.9, "alpha": 0.5, "B": 40.0},
    "bound": {"L0": 2.0, "A": 0.9, "B": 0.4, "alpha": 0.5},
}
#: sd of ln L of a point, and of the offset of a run of curves.
POINT, OFFSET = 1e-3, 1e-3


def schedules():
    x, warm = warmed()
    return {
        "cosine": warm * (0.55 + 0.45 * np.cos(np.pi * x)),
        "constant": warm,
        "linear": warm * (1 - 0.9 * x),
        "wsd": warm * np.minimum(1, (1 - 0.9 * x) / 0.3),
        "low": 0.5 * warm,
    }


def clean(law: str, seed: int) -> Runs:
    """Runs of the law itself with nothing but independent noise; seeds share the design, so one program fits all."""
    rng = np.random.default_rng(seed)
    held = LossFit(law=law, convention={"warmup_ld": "included"}, noise="none", params=TRUTHS[law])
    if LAWS[law].kind == "point":
        n, d = (axis.ravel() for axis in np.meshgrid(np.geomspace(5e7, 6e9, 6), np.geomspace(1e9, 1e11, 6)))
        batch = np.where(np.arange(36) % 2, 1e5, 1e6)
        of_batch = {"batch_tokens": batch} if "B" in LAWS[law].inputs else {}
        loss = predict(held, params=n, tokens=d, **of_batch).value
        frame = pd.DataFrame({"params_nonembedding": n, "tokens": d, "batch_tokens": batch, "steps": d / batch})
        return Runs(frame.assign(loss_nats=loss * np.exp(POINT * rng.standard_normal(36))))
    out, rows = {}, {}
    for size in (1e6, 8e6, 6e7) if "N" in LAWS[law].inputs else (1e6,):
        for name, lr in schedules().items():
            at = np.arange(200, len(lr), 140)
            of_size = {"params": size} if "N" in LAWS[law].inputs else {}
            loss = predict(held, lr=lr, at=at, warmup_steps=150, **of_size).value
            shift = OFFSET * rng.standard_normal() + POINT * rng.standard_normal(len(at))
            out[f"{name}_{size:.0e}"] = Curve(lr, at, loss * np.exp(shift), 150)
            rows[f"{name}_{size:.0e}"] = {"params_nonembedding": size, "loss_nats": loss[-1]}
    return Runs(pd.DataFrame.from_dict(rows, orient="index"), out)


def statuses(law: str, seeds: range) -> Counter:
    return Counter(fit(law, clean(law, seed), starts=16, bootstrap=0).status for seed in seeds)


@pytest.mark.parametrize("law", ["chinchilla", "kaplan", "lldl"])
def test_clean_data_raise_no_alarm(law):
    assert set(statuses(law, range(3))) <= set(TRUSTED)


@pytest.mark.slow
@pytest.mark.parametrize("law", TRUTHS)
def test_of_forty_clean_tables_at_most_two_raise_an_alarm(law):
    counts = statuses(law, range(40))
    print(f"\n{law}: {dict(counts)}")
    assert sum(count for status, count in counts.items() if status not in TRUSTED) <= 2, counts


def covered(law: str, seeds: range, bootstrap: int) -> list[bool]:
    """Whether the interval of each constant, and of one new run, holds the truth."""
    rng, out = np.random.default_rng(99), []
    held = LossFit(law=law, convention={}, noise="none", params=TRUTHS[law])
    truth = predict(held, params=1e9, tokens=2e10).value
    for seed in seeds:
        found = fit(law, clean(law, seed), starts=8, bootstrap=bootstrap)
        out += [low <= TRUTHS[law][name] <= high for name, (low, high) in found.intervals.items()]
        answer = predict(found, params=1e9, tokens=2e10)
        out.append(bool(answer.low <= truth * np.exp(POINT * rng.standard_normal()) <= answer.high))
    return out


def test_intervals_hold_the_truth_neither_too_rarely_nor_too_often():
    """Twelve tables, six intervals each that depend on one another: a band as for two dozen independent ones."""
    assert 0.72 <= np.mean(covered("chinchilla", range(100, 112), 100)) <= 0.98


@pytest.mark.slow
@pytest.mark.parametrize("law", ["chinchilla", "kaplan"])
def test_over_a_hundred_tables_90_percent_intervals_hold_the_truth_in_82_to_96(law):
    share = np.mean(covered(law, range(100, 200), 200))
    print(f"\n{law}: {share:.3f} of 90% intervals hold the truth")
    assert 0.82 <= share <= 0.96


TRAIN = ("cosine_24000", "constant_24000", "wsdcon_9")


@pytest.mark.parametrize(
    ("law", "source", "format"),
    [
        ("chinchilla", "isoflops/chinchilla_figure4_epoch.csv", "isoflop"),
        ("chinchilla", "isoflops/ml_scalefit.csv", "isoflop"),
        ("multi_power", "multi_power_law/csv_25", "multi_power_law"),
        pytest.param("multi_power", "multi_power_law/csv_100", "multi_power_law", marks=pytest.mark.slow),
    ],
)
def test_published_tables_stay_trusted(published, law, source, format):
    runs = open_runs(published(source), format=format)
    found = fit(law, runs, train=TRAIN if law == "multi_power" else None, bootstrap=0)
    assert found.status in TRUSTED, found.findings
