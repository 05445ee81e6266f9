"""Every law of curves over every family that ends at LR 0: finite losses, designs no worse than where they began."""

import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlaws.cli import main
from jaxlaws.designs.budget import cooldowns, extend
from jaxlaws.designs.family import best_of_family
from jaxlaws.designs.objective import final_loss, loss
from jaxlaws.designs.schedule import design
from jaxlaws.errors import BadInput
from jaxlaws.fitting.predict import final_losses, open_fit, predict
from jaxlaws.fitting.result import LossFit
from jaxlaws.laws.curves.bound import lr_noise
from jaxlaws.laws.table import LAWS, get
from jaxlaws.schedules.config import FAMILIES
from jaxlaws.schedules.spec import ScheduleConfig, schedule_array, spec_string

STEPS, WARMUP, PEAK = 600, 30, 5e-3
#: Constants of every curve law, of a model whose loss is about 3 nats.
CONSTANTS = {
    "multi_power": dict(open_fit("multi_power:25M").params),
    "annealing": dict(open_fit("annealing:25M").params),
    "annealing_size": {
        "L0": 1.5, "A": 0.5, "alpha": 0.5, "B": 60.0, "beta": 0.25, "C": 2.0, "gamma": 0.01, "lambda": 0.995
    },
    "opl": {"L0": 2.5, "A": 0.5, "alpha": 0.5},
    "lldl": {"L0": 2.5, "A": 0.5, "alpha": 0.5, "B": 20.0},
    "fsl": {"L0": 1.5, "c1": 0.5, "s": 0.5, "c2": 30.0, "c3": 0.5, "c4": 20.0, "gamma": 0.8},
    "noise_memory": {
        "L0": 1.0, "A": 0.65, "alpha": 0.5, "B": 4.0, "kappa": 0.15, "zeta": 0.6, "C": 500.0, "beta": 0.2
    },
    "noise_memory_reduced": {"L0": 1.0, "A": 0.65, "alpha": 0.5, "B": 2.0, "C": 500.0},
    "noise_memory_size": {
        "L0": 1.0, "A": 0.65, "alpha": 0.5, "B": 0.1, "kappa": 0.15, "zeta": 0.6, "C": 500.0, "beta": 0.2,
        "gamma": 0.25, "F": 60.0, "phi": 0.3,
    },
    "bound": {"L0": 1.0, "A": 0.65, "B": 1.7, "alpha": 0.27},
}  # fmt: skip
FITS = {
    name: LossFit(law=name, convention=dict(get(name).convention), noise="huber", params=constants)
    for name, constants in CONSTANTS.items()
}
SIZE = {"annealing_size": 1e6, "noise_memory_size": 1e6}
#: Laws that are another one at constants that follow from theirs, which their own tests show.
FORMS = ("noise_memory_reduced", "noise_memory_size")


def slow_if_forms(names):
    return [pytest.param(name, marks=pytest.mark.slow) if name in FORMS else name for name in names]


DESIGNED = slow_if_forms(name for name in FITS if name != "opl")
NEEDED = {"power": {"a": 4.6, "b": -0.51, "batch_sequences": 8, "seq_len": 128}}
ENDING = {
    name: ScheduleConfig(
        name=name, warmup_steps=WARMUP, **NEEDED.get(name, {}), **({"floor": 0.0} if "floor" in f else {})
    )
    for name, f in ((name, family.fields) for name, family in FAMILIES.items() if family.warmup)
    if name != "infinite"
}


def test_every_law_of_curves_is_here():
    """But those that read more of a run than one schedule."""
    more = {"noise_law", "noise_memory_batch", "noise_memory_size_batch"}
    more |= {name for name in LAWS if name.startswith("cpt")}
    assert set(FITS) | more == {name for name, law in LAWS.items() if law.kind == "curve"}


@pytest.mark.parametrize("law", slow_if_forms(FITS))
@pytest.mark.parametrize("family", ENDING)
def test_losses_at_the_end_of_every_family_are_finite(law, family):
    fit, size = FITS[law], SIZE.get(law)
    lr = schedule_array(ENDING[family], STEPS, PEAK)
    predicted = final_losses(fit, lr, WARMUP, params=size)[0]
    assert 0 < predicted < 20
    extra = {} if size is None else {"N": size}
    objective = final_loss(fit, lr, WARMUP, extra)
    assert 0 < objective < 20
    # A peak above that of the constants makes the compressed events of `predict` err by more.
    assert objective == pytest.approx(predicted, abs=2e-5)
    every = np.append(np.arange(WARMUP - 1, STEPS, 90), STEPS - 1)
    along = predict(fit, lr=lr, at=every, warmup_steps=WARMUP, params=size)
    assert along.value[-1] == pytest.approx(predicted, abs=1e-9)
    assert np.all(np.isfinite(along.value))


