"""What a designed schedule is said to gain, and the budget questions."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from jaxlaws.designs.budget import cooldowns, extend
from jaxlaws.designs.gain import baselines, gain, gains, run_sd, warnings
from jaxlaws.errors import BadInput
from jaxlaws.fitting import score
from jaxlaws.fitting.fit import fit
from jaxlaws.fitting.points import points
from jaxlaws.fitting.predict import open_fit, predict
from jaxlaws.laws.table import get
from jaxlaws.records.source import open_runs
from jaxlaws.records.table import Curve, Runs
from jaxlaws.schedules.spec import ScheduleConfig, schedule_array

MPL = open_fit("multi_power:25M")
NOISE = {"offset": 3e-3, "sigma": 4e-3, "quantiles": [0.0]}
PLAIN = replace(MPL, held_out={}, scatter=NOISE, draws={name: [value] * 40 for name, value in MPL.params.items()})


def losses(value, sd=0.0, seed=0):
    return np.r_[value, value + sd * np.random.default_rng(seed).standard_normal(40)]


def test_a_gain_is_called_only_outside_the_noise():
    sd = 5e-3 * 2.0 * 2**0.5
    large = gain(PLAIN, losses(2.0 - 3 * sd, 1e-4), losses(2.0))
    assert large.verdict == "gain"
    assert large.pairs == 1
    assert large.noise == pytest.approx(sd)
    assert large.low < large.predicted < large.high
    small = gain(PLAIN, losses(2.0 - 0.5 * sd, 1e-4), losses(2.0))
    assert small.verdict == "inside the noise"
    assert small.pairs == 11
    unsure = gain(PLAIN, losses(2.0 - 3 * sd, 4 * sd), losses(2.0))
    assert unsure.verdict == "inside the noise"
    assert unsure.pairs is None
    assert gain(PLAIN, losses(2.0 + 3 * sd, 1e-4), losses(2.0)).verdict == "loss"


def test_the_known_bias_scales_what_is_expected():
    biased = replace(PLAIN, held_out={"decay_gaps": {"ratio": 0.5, "se": 0.1, "pairs": 5}})
    found = gain(biased, losses(1.95), losses(2.0))
    assert found.predicted == pytest.approx(0.05)
    assert found.expected == pytest.approx(0.025)
    assert found.expected_low < 0.025 < found.expected_high
    assert found.expected_high - found.expected_low == pytest.approx(2 * 1.645 * 0.1 * 0.05, rel=0.3)


def test_published_constants_have_no_interval_and_say_so():
    lr = baselines(2400, 3e-4, 216)
    found = gains(MPL, lr["wsd 20%"], lr, 216)
    assert found["wsd 20%"].predicted == 0
    assert found["cosine to 10%"].low is None
    assert found["cosine to 10%"].expected == pytest.approx(0.56 * found["cosine to 10%"].predicted, rel=1e-3)
    said = " ".join(warnings(MPL, lr["wsd 20%"], 216))
    assert "no resamples" in said
    assert "0.56" in said
    assert run_sd(MPL) == pytest.approx(1.5e-3)


@pytest.mark.parametrize("size", ["25M", "100M"])
def test_the_ratio_of_gaps_of_the_published_constants(published, size):
    runs = open_runs(published(f"multi_power_law/csv_{size[:-1]}"), "multi_power_law")
    held, preset = points(get("multi_power"), runs), open_fit(f"multi_power:{size}")
    predicted = np.concatenate([predict(preset, curve=runs.curves[name]).value for name in held.names])
    found = score.decay_ratio(held, predicted, ["cosine_24000", "constant_24000", "wsdcon_9"])
    assert found == pytest.approx(preset.held_out["decay_gaps"], rel=1e-6)


def simulated(schedules, steps=1000):
    """Runs whose losses follow the published law, with noise of each run."""
    rng = np.random.default_rng(1)
    curves = {}
    for name, config in schedules.items():
        lr = schedule_array(config, steps, 3e-3)
        at = np.arange(99, steps, 50)
        value = predict(MPL, lr=lr, at=at, warmup_steps=50).value
        curves[name] = Curve(lr, at, value * np.exp(1e-3 * rng.standard_normal(len(at))), 50)
    frame = pd.DataFrame({"loss_nats": [c.loss[-1] for c in curves.values()]}, index=pd.Index(list(curves)))
    return Runs(frame, curves, source="simulated curves")


def test_a_fit_knows_what_its_schedules_went_through():
    runs = simulated(
        {
            "constant": ScheduleConfig(name="constant", warmup_steps=50),
            "cosine": ScheduleConfig(name="cosine", floor=0.1, warmup_steps=50),
            "linear": ScheduleConfig(name="linear", floor=0.05, warmup_steps=50),
            "wsd": ScheduleConfig(name="wsd", cooldown=0.2, floor=0.05, warmup_steps=50),
        }
    )
    found = fit("bound", runs, starts=4, bootstrap=0)
    assert found.ranges["steps"] == [1000, 1000]
    assert found.ranges["peak_lr"] == [3e-3, 3e-3]
    assert found.ranges["lowest_share"] == [pytest.approx(0.05), 1.0]
    assert found.ranges["steepest_drop"] == [0.0, pytest.approx(0.95 / 200)]
    assert found.held_out["decay_gaps"]["pairs"] == 3
    longer = schedule_array(ScheduleConfig(name="linear", floor=0.0, warmup_steps=100), 3000, 9e-3)
    outside = predict(found, lr=longer, warmup_steps=100).extrapolation.axes
    assert outside["steps"].factor == pytest.approx(3)
    assert outside["peak_lr"].factor == pytest.approx(3)
    assert outside["lr_sum"].factor > 3
    assert "stays above 5.00%" in " ".join(warnings(found, longer, 100))
    sudden = longer.copy()
    sudden[2000:] = 1e-4
    assert "in one step" in " ".join(warnings(found, sudden, 100))


def test_the_ratio_of_gaps_is_that_of_the_losses():
    names = {
        "cosine": ScheduleConfig(name="cosine", floor=0.1, warmup_steps=50),
        "linear": ScheduleConfig(name="linear", floor=0.05, warmup_steps=50),
        "wsd": ScheduleConfig(name="wsd", cooldown=0.2, floor=0.05, warmup_steps=50),
        "constant": ScheduleConfig(name="constant", warmup_steps=50),
    }
    held = points(get("bound"), simulated(names))
    exaggerated = 3.0 + 2 * (held.loss - 3.0)
    found = score.decay_ratio(held, exaggerated, None)
    assert found == {"ratio": pytest.approx(0.5), "se": pytest.approx(0, abs=1e-12), "pairs": 3}
    assert score.decay_ratio(held, exaggerated, ["cosine", "linear", "wsd"]) == {}


def test_cooldowns_of_horizons():
    rows = cooldowns(MPL, [6000, 24_000], 3e-4, 600)
    for row in rows:
        assert row["loss"] <= min(row["losses"].values()) + 1e-6
        assert 0.05 < row["best"] < 0.3
    assert rows[1]["loss"] < rows[0]["loss"]


def test_extending_a_run():
    lr = schedule_array(ScheduleConfig(name="wsd", cooldown=0.2, warmup_steps=300), 6000, 3e-4)
    ways = {way.name: way for way in extend(MPL, lr, 12_000, 300)}
    assert ways["from the trunk"].loss == ways["from the start"].loss
    assert ways["from the trunk"].steps == 12_000 - 4800
    assert np.array_equal(ways["from the trunk"].lr[:4800], lr[:4800])
    assert ways["from the end"].steps == 6000
    assert np.array_equal(ways["from the end"].lr[:6000], lr)
    assert all(len(way.lr) == 12_000 for way in ways.values())
    cosine = schedule_array(ScheduleConfig(name="cosine", warmup_steps=300), 6000, 3e-4)
    assert "from the trunk" not in {way.name for way in extend(MPL, cosine, 12_000, 300)}
    with pytest.raises(BadInput, match="cannot be extended"):
        extend(MPL, lr, 6000, 300)
