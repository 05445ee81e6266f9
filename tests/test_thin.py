"""Thinning of long logs: means that stay on the law of the losses, also in short decays, and what is said of them."""

from __future__ import annotations

import jax
import numpy as np
import pandas as pd
import pytest

from jaxlaws.cli import main
from jaxlaws.errors import BadInput
from jaxlaws.fitting.points import points
from jaxlaws.laws.table import get
from jaxlaws.records import thin
from jaxlaws.records.source import open_runs
from jaxlaws.records.table import Curve, Runs

STEPS, WARMUP, PEAK = 12_000, 200, 3e-4
SHARE = np.linspace(0, 1, STEPS)
#: LR over its peak.
SHAPES = {
    "cosine": 0.55 + 0.45 * np.cos(np.pi * SHARE),
    "a decay over 2%": np.minimum(1.0, (1.002 - SHARE) / 0.02),
    "a drop": np.where(SHARE < 0.5037, 1.0, 0.3),
}


def runs_of(lr: np.ndarray, loss: np.ndarray, **logged: np.ndarray) -> Runs:
    curve = Curve(lr, np.arange(len(lr)), loss, WARMUP, logged)
    return Runs(pd.DataFrame({"steps": [len(lr)], "loss_nats": loss[-1:]}, index=["curve"]), {"curve": curve})


def schedule(shape: str) -> np.ndarray:
    return PEAK * SHAPES[shape] * np.minimum(1.0, np.arange(1, STEPS + 1) / WARMUP)


def predicted(runs: Runs) -> tuple[np.ndarray, np.ndarray]:
    """(losses of the published Multi-Power Law, those of the curve) at the points of some runs."""
    law = get("multi_power")
    flat = points(law, runs)
    with jax.enable_x64(True):
        return np.asarray(law.predict(law.presets["25M"].values, flat.inputs)), flat.loss


def off(runs: Runs) -> np.ndarray:
    """How far the losses of a curve are from the law after its first quarter, as a share."""
    law, loss = predicted(runs)
    late = runs.curves["curve"].at[-len(law) :] >= STEPS / 4
    return np.abs(loss / law - 1)[late]


@pytest.mark.parametrize(("shape", "better"), [("cosine", 1.0), ("a decay over 2%", 2.5), ("a drop", 2.5)])
def test_means_of_a_law_lie_on_the_law_and_closer_than_those_of_equal_blocks(shape, better):
    lr = schedule(shape)
    exact, _ = predicted(runs_of(lr, np.ones(STEPS)))
    loss = np.r_[np.full(STEPS - len(exact), exact[0]), exact]
    few = thin.thinned(runs_of(lr, loss), every=100)
    assert STEPS / 100 < len(few.curves["curve"].at) < 1.55 * STEPS / 100
    law, mean = predicted(few)
    np.testing.assert_allclose(mean, law, rtol=1.5e-3)
    assert off(few).max() < 2e-4
    equal = np.arange(STEPS) // 100
    blocks = Curve(lr, 100 * np.unique(equal) + 50, np.bincount(equal, loss) / 100, WARMUP)
    assert off(Runs(few.table, {"curve": blocks})).max() > better * off(few).max()


def test_a_mean_of_n_losses_has_their_noise_over_the_root_of_n():
    noise = np.random.default_rng(0).standard_normal(40_000)
    loss = 3 + 0.1 * noise
    few = thin.thinned(runs_of(np.full(40_000, PEAK), loss, noise_trace=loss + 1), every=100).curves["curve"]
    late = few.at > 10_000
    assert 0.009 < np.std(few.loss[late]) < 0.013
    np.testing.assert_allclose(few.logged["noise_trace"], few.loss + 1)
    assert np.all(np.diff(few.at) > 0)


def test_long_logs_are_thinned_by_default_and_say_so():
    short, long = (np.full(count, 3.0) for count in (thin.MOST, thin.MOST + 1))
    assert thin.thinned(runs_of(short, short)).notes == ()
    few = thin.thinned(runs_of(long, long))
    assert thin.LEFT <= len(few.curves["curve"].at) <= 1.5 * thin.LEFT
    assert "30,001 losses along 1 curves are thinned to" in few.warnings[0]
    assert "--every 1 keeps them" in few.warnings[0]
    assert len(thin.thinned(runs_of(long, long), every=1).curves["curve"].at) == len(long)


@pytest.mark.parametrize(("from_step", "first"), [(1000, 1000), (0.25, 3000)])
def test_early_steps_are_left_out(from_step, first):
    lr = schedule("cosine")
    late = thin.thinned(runs_of(lr, 2 + lr), from_step=from_step)
    curve = late.curves["curve"]
    assert curve.at[0] == first
    assert len(curve.lr) == STEPS
    np.testing.assert_array_equal(curve.loss, 2 + lr[first:])
    assert "is left out, as --from-step says" in late.notes[0]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"every": 0}, "--every is 0, expected a whole number of losses from 1"),
        ({"from_step": -5}, "--from-step is -5, expected a step, or a share"),
        ({"from_step": 1e6}, "--from-step 1e\\+06 leaves no loss of the curve 'curve', whose last is of step 11999"),
    ],
)
def test_what_leaves_nothing_is_refused(options, sentence):
    lr = schedule("cosine")
    with pytest.raises(BadInput, match=sentence):
        thin.thinned(runs_of(lr, 2 + lr), **options)


def test_commands_thin(tmp_path, capsys):
    path = tmp_path / "log.csv"
    lr = schedule("a decay over 2%")[:3000]
    pd.DataFrame({"step": np.arange(3000), "lr": lr, "loss": 2 + np.arange(3000.0, 0, -1) / 3000}).to_csv(path)
    assert len(open_runs(path, every=30, from_step=0.1).curves["curve"].at) < 160
    assert main(["inspect", str(path), "--every", "30", "--from-step", "10%"]) == 2
    assert main(["inspect", str(path), "--every", "30", "--from-step", "0.1", "--json"]) == 0
    assert "means of at most 30 in turn" in capsys.readouterr().out