ENDS = {
    "a line to 0": np.linspace(1, 0, 300),
    "zeros after a line": np.r_[np.linspace(1, 0, 300), np.zeros(40)],
    "an LR that was rounded": np.linspace(1, 1e-18, 300),
    "zeros after a drop": np.r_[np.ones(200), np.zeros(7)],
    "zeros inside": np.r_[np.ones(50), np.zeros(20), np.linspace(1, 0, 100)],
    "one step": np.array([1.0]),
}


@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize("warmup", [0, 1])
def test_v_at_lr_0_is_that_of_the_last_step_with_an_lr(name, warmup):
    lr, p = 1e-3 * ENDS[name], CONSTANTS["bound"]
    if len(lr) <= warmup:
        return
    last = int(np.flatnonzero(lr > 1e-12 * lr.max())[-1])
    kept = lr[: last + 1]
    ahead = np.cumsum(kept[::-1])[::-1]
    v = kept[-1] + np.sum(kept[:-1] ** 2 / ahead[1:])
    assert lr_noise(lr, np.array([len(lr) - 1]))[0] == pytest.approx(v, rel=1e-6)
    truth = p["L0"] + p["A"] * lr.sum() ** -p["alpha"] + p["B"] * v ** p["alpha"]
    assert final_loss(FITS["bound"], lr, warmup) == pytest.approx(truth, rel=1e-9)


def test_the_gradient_before_a_last_lr_of_0_is_that_of_finite_differences():
    law, p = get("bound"), CONSTANTS["bound"]
    with jax.enable_x64(True):
        lr = jnp.asarray(1e-3 * np.linspace(1, 0, 60))
        value = jax.jit(lambda x: loss(law, p, x, jnp.full(60, 2.0), 1, {}))
        slope = jax.jit(jax.grad(value))(lr)
        for i in (0, 30, 58):
            h = 1e-6 * float(lr[i])
            numeric = (value(lr.at[i].add(h)) - value(lr.at[i].add(-h))) / (2 * h)
            assert float(slope[i]) == pytest.approx(float(numeric), rel=1e-5)
    assert np.all(np.isfinite(slope))


@pytest.mark.parametrize("law", DESIGNED)
@pytest.mark.parametrize(
    "spec", ["wsd(shape=linear, floor=0)", "uba(floor=0)", "cosine", "wsd_cycles(floor=0, shape=cosine)"]
)
def test_the_best_of_a_family_is_no_worse_than_its_members(law, spec):
    found = best_of_family(FITS[law], spec, STEPS, PEAK, WARMUP, params=SIZE.get(law))
    extra = {"N": SIZE[law]} if law in SIZE else {}
    family, fields = spec.split("(")[0], {"wsd": "cooldown", "uba": "phi", "cosine": "floor", "wsd_cycles": "cooldown"}
    for number in (0.05, 0.2, 0.4, 0.8):
        given = {"shape": "linear", "floor": 0.0} if family == "wsd" else {"floor": 0.0}
        if family == "wsd_cycles":
            given["shape"] = "cosine"
        config = ScheduleConfig(name=family, warmup_steps=WARMUP, **{**given, fields[family]: number})
        member = final_loss(FITS[law], schedule_array(config, STEPS, PEAK), WARMUP, extra)
        assert found.loss[0] <= member + 1e-6, spec_string(config)


@pytest.mark.parametrize("law", DESIGNED)
def test_the_best_cooldown_is_no_worse_than_its_table(law):
    (row,) = cooldowns(FITS[law], [STEPS], PEAK, WARMUP, params=SIZE.get(law))
    assert row["loss"] <= min(row["losses"].values())
    assert np.all(np.isfinite(list(row["losses"].values())))


@pytest.mark.parametrize("law", DESIGNED)
def test_ways_to_extend_a_run_rank_as_the_losses_of_their_schedules(law):
    lr = schedule_array(ENDING["wsd"], STEPS, PEAK)
    ways = extend(FITS[law], lr, 2 * STEPS, WARMUP, params=SIZE.get(law))
    losses = [final_losses(FITS[law], way.lr, WARMUP, params=SIZE.get(law))[0] for way in ways]
    assert [way.loss for way in ways] == pytest.approx(losses)
    assert losses == sorted(losses)
    best = cooldowns(FITS[law], [2 * STEPS], PEAK, WARMUP, params=SIZE.get(law))[0]
    whole = next(way for way in ways if way.name == "from the start")
    assert whole.loss == pytest.approx(best["loss"], abs=1e-9)


