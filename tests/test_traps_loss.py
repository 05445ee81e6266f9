"""Numerical traps for the laws of the loss: data that must not be answered with confidence. One row is one trap."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from samples import schedules

from jaxlaws.cli import main
from jaxlaws.errors import Untrusted
from jaxlaws.fitting.fit import fit
from jaxlaws.fitting.isoflop import envelope, parabolas
from jaxlaws.fitting.predict import predict
from jaxlaws.fitting.result import LossFit
from jaxlaws.records.table import Curve, Runs

LAWS = {
    "chinchilla": {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658},
    "multi_power": {"L0": 2.0, "A": 0.9, "alpha": 0.5, "B": 60.0, "C": 1.5, "beta": 0.6, "gamma": 0.6},
}
UNUSABLE = {"misfit", "unidentified", "not_converged"}
DOUBTED = UNUSABLE | {"weak"}


def loss_of(n, d):
    p = LAWS["chinchilla"]
    return p["E"] + p["A"] / n ** p["alpha"] + p["B"] / d ** p["beta"]


def grid(sizes=5, budgets=5):
    n, d = np.meshgrid(np.geomspace(5e7, 2e9, sizes), np.geomspace(2e9, 1e11, budgets))
    return n.ravel(), d.ravel()


def table(n, d, loss):
    return Runs(pd.DataFrame({"params_nonembedding": n, "tokens": d, "loss_nats": loss}))


def noise(rng, sd, count):
    return np.exp(sd * rng.standard_normal(count))


#: Trap of a table over N and D → (rng → runs, statuses that are right, words that a finding has).
POINT_TRAPS: dict[str, tuple[Callable, set[str], str]] = {
    "all losses equal": (lambda rng: table(*grid(), np.full(25, 2.5)), {"unidentified"}, "every loss is 2.5"),
    "equal to float32": (
        lambda rng: table(*grid(), 2.5 + 1e-8 * rng.standard_normal(25)),
        {"unidentified"},
        "every loss is 2.5",
    ),
    "pure noise": (lambda rng: table(*grid(), 2.5 * noise(rng, 0.01, 25)), UNUSABLE, ""),
    "loud noise": (lambda rng: table(*grid(), 2.5 * noise(rng, 0.3, 25)), UNUSABLE, ""),
    "upside down": (lambda rng: table(*grid(), 5 - loss_of(*grid())), {"misfit"}, "the loss rises with N and D"),
    "rises with N": (
        lambda rng: table(*grid(), 3 + 0.1 * np.log(grid()[0] / 1e8) - 0.1 * np.log(grid()[1] / 1e10)),
        UNUSABLE,
        "the loss rises with N",
    ),
    "random walk": (
        lambda rng: table(*grid(), 2.5 + np.cumsum(0.05 * rng.standard_normal(25))),
        DOUBTED,
        "",
    ),
    "interaction of N and D": (
        lambda rng: table(*grid(), 2 + (1e8 / grid()[0]) ** 0.5 * (1e10 / grid()[1]) ** 0.5),
        DOUBTED,
        "the residuals are no noise",
    ),
    "two losses x 10": (
        lambda rng: table(*grid(), loss_of(*grid()) * np.where(np.arange(25) % 13 == 3, 10, 1) * noise(rng, 2e-3, 25)),
        UNUSABLE,
        "as much as a constant",
    ),
    "D = 20 N": (
        lambda rng: table(n := np.geomspace(5e7, 1e10, 20), 20 * n, loss_of(n, 20 * n) * noise(rng, 1e-3, 20)),
        {"unidentified"},
        "all runs lie on D = 20 N",
    ),
    "two sizes": (
        lambda rng: table(*grid(2, 6), loss_of(*grid(2, 6)) * noise(rng, 1e-3, 12)),
        {"unidentified"},
        "2 model sizes",
    ),
    "two token budgets": (
        lambda rng: table(*grid(6, 2), loss_of(*grid(6, 2)) * noise(rng, 1e-3, 12)),
        {"unidentified"},
        "2 token counts",
    ),
    "six runs": (
        lambda rng: table(*grid(3, 2), loss_of(*grid(3, 2))),
        DOUBTED,
        "",
    ),
}


@pytest.mark.parametrize("trap", POINT_TRAPS)
def test_a_trap_over_n_and_d_is_named(trap):
    make, right, words = POINT_TRAPS[trap]
    found = fit("chinchilla", make(np.random.default_rng(7)), starts=16, bootstrap=40)
    assert found.status in right, found.findings
    assert words in " ".join(finding["what"] for finding in found.findings)
    assert all(finding["remedy"] for finding in found.findings)
    check_intervals(found)


def check_intervals(found):
    for name, (low, high) in found.intervals.items():
        assert low < high, name
        assert low <= found.params[name] <= high, name
    assert not set(found.intervals) & set(found.diagnostics["untouched"])


def curves(loss, rng, sd=0.0, lrs=None, every=140):
    """Runs whose loss at `at` under `lr` is loss(lr, at, rng), with independent noise."""
    out = {}
    for name, lr in (lrs or schedules()).items():
        at = np.arange(200, len(lr), every)
        out[name] = Curve(lr, at, loss(lr, at, rng) * noise(rng, sd, len(at)), 150)
    return Runs(pd.DataFrame({"loss_nats": [c.loss[-1] for c in out.values()]}, index=list(out)), out)


def of_law(lr, at, rng):
    held = LossFit(law="multi_power", convention={"warmup_ld": "included"}, noise="none", params=LAWS["multi_power"])
    return predict(held, lr=lr, at=at, warmup_steps=150).value


def blind(lr, at, rng):
    return 2 + 9 * (at + 1.0) ** -0.5


#: Trap of curves → (rng → runs, statuses that are right, words that a finding has).
CURVE_TRAPS: dict[str, tuple[Callable, set[str], str]] = {
    "all losses equal": (
        lambda rng: curves(lambda lr, at, rng: np.full(len(at), 2.5), rng),
        {"unidentified"},
        "every loss is 2.5",
    ),
    "pure noise": (lambda rng: curves(lambda lr, at, rng: np.full(len(at), 2.5), rng, 0.01), UNUSABLE, ""),
    "random walks": (
        lambda rng: curves(lambda lr, at, rng: 2.5 + np.cumsum(0.02 * rng.standard_normal(len(at))), rng),
        UNUSABLE,
        "",
    ),
    "rising": (lambda rng: curves(lambda lr, at, rng: 2 + 0.1 * np.log(at + 1), rng, 1e-3), UNUSABLE, ""),
    "no effect of the LR": (lambda rng: curves(blind, rng, 1e-3), UNUSABLE, "no effect of the learning rate"),
    "no effect of the LR, runs apart": (
        lambda rng: curves(lambda lr, at, rng: blind(lr, at, rng) * (1 + 3e-3 * rng.standard_normal()), rng, 1e-3),
        UNUSABLE,
        "",
    ),
    "one schedule": (
        lambda rng: curves(of_law, rng, 1e-3, {f"seed{i}": schedules()["cosine"] for i in range(4)}),
        {"unidentified"},
        "all runs have one schedule",
    ),
    "no decay": (
        lambda rng: curves(
            of_law, rng, 1e-3, {f"{p:g}": schedules(peak=p)["constant"] for p in (1e-3, 2e-3, 3e-3, 4e-3)}
        ),
        {"unidentified"},
        "no run decays",
    ),
    "two runs": (
        lambda rng: curves(of_law, rng, 1e-3, {name: schedules()[name] for name in ("cosine", "wsd")}),
        {"weak"},
        "2 runs leave next to nothing",
    ),
}


@pytest.mark.parametrize("trap", CURVE_TRAPS)
def test_a_trap_along_schedules_is_named(trap):
    make, right, words = CURVE_TRAPS[trap]
    found = fit("multi_power", make(np.random.default_rng(7)), starts=8, bootstrap=20)
    assert found.status in right, found.findings
    assert words in " ".join(finding["what"] for finding in found.findings)
    check_intervals(found)


def test_a_fit_that_is_the_priors_says_so_and_its_interval_holds_the_truth():
    """Cosine and constant curves of the published law itself, asked for a WSD schedule."""
    x = np.maximum(np.arange(24000) - 2160, 0) / (24000 - 2160)
    warm = 3e-4 * np.minimum((np.arange(24000) + 1) / 2160, 1)
    lrs = {"cosine": warm * (0.55 + 0.45 * np.cos(np.pi * x)), "constant": warm}
    wsd, rng, out = warm * np.minimum(1, (1 - 0.9 * x) / 0.28), np.random.default_rng(0), {}
    for name, lr in lrs.items():
        at = np.arange(2176, 24000, 512)
        loss = predict("multi_power:25M", lr=lr, at=at, warmup_steps=2160).value
        out[name] = Curve(lr, at, loss * noise(rng, 1e-3, len(at)), 2160)
    runs = Runs(pd.DataFrame({"loss_nats": [c.loss[-1] for c in out.values()]}, index=list(out)), out)
    found = fit("multi_power", runs, starts=4, bootstrap=60)
    assert found.status == "weak"
    assert any("is the prior's" in text for text in found.warnings)
    assert any("multi_power:25M lies 1.7 sd away in gamma" in text for text in found.warnings)
    answer = predict(found, lr=wsd, warmup_steps=2160)
    assert answer.low < predict("multi_power:25M", lr=wsd, warmup_steps=2160).value < answer.high


def profiles(rng, loss=lambda n, d: 1.8 + 900 * (n**-0.35 + d**-0.35), sd=5e-4, budgets=4, points=7):
    """isoFLOP profiles around N* = √(C/6)."""
    rows = []
    for flops in np.geomspace(1e19, 1e21, budgets):
        n = np.sqrt(flops / 6) * np.exp(np.linspace(-1.5, 1.5, points))
        d = flops / (6 * n)
        losses = loss(n, d) * noise(rng, sd, points)
        rows.append(pd.DataFrame({"params_total": n, "tokens": d, "loss_nats": losses, "flops_budget": flops}))
    return pd.concat(rows, ignore_index=True)


def spoiled(rng):
    frame = profiles(rng)
    frame.loc[[3, 24], "loss_nats"] *= 10
    return frame


#: Trap of isoFLOP profiles → (rng → table, words of the refusal by approach 2).
PROFILE_TRAPS: dict[str, tuple[Callable, str]] = {
    "all losses equal": (lambda rng: profiles(rng, lambda n, d: 0 * n + 2.5, 0), "minimum of the loss"),
    "pure noise": (lambda rng: profiles(rng, lambda n, d: 0 * n + 2.5, 0.02), "minimum of the loss"),
    "upside down": (lambda rng: profiles(rng, lambda n, d: 6 - 900 * (n**-0.35 + d**-0.35)), "minimum of the loss"),
    "two of 28 losses x 10": (spoiled, "times the median of their budget"),
    "budgets in PFLOP": (lambda rng: profiles(rng).assign(flops_budget=lambda t: t["flops_budget"] / 1e15), "6ND is"),
    "a fifth of the tokens": (lambda rng: profiles(rng).assign(tokens=lambda t: t["tokens"] / 5), "6ND is"),
}


def judged(approach, runs):
    """What an approach says of runs: its status and why; profiles without any minimum have no N* to give."""
    try:
        found = approach(runs)
    except Untrusted as error:
        return "misfit", str(error)
    return found.status, " ".join(finding["what"] for finding in found.findings)


@pytest.mark.parametrize("approach", [envelope, parabolas])
@pytest.mark.parametrize("trap", PROFILE_TRAPS)
def test_a_trap_of_profiles_is_named(trap, approach):
    make, words = PROFILE_TRAPS[trap]
    status, why = judged(approach, Runs(make(np.random.default_rng(7))))
    assert status == "misfit"
    assert words in why


@pytest.mark.parametrize("approach", [1, 2])
@pytest.mark.parametrize("trap", ["all losses equal", "pure noise", "upside down"])
def test_a_trap_of_profiles_exits_3_unless_forced(trap, approach, tmp_path, capsys):
    make, words = PROFILE_TRAPS[trap]
    make(np.random.default_rng(7)).to_csv(tmp_path / "runs.csv", index=False)
    command = ["optimum", str(tmp_path / "runs.csv"), "--approach", str(approach), "--flops", "6e20", "--json"]
    assert main(command) == 3
    assert words in capsys.readouterr().err
    if main([*command, "--force"]) == 0:
        assert json.loads(capsys.readouterr().out)["warnings"][0].startswith("FORCED")


@pytest.mark.parametrize("approach", [1, 2])
def test_clean_profiles_are_answered_and_hold_their_own_value(approach, tmp_path, capsys):
    profiles(np.random.default_rng(3)).to_csv(tmp_path / "runs.csv", index=False)
    assert main(["optimum", str(tmp_path / "runs.csv"), "--approach", str(approach), "--flops", "6e20", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    for name in ("params", "tokens", "exponent"):
        value, low, high = (answer[name][key] for key in ("value", "low", "high"))
        assert low is None or low < value < high


@pytest.mark.parametrize("digits", [1, 2, 3])
def test_no_interval_is_narrower_than_the_digits_of_the_losses(digits):
    """Losses with no noise but their rounding: the interval of a new run spans at least most of one unit."""
    n, d = grid()
    found = fit("chinchilla", table(n, d, np.round(loss_of(n, d), digits)), starts=16, bootstrap=60)
    answer = predict(found, params=4e8, tokens=2e10)
    assert answer.low <= answer.value <= answer.high
    assert answer.high - answer.low >= 0.8 * 10.0**-digits
    check_intervals(found)


def test_exact_losses_have_intervals_of_some_width_that_hold_their_value():
    n, d = grid()
    found = fit("chinchilla", table(n, d, loss_of(n, d)), starts=16, bootstrap=60)
    assert found.status == "converged"
    check_intervals(found)
    answer = predict(found, params=4e8, tokens=2e10)
    assert answer.low < answer.value < answer.high
