"""Every schedule equals its formula at every step, ends at its floor, and refuses what makes no sense."""

import math

import numpy as np
import pytest

from jaxlaws.errors import BadInput
from jaxlaws.schedules import families
from jaxlaws.schedules.spec import ScheduleConfig, identity, parse, read_table, schedule_array, spec_string


def _decay(shape: str, u: float, f: float) -> float:
    if shape == "linear":
        return f + (1 - f) * (1 - u)
    if shape == "1-sqrt":
        return f + (1 - f) * (1 - math.sqrt(u))
    if shape == "exponential":
        return math.exp(u * math.log(f))
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
    }
    for shape in families.SHAPES:
        decay = min(round(0.3 * steps), steps - warmup)
        table[f"wsd {shape}"] = (families.wsd(steps, warmup, 0.3, shape, floor), decay, shape)
    for name, (lr, decay, shape) in table.items():
        np.testing.assert_allclose(lr, _expected(steps, warmup, decay, shape, floor), rtol=1e-14, err_msg=name)


@pytest.mark.parametrize("name", ["cosine", "linear", "wsd"])
def test_last_step_is_the_floor_and_warm_up_ends_at_the_peak(name: str):
    config = ScheduleConfig(name=name, warmup_steps=10, floor_lr=1e-5, cooldown=0.2)
    lr = schedule_array(config, 100, 3e-4)
    assert lr[-1] == pytest.approx(1e-5, rel=1e-12)
    assert lr[9] == 3e-4
    assert lr[0] == pytest.approx(3e-5)
    assert np.all(np.diff(lr[9:]) <= 0)


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
        (ScheduleConfig(name="wsd", shape="square"), 10, 1.0, "unknown decay shape 'square'"),
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
        ("wsd(cooldown=much)", "expected a number"),
        ("cosine(warmup_steps=1.5)", "expected a number"),
    ],
)
def test_a_spec_that_cannot_be_read_gets_one_sentence(text: str, says: str):
    with pytest.raises(BadInput, match=says):
        parse(text)
