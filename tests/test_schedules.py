"""Every schedule equals its formula at every step, ends at its floor, and refuses what makes no sense."""

import math

import numpy as np
import pytest

from jaxlaws.errors import BadInput
from jaxlaws.schedules import families
from jaxlaws.schedules.config import FAMILIES, ScheduleConfig
from jaxlaws.schedules.exchange import read_table
from jaxlaws.schedules.shapes import SHAPES, WARMUPS
from jaxlaws.schedules.spec import identity, parse, schedule_array, spec_string


def _decay(shape: str, u: float, f: float) -> float:
    if shape == "linear":
        return f + (1 - f) * (1 - u)
    if shape == "1-sqrt":
        return f + (1 - f) * (1 - math.sqrt(u))
    if shape == "exponential":
        return math.exp(u * math.log(f))
    if shape == "power-1.5":
        return f + (1 - f) * math.sqrt(1 - u) ** 3
    if shape == "square":
        return f + (1 - f) * (1 - u * u)
    if shape == "rex":
        return f + (1 - f) * 2 * (1 - u) / (2 - u)
    return f + (1 - f) * (1 + math.cos(math.pi * u)) / 2


def _expected(steps: int, warmup: int, decay: int, shape: str, floor: float) -> list[float]:
    """The convention of the schedules, one step at a time."""
    lr = []
    for t in range(steps):
        if t >= steps - decay:
            lr.append(_decay(shape, (t - (steps - decay) + 1) / decay, floor))
        elif t < warmup:
            lr.append((t + 1) / warmup)
        else:
            lr.append(1.0)
    return lr


@pytest.mark.parametrize(("steps", "warmup"), [(1, 0), (1, 1), (7, 0), (50, 5), (101, 20)])
@pytest.mark.parametrize("floor", [0.1, 1.0])
def test_every_family_equals_its_formula_at_every_step(steps: int, warmup: int, floor: float):
    table = {
        "constant": (families.constant(steps, warmup), 0, "linear"),
        "cosine": (families.cosine(steps, warmup, floor), steps - warmup, "cosine"),
        "linear": (families.linear(steps, warmup, floor), steps - warmup, "linear"),
        "rex": (families.rex(steps, warmup, floor), steps - warmup, "rex"),
        "uba": (families.uba(steps, warmup, 2.0, floor), steps - warmup, "cosine"),
    }
    for shape in SHAPES:
        decay = min(round(0.3 * steps), steps - warmup)
        table[f"wsd {shape}"] = (families.wsd(steps, warmup, 0.3, shape, floor), decay, shape)
    for name, (lr, decay, shape) in table.items():
        np.testing.assert_allclose(lr, _expected(steps, warmup, decay, shape, floor), rtol=1e-13, err_msg=name)


@pytest.mark.parametrize("name", ["cosine", "linear", "wsd"])
def test_last_step_is_the_floor_and_warm_up_ends_at_the_peak(name: str):
    config = ScheduleConfig(name=name, warmup_steps=10, floor_lr=1e-5, cooldown=0.2)
    lr = schedule_array(config, 100, 3e-4)
    assert lr[-1] == pytest.approx(1e-5, rel=1e-12)
    assert lr[9] == 3e-4
    assert lr[0] == pytest.approx(3e-5)
    assert np.all(np.diff(lr[9:]) <= 0)


#: What a family needs besides its defaults.
NEEDS = {"power": {"a": 4.6, "b": -0.51, "batch_sequences": 8, "seq_len": 64}}
NAMED = [name for name in FAMILIES if FAMILIES[name].warmup]


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize(("steps", "warmup"), [(1, 0), (1, 1), (2, 0), (7, 7), (30, 0), (30, 30), (30, 3)])
@pytest.mark.parametrize("shape", WARMUPS)
def test_every_family_warms_up_to_the_peak_and_stays_between_zero_and_it(name: str, steps: int, warmup: int, shape):
    config = ScheduleConfig(name=name, warmup_steps=warmup, warmup_shape=shape, **NEEDS.get(name, {}))
    if "cycles" in FAMILIES[name].fields:
        config.cycles = 1 if steps - warmup < 2 else 2
    lr = schedule_array(config, steps, 3e-3)
    v = np.arange(1, warmup + 1) / max(warmup, 1)
    form = {"linear": v, "cosine": np.sin(np.pi * v / 2) ** 2, "sqrt": v**0.5}[shape]
    np.testing.assert_allclose(lr[: max(warmup - 1, 0)], 3e-3 * form[:-1], rtol=1e-13)
    assert lr.shape == (steps,)
    assert lr.dtype == np.float64
    assert np.all((lr >= 0) & (lr <= 3e-3))
    if warmup and name not in ("step", "power"):
        assert lr[warmup - 1] == 3e-3