@pytest.mark.parametrize(
    "law",
    [
        name if name in ("bound", "noise_memory") else pytest.param(name, marks=pytest.mark.slow)
        for name in CONSTANTS
        if name != "opl"
    ],
)
def test_a_design_leaves_its_starts(law):
    found = design(FITS[law], STEPS, PEAK, WARMUP, knots=3, params=SIZE.get(law), starts=2)
    extra = {"N": SIZE[law]} if law in SIZE else {}
    constant = schedule_array(ScheduleConfig(name="constant", warmup_steps=WARMUP), STEPS, PEAK)
    assert found.loss[0] < final_loss(FITS[law], constant, WARMUP, extra)
    assert np.all(np.isfinite(found.starts))


def test_searches_that_find_nothing_say_so():
    bound = FITS["bound"]
    nothing = replace(bound, params={**bound.params, "A": 0.0, "B": 0.0})
    with pytest.raises(BadInput, match="does not depend on the schedule"):
        design(nothing, STEPS, PEAK, WARMUP, knots=3, starts=2)
    broken = replace(bound, params={**bound.params, "A": float("nan")})
    for ask in (
        lambda: design(broken, STEPS, PEAK, WARMUP, knots=3, starts=2),
        lambda: best_of_family(broken, "wsd(shape=linear)", STEPS, PEAK, WARMUP),
        lambda: cooldowns(broken, [STEPS], PEAK, WARMUP),
        lambda: extend(broken, schedule_array(ENDING["wsd"], STEPS, PEAK), 2 * STEPS, WARMUP),
    ):
        with pytest.raises(BadInput, match="no finite loss"):
            ask()


def test_a_warm_up_of_nearly_all_the_steps_of_a_long_run():
    found = best_of_family(FITS["bound"], "wsd(shape=linear, floor=0)", 100_000, PEAK, 99_999)
    assert len(found.lr[0]) == 100_000


@pytest.fixture(scope="module")
def law_of_the_quickstart(tmp_path_factory):
    path = tmp_path_factory.mktemp("law") / "schedule_law.json"
    FITS["bound"].save(path)
    return str(path)


def answered(capsys, *arguments):
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_commands_of_the_finding(capsys, law_of_the_quickstart):
    request = [law_of_the_quickstart, "--peak-lr", "5e-3"]
    (row,) = answered(capsys, "design", "cooldown", *request, "--horizons", "800")["horizons"]
    assert row["loss"] <= min(row["losses"].values())
    ways = answered(
        capsys, "design", "extend", *request, "--schedule", "wsd(cooldown=0.2)", "--steps", "800", "--to", "1600"
    )["ways"]
    assert ways[0]["loss"] == min(way["loss"] for way in ways)
    found = answered(capsys, "design", "schedule", *request, "--family", "uba(floor=0)", "--steps", "800")
    assert 0 < found["objective"] < 20


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["design", "cooldown", "FIT", "--peak-lr", "1e-3", "--steps", ",".join(["100"] * 10_000)], "at most 32"),
        (["design", "cooldown", "FIT", "--peak-lr", "1e-3", "--steps", "1e15"], "at most 10000000"),
        (["design", "schedule", "FIT", "--peak-lr", "1e-3", "--steps", "1e12"], "at most 10000000"),
        (["design", "schedule", "FIT", "--peak-lr", "1e-3", "--steps", "100", "--warmup", "0.05"], "whole number"),
        (
            ["design", "extend", "FIT", "--schedule", "wsd", "--steps", "100", "--peak-lr", "1", "--to", "1e13"],
            "at most",
        ),
        (["bound", "wsd", "--steps", "1e15"], "at most"),
        (["bound", "wsd", "--steps", "100", "--extend", "1e12"], "at most 1000000"),
        (["bound", "wsd", "--steps", "100", "--extend", "150.5"], "whole number"),
        (["predict", "FIT", "--schedule", "wsd", "--steps", "100", "--peak-lr", "1e-3", "--every", "0"], "--every"),
        (["predict", "FIT", "--schedule", "wsd", "--steps", "100", "--peak-lr", "1e-3", "--every", "2.5"], "--every"),
        (["predict", "FIT", "--schedule", "NAN"], "not a number"),
        (["predict", "FIT", "--schedule", "ZERO"], "none above zero"),
        (["bound", "NAN"], "not a number"),
        (["bound", "ZERO"], "none above zero"),
        (["design", "extend", "FIT", "--schedule", "ZERO", "--to", "90"], "none above zero"),
    ],
)
def test_requests_are_sized_and_checked_before_they_are_served(
    tmp_path, capsys, law_of_the_quickstart, arguments, words
):
    files = {"FIT": law_of_the_quickstart, "NAN": tmp_path / "nan.csv", "ZERO": tmp_path / "zero.csv"}
    files["NAN"].write_text("step,lr\n0,nan\n1,0.1\n")
    files["ZERO"].write_text("step,lr\n0,0\n1,0\n")
    assert main([str(files.get(word, word)) for word in arguments]) == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert words in printed.err
