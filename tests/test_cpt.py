"""The law of continual pre-training: against loops over every step of each phase, and known truth along whole runs."""

import jax
import numpy as np
import pandas as pd
import pytest

from jaxlaws.errors import BadInput
from jaxlaws.fitting.fit import fit
from jaxlaws.fitting.predict import predict
from jaxlaws.fitting.result import LossFit
from jaxlaws.laws import events
from jaxlaws.laws.table import LAWS
from jaxlaws.records.table import Curve, Runs

#: Published constants of setting A, and of the forms with size and with replay where the paper has them.
FIRST = {"L0": 3.057, "A": 0.49, "alpha": 0.497, "B": 0.366, "E": 28.0, "beta": 0.189, "C1": 0.299, "C2": 0.298}
SECOND = {"L0": 3.024, "A": 0.412, "alpha": 0.677, "B": -0.666, "E": 5662.0, "beta": 0.146, "C1": 0.278, "C2": 0.324}
SIZE = {"L0": 1.829, "A": 0.504, "alpha": 0.537, "B": 0.278, "E": 12.0, "beta": 0.359, "C1": 0.09, "C2": 0.103}
SIZE |= {"F": 3.072, "gamma1": 0.235, "gamma2": 0.199, "gamma3": 0.195}
CASES = [
    ("cpt", FIRST, {}),
    ("cpt", SECOND, {}),
    ("cpt_carried", FIRST, {}),
    ("cpt_size", SIZE, {"params": 594.0}),
    ("cpt_replay_first", FIRST | {"a1": 0.055, "a2": 3.238}, {"replay_share": 0.3}),
    ("cpt_replay_second", SECOND | {"a1": 0.037, "a2": 5.696}, {"replay_share": 0.3}),
]
STEPS = 1200


def two_phases(start, loss_potential=0.1, warm=40, end=0.1, peak=2e-4):
    """An LR array: warm-up and cosine to a share of the peak, then warm-up and linear decay to another."""
    x, z = np.arange(start) / start, np.arange(STEPS - start) / (STEPS - start)
    first = np.minimum((np.arange(start) + 1) / 60, 1) * (
        loss_potential + (1 - loss_potential) * 0.5 * (1 + np.cos(np.pi * x))
    )
    second = np.minimum(loss_potential + np.arange(STEPS - start) / max(warm, 1), 1 - (1 - end) * z)
    return peak * np.concatenate([first, second])


def by_loops(law, p, lr, start, t, params=1.0, replay_share=0.0):
    """The law at step t, phase by phase and step by step, as printed."""
    phases = ((range(min(start, t + 1)), 1), (range(start, t + 1), start))
    area, momentum = [0.0, 0.0], 0.0
    for phase, (steps, first) in enumerate(phases):
        if law != "cpt_carried":
            momentum = 0.0
        for i in steps:
            momentum = 0.999 * momentum + (lr[i - 1] - lr[i] if i >= first else 0.0)
            area[phase] += momentum
    sums = sum(lr[: min(start, t + 1)]), sum(lr[start : t + 1])
    shift = p["B"] * (1 - (1 + p["E"] * sums[1]) ** -p["beta"])
    size, other = 0.0, 1 - replay_share
    if law == "cpt_size":
        area = [area[0] * params ** p["gamma1"], area[1] * params ** p["gamma2"]]
        size = p["F"] * params ** -p["gamma3"]
    if "replay" in law:
        area[1] *= np.exp(p["a1"] * replay_share)
        shift *= 1 - np.exp(-p["a2"] * other) if law == "cpt_replay_first" else np.exp(p["a2"] * other) - 1
    return p["L0"] + p["A"] * sum(sums) ** -p["alpha"] - p["C1"] * area[0] - p["C2"] * area[1] + shift + size


@pytest.mark.parametrize(("law", "params", "given"), CASES)
@pytest.mark.parametrize("start", [700, 1100])
def test_the_law_equals_loops_over_every_step_of_each_phase(law, params, given, start):
    lr, at = two_phases(start), np.array([60, start - 1, start, start + 3, start + 90, STEPS - 1])
    x = events.inputs(lr, at, phase_start=start)
    x |= {"N": np.full(len(at), given.get("params", 1.0)), "replay": np.full(len(at), given.get("replay_share", 0.0))}
    with jax.enable_x64(True):
        ours = LAWS[law].predict(params, x)
    np.testing.assert_allclose(ours, [by_loops(law, params, lr, start, t, **given) for t in at], rtol=0, atol=1e-6)


def test_the_area_of_the_second_phase_is_negative_while_the_lr_rises_again():
    area = lambda lr: -LAWS["cpt"].basis(FIRST, events.inputs(lr, np.array([720]), phase_start=700))[3]  # noqa: E731
    assert area(two_phases(700)) < 0 < area(two_phases(700, loss_potential=1.0))


def runs_of(law, params):
    """Seven runs that differ in where the second phase starts, how far the first decayed and how the second ends."""
    curves, rows = {}, {}
    for i in range(7):
        start = (500, 700, 850)[i % 3]
        lr = two_phases(start, (0.05, 0.3, 0.8)[i // 3], (0, 40, 150)[i % 3], (0.02, 0.5)[i % 2], (2e-4, 1e-4)[i == 6])
        at = np.arange(79, STEPS, 80)
        loss = np.array([by_loops(law, params, lr, start, t) for t in at])
        curves[f"run{i}"] = Curve(lr, at, loss, 60)
        rows[f"run{i}"] = {"steps": STEPS, "phase_start": start, "peak_lr": lr.max(), "loss_nats": loss[-1]}
    return Runs(pd.DataFrame.from_dict(rows, orient="index"), curves)


def test_known_truth_comes_back_from_whole_runs_and_predicts_others():
    truth = SECOND | {"E": 300.0}
    runs = runs_of("cpt", truth)
    result = fit("cpt", runs, train=list(runs.curves)[:6], bootstrap=0, starts=2)
    other = runs.curves["run6"]
    answer = predict(result, curve=other, phase_start=float(runs.table.loc["run6", "phase_start"]))
    np.testing.assert_allclose(answer.value, other.loss, atol=2e-4)
    for name in ("C1", "C2", "alpha"):
        assert result.params[name] == pytest.approx(truth[name], rel=0.02), name


def test_a_phase_has_to_start_within_the_schedule():
    lr = two_phases(700)
    truth = LossFit(law="cpt", convention={}, noise="none", params=FIRST)
    for phase_start, message in ((None, "needs phase_start"), (1200, "below the 1200"), (3.5, "whole number")):
        with pytest.raises(BadInput, match=message):
            predict(truth, lr=lr, phase_start=phase_start)