@pytest.mark.parametrize("name", [name for name in NAMED if {"floor", "cooldown"} & set(FAMILIES[name].fields)])
def test_every_decay_ends_at_the_floor_also_when_it_is_the_whole_run(name: str):
    fields = FAMILIES[name].fields
    for cooldown in (0.25, 1.0) if "cooldown" in fields else (None,):
        config = ScheduleConfig(name=name, warmup_steps=5, floor=0.03, cooldown=cooldown, **NEEDS.get(name, {}))
        lr = schedule_array(config, 200, 1.0)
        assert lr[-1] == pytest.approx(0.03, rel=1e-15)
        assert np.all(lr[4:] >= 0.03 * (1 - 1e-15))


def test_a_table_is_scaled_to_the_peak_and_known_by_its_content(tmp_path):
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("step,lr\n0,1\n1,2\n2,0.5\n")
    config = ScheduleConfig(name="table", file=str(tmp_path / "a.csv"))
    np.testing.assert_array_equal(schedule_array(config, 3, 0.1), [0.05, 0.1, 0.025])
    assert identity(config) == identity(ScheduleConfig(name="table", file=str(tmp_path / "b.csv")))
    with pytest.raises(BadInput, match="3 steps, the run has 4"):
        schedule_array(config, 4, 0.1)


@pytest.mark.parametrize(
    "text", ["step,lr\n0,1\n0,1\n", "step,lr\n1,x\n", "a,b\n1,2\n", "step,lr\n", "step,lr\n0,-1\n", "step,lr\n0,nan\n"]
)
def test_a_bad_table_is_refused(tmp_path, text: str):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(BadInput):
        read_table(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("config", "steps", "peak", "says"),
    [
        (ScheduleConfig(name="cosin"), 10, 1.0, "did you mean 'cosine'"),
        (ScheduleConfig(warmup_steps=11), 10, 1.0, "warm-up has 11 steps, the run has 10"),
        (ScheduleConfig(floor=-0.1), 10, 1.0, "between 0 and 1"),
        (ScheduleConfig(floor_lr=2.0), 10, 1.0, "between 0 and 1"),
        (ScheduleConfig(name="wsd", cooldown=1.2), 10, 1.0, "schedule.cooldown is 1.2"),
        (ScheduleConfig(name="wsd", shape="exponential", floor=0.0), 10, 1.0, "cannot end at zero"),
        (ScheduleConfig(name="wsd", shape="sqare"), 10, 1.0, "did you mean 'square'"),
        (ScheduleConfig(warmup_shape="cubic"), 10, 1.0, "unknown warm-up shape 'cubic'"),
        (ScheduleConfig(warmup_fraction=1.5), 10, 1.0, "schedule.warmup_fraction is 1.5"),
        (ScheduleConfig(warmup_fraction=math.nan), 10, 1.0, "schedule.warmup_fraction is nan"),
        (ScheduleConfig(warmup_steps=-1), 10, 1.0, "warm-up has -1 steps"),
        (ScheduleConfig(floor=math.nan), 10, 1.0, "floor of the schedule is nan"),
        (ScheduleConfig(), 10, math.nan, "peak_lr is nan"),
        (ScheduleConfig(), 10, math.inf, "peak_lr is inf"),
        (ScheduleConfig(name="wsd", cooldown=math.nan), 10, 1.0, "schedule.cooldown is nan"),
        (ScheduleConfig(name="infinite", floor=0.0), 10, 1.0, "cannot end at zero"),
        (ScheduleConfig(name="infinite", floor=0.5, level=0.4), 10, 1.0, "above schedule.level 0.4"),
        (ScheduleConfig(name="infinite", descent=-0.1), 10, 1.0, "schedule.descent is -0.1"),
        (ScheduleConfig(name="uba", phi=0.0), 10, 1.0, "schedule.phi is 0.0"),
        (ScheduleConfig(name="wsd_cycles", cycles=11), 10, 1.0, "schedule.cycles is 11"),
        (ScheduleConfig(name="cosine_restarts", cycles=0), 10, 1.0, "schedule.cycles is 0"),
        (ScheduleConfig(name="cosine_restarts", growth=-1.0), 10, 1.0, "schedule.growth is -1.0"),
        (ScheduleConfig(name="step", milestones=[0.9, 0.8]), 10, 1.0, "in increasing order"),
        (ScheduleConfig(name="step", values=[0.5]), 10, 1.0, "values has 1 numbers, milestones 2"),
        (ScheduleConfig(name="step", values=[0.5, 1.5]), 10, 1.0, "between 0 and 1"),
        (ScheduleConfig(name="power"), 10, 1.0, "schedule=power needs schedule.a"),
        (ScheduleConfig(name="power", **NEEDS["power"] | {"b": 0.5}), 10, 1.0, "schedule.b is 0.5"),
        (ScheduleConfig(name="optax", file="absent.py:lr"), 10, 1.0, "expected PATH.py:NAME"),
        (ScheduleConfig(name="refined", file="absent.csv"), 10, 1.0, "is not a file"),
        (ScheduleConfig(), 0, 1.0, "steps is 0"),
        (ScheduleConfig(), 10, 0.0, "peak_lr is 0"),
        (ScheduleConfig(name="table"), 10, 1.0, "needs schedule.file"),
    ],
)
def test_impossible_schedules_get_one_sentence(config: ScheduleConfig, steps: int, peak: float, says: str):
    with pytest.raises(BadInput, match=says):
        schedule_array(config, steps, peak)


