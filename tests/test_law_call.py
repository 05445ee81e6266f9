"""`jaxlaws.law`: a law as a function, against `predict`, finite differences and its own batched and compiled forms."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from law_samples import SAMPLES

import jaxlaws
from jaxlaws.errors import BadInput
from jaxlaws.fitting.predict import predict
from jaxlaws.fitting.result import LossFit
from jaxlaws.inputs import INPUTS
from jaxlaws.laws.call import FittedLaw

STEPS, WARMUP = 300, 30
X = np.arange(STEPS - WARMUP) / (STEPS - WARMUP)
WARM = np.arange(1, WARMUP + 1) / WARMUP
#: LR over the peak: a smooth decay, and one that drops, is noisy, rises again and ends with zeros.
SCHEDULES = np.stack(
    [
        np.r_[WARM, 0.52 + 0.48 * np.cos(np.pi * X)],
        np.r_[WARM, np.where(X < 0.5, 1 + 0.02 * np.sin(40 * X), np.maximum(0.0, 0.8 - np.abs(X - 0.6)) * (X < 0.95))],
    ]
)
AT = np.arange(WARMUP, STEPS, 5)
CURVES = [name for name, sample in SAMPLES.items() if sample.law(name).kind == "curve"]
POINTS = [name for name in SAMPLES if name not in CURVES]


def fitted(name, warmup_ld="included"):
    sample = SAMPLES[name]
    law = sample.law(name)
    parts = {INPUTS[key].column: ",".join(sample.parts) for key in law.inputs if INPUTS[key].many}
    convention = {**law.convention, "warmup_ld": warmup_ld, **parts}
    return LossFit(law=name, convention=convention, noise="none", params=sample.constants(name))


def logged(name, at):
    """What a law reads of a run's log at the points, by symbol and by column."""
    keys = [key for key in SAMPLES[name].law(name).inputs if INPUTS[key].logged]
    values = {key: 2 + np.sin(at / 50) for key in keys}
    return values, {INPUTS[key].column: value for key, value in values.items()}


def others(name):
    """Inputs of a law beside the schedule: by symbol, and by the keywords of `predict`."""
    inputs = SAMPLES[name].inputs(name, 3)
    read = {key: value for key, value in inputs.items() if INPUTS[key].of_run}
    if "phase_start" in read:
        read["phase_start"] = np.array([150.0, 31.0, 290.0])
    one = {key: value[0] for key, value in read.items()}
    named = {
        INPUTS[key].column: dict(zip(SAMPLES[name].parts, value, strict=True)) if INPUTS[key].many else float(value)
        for key, value in one.items()
    }
    return read, one, named


@pytest.mark.parametrize("warmup_ld", ["included", "excluded"])
@pytest.mark.parametrize("name", CURVES)
def test_a_law_of_curves_equals_predict(name, warmup_ld):
    fit = fitted(name, warmup_ld)
    law, (_, one, named) = jaxlaws.law(fit), others(name)
    for shape in SCHEDULES:
        lr = 3e-4 * shape
        for at in (None, AT, AT[::7]):
            where = np.array([STEPS - 1]) if at is None else at
            read, column = logged(name, where)
            read = {key: value[0] if at is None else value for key, value in read.items()}
            asked = predict(fit, lr=lr, at=where, warmup_steps=WARMUP, **named, **column).value
            with jax.enable_x64(True):
                ours = law(lr, at=at, warmup_steps=WARMUP, **one, **read)
            assert ours.shape == (() if at is None else at.shape)
            np.testing.assert_allclose(ours, asked if at is not None else asked[0], atol=1e-6)
            short = law(lr, at=at, warmup_steps=WARMUP, **one, **read)
            assert short.dtype == jnp.float32
            np.testing.assert_allclose(short, ours, rtol=2e-6)


@pytest.mark.parametrize("name", POINTS)
def test_a_law_of_models_equals_predict(name):
    fit = fitted(name)
    law, (read, one, named) = jaxlaws.law(fit), others(name)
    with jax.enable_x64(True):
        assert float(law(**one)) == pytest.approx(predict(fit, **named).value, rel=1e-12)
        assert law(**read).shape == (3,)
        assert float(law(**read)[0]) == pytest.approx(float(law(**one)), rel=1e-12)


def test_importing_it_loads_no_jax():
    code = "import sys, jaxlaws.laws.call, jaxlaws.laws.schedule; assert 'jax' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("law", [jaxlaws.law("multi_power:25M")])
def test_it_is_a_value_of_constants(law):
    assert isinstance(law, FittedLaw)
    assert sorted(jax.tree.leaves(law)) == sorted(law.params.values())


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda: jaxlaws.law("multi_powr:25M"), "did you mean 'multi_power'"),
        (lambda: jaxlaws.law("multi_power"), "multi_power:25M"),
        (lambda: jaxlaws.law("opl", params={"L0": 1.0, "A": 1.0}), "no constants alpha"),
        (lambda: jaxlaws.law("opl", params={"L0": 1.0, "A": 1.0, "alpah": 1.0}), "did you mean 'alpha'"),
        (lambda: jaxlaws.law("opl:x", params={}), "give the name of a law"),
    ],
)
def test_what_is_no_law_is_refused(ask, words):
    with pytest.raises(BadInput, match=words):
        ask()


LR = 3e-4 * SCHEDULES[0]


@pytest.mark.parametrize(
    ("name", "lr", "inputs", "words"),
    [
        ("multi_power:25M", None, {}, "give lr"),
        ("multi_power:25M", -LR, {}, "negative or not a number"),
        ("multi_power:25M", LR * np.nan, {}, "negative or not a number"),
        ("multi_power:25M", LR * 0, {}, "positive LR sum"),
        ("multi_power:25M", 3e-4, {}, r"expected \[..., steps\]"),
        ("multi_power:25M", LR[:0], {}, r"expected \[..., steps\]"),
        ("multi_power:25M", LR, {"at": [STEPS]}, "from 0 to 299"),
        ("multi_power:25M", LR, {"at": [-1]}, "from 0 to 299"),
        ("multi_power:25M", LR, {"at": 5}, r"expected \[points\]"),
        ("multi_power:25M", LR, {"at": [1.5]}, "expected steps"),
        ("multi_power:25M", LR, {"warmup_steps": 301}, "warmup_steps is 301"),
        ("multi_power:25M", LR, {"N": 1e9}, "unknown input of the law multi_power 'N'"),
        ("chinchilla:epoch", None, {"N": 1e9}, "needs D"),
        ("chinchilla:epoch", None, {"N": 1e9, "D": -1.0}, "positive"),
        ("chinchilla:epoch", None, {"N": 1e9, "D": 1e9, "B": 1e6}, "unknown input of the law chinchilla 'B'"),
        ("chinchilla:epoch", None, {"N": 1e9, "D": 1e9, "params": 1e6}, "did you mean 'N'"),
        ("chinchilla:epoch", LR, {"N": 1e9, "D": 1e9}, "not a schedule"),
        ("chinchilla:epoch", None, {"N": np.ones(2), "D": np.ones(3)}, "do not go together"),
    ],
)
def test_what_makes_no_sense_is_refused(name, lr, inputs, words):
    with pytest.raises(BadInput, match=words) as refusal:
        jaxlaws.law(name)(lr, **inputs)
    assert str(refusal.value).count("\n") == 0