def test_a_spec_names_what_the_family_reads_and_nothing_else():
    assert spec_string(ScheduleConfig(name="constant", warmup_steps=3)) == "constant(warmup_steps=3)"
    wsd = ScheduleConfig(name="wsd", floor=0.0, shape="1-sqrt")
    assert spec_string(wsd) == "wsd(cooldown=0.2, floor=0.0, shape=1-sqrt, warmup_fraction=0.05)"


@pytest.mark.parametrize(
    "config",
    [
        ScheduleConfig(name="constant", warmup_steps=7),
        ScheduleConfig(name="cosine", floor_lr=1e-5),
        ScheduleConfig(name="wsd", cooldown=0.35, shape="1-sqrt"),
        ScheduleConfig(name="linear", warmup_fraction=0.0, floor=0.2),
        ScheduleConfig(name="rex", warmup_shape="sqrt", warmup_steps=9),
        ScheduleConfig(name="uba", phi=0.3, floor=0.05),
        ScheduleConfig(name="cosine_restarts", cycles=3, growth=2.0),
        ScheduleConfig(name="wsd_cycles", cycles=4, cooldown=0.5, shape="square"),
        ScheduleConfig(name="inverse_sqrt", cooldown=0.1, shape="exponential", floor_lr=1e-6),
        ScheduleConfig(name="step", milestones=[0.3, 0.6, 0.9], values=[0.1, 0.01, 0.001]),
        ScheduleConfig(name="infinite", descent=0.2, level=0.5, cooldown=1 / 3),
        ScheduleConfig(name="power", **NEEDS["power"]),
        *(ScheduleConfig(name=name, **NEEDS.get(name, {})) for name in NAMED),
    ],
)
def test_a_spec_is_read_back_as_the_same_schedule(config: ScheduleConfig):
    again = ScheduleConfig(**parse(spec_string(config)))
    np.testing.assert_array_equal(schedule_array(again, 100, 1e-3), schedule_array(config, 100, 1e-3))
    assert identity(again) == identity(config)


def test_a_floor_that_is_not_given_is_the_familys_own():
    assert identity(ScheduleConfig(name="cosine")) == identity(ScheduleConfig(name="cosine", floor=0.1))
    assert schedule_array(ScheduleConfig(**parse("wsd(cooldown=0.5)")), 10, 1.0)[-1] == 0.0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("wsd(cooldown=0.2", "expected NAME or NAME"),
        ("wds(cooldown=0.2)", "did you mean 'wsd'"),
        ("wsd(colldown=0.2)", "did you mean 'cooldown'"),
        ("cosine(cooldown=0.2)", "unknown field of cosine 'cooldown'"),
        ("step(values=[a,b])", "expected a number"),
        ("wsd(cooldown=much)", "expected a number"),
        ("cosine(warmup_steps=1.5)", "warmup_steps is 1.5, expected a whole number"),
        ("wsd(warmup_steps=0.05)", "warmup_steps is 0.05, expected a whole number"),
        ("wsd(warmup_steps=1e300)", "expected a number of at most"),
        (f"wsd(warmup_steps={'9' * 5000})", "expected a number of at most"),
        ("wsd(warmup_steps=5, warmup_fraction=0.1)", "both warmup_fraction and warmup_steps"),
        ("cosine(floor=0.1, floor_lr=1e-5)", "both floor and floor_lr"),
        ("wsd(cooldown=0.1, cooldown=0.2)", "cooldown twice"),
    ],
)
def test_a_spec_that_cannot_be_read_gets_one_sentence(text: str, says: str):
    with pytest.raises(BadInput, match=says):
        parse(text)
