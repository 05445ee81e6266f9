"""`jaxlaws.law`: a law as a function, against `predict`, finite differences and its own batched and compiled forms."""

import subprocess
import sys
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from law_samples import SAMPLES

import jaxlaws
from jaxlaws.designs.objective import final_loss
from jaxlaws.errors import BadInput
from jaxlaws.fitting.predict import predict
from jaxlaws.fitting.result import LossFit
from jaxlaws.inputs import INPUTS
from jaxlaws.laws.call import FittedLaw
from jaxlaws.laws.relaxation import Running, power
from jaxlaws.laws.table import LAWS

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


def slow_but(names):
    """The laws of curves, of which all but these are slow tests, as each law costs seconds."""
    return [name if name in names else pytest.param(name, marks=pytest.mark.slow) for name in CURVES]


#: One of every set of variants.
DISTINCT = [name for name in CURVES if not name.startswith(("cpt_", "noise_memory_"))]


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


@pytest.mark.parametrize("name", slow_but(DISTINCT))
def test_a_law_of_curves_equals_predict(name):
    _, one, named = others(name)
    for shape, warmup_ld in product(SCHEDULES, ("included", "excluded")):
        fit, lr = fitted(name, warmup_ld), 3e-4 * shape
        law = jaxlaws.law(fit)
        for at in (None, AT, AT[::7]):
            where = np.array([STEPS - 1]) if at is None else at
            read, column = logged(name, where)
            read = {key: value[0] if at is None else value for key, value in read.items()}
            asked = predict(fit, lr=lr, at=where, warmup_steps=WARMUP, **named, **column).value
            with jax.enable_x64(True):
                ours = law(lr, at=at, warmup_steps=WARMUP, **one, **read)
            assert ours.shape == (() if at is None else at.shape)
            np.testing.assert_allclose(ours, asked if at is not None else asked[0], rtol=5e-7, atol=1e-6)
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
        (lambda: jaxlaws.law("opl", params=[1.0, 1.0, 0.5]), "params is .* expected a mapping"),
        (lambda: jaxlaws.law("multi_power:25M", convention="excluded"), "convention is excluded, expected a mapping"),
        (lambda: jaxlaws.law("opl", params={"L0": "1", "A": 1.0, "alpha": 0.5}), "L0 is 1, expected a number"),
        (lambda: jaxlaws.law("opl", params={"L0": None, "A": 1.0, "alpha": 0.5}), "L0 is None, expected a number"),
        (lambda: jaxlaws.law("opl", params={"L0": np.nan, "A": 1.0, "alpha": 0.5}), "one finite number"),
        (lambda: jaxlaws.law("opl", params={"L0": [1.0, 2.0], "A": 1.0, "alpha": 0.5}), "one finite number"),
        (lambda: jaxlaws.law(LAWS["opl"]), "the law opl has no constants"),
        (lambda: jaxlaws.law("mixing", params={"c": 1.0}), r"convention=\{'share': 'NAME,NAME'\}"),
        (lambda: jaxlaws.law("step_law:published"), "jaxlaws recommend"),
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
        ("multi_power:25M", LR, {"at": [1.5]}, "expected whole numbers"),
        ("multi_power:25M", LR, {"at": "end"}, "at is end, expected a number"),
        ("multi_power:25M", "wsd", {}, "lr is wsd, expected a number"),
        ("multi_power:25M", LR * 1j, {}, "lr is .* expected a number"),
        ("multi_power:25M", LR, {"warmup_steps": 301}, "warmup_steps is 301"),
        ("multi_power:25M", LR, {"N": 1e9}, "unknown input of the law multi_power 'N': valid: none"),
        ("chinchilla:epoch", None, {"N": 1e9}, "needs D"),
        ("chinchilla:epoch", None, {"N": 1e9, "D": -1.0}, "positive"),
        ("chinchilla:epoch", None, {"N": 1e9, "D": [1.0, np.inf]}, "D has the value inf"),
        ("chinchilla:epoch", None, {"N": "7B", "D": 1e9}, "N is 7B, expected a number"),
        ("chinchilla:epoch", None, {"N": None, "D": 1e9}, "N is None, expected a number"),
        ("chinchilla:epoch", None, {"N": [[1e9], [1e9, 2e9]], "D": 1e9}, "expected a number or an array of numbers"),
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


@pytest.mark.parametrize("shares", [0.5, [0.5], [0.5, 0.3, 0.2]])
def test_shares_are_those_of_the_parts(shares):
    law = jaxlaws.law("mixing", {"c": 1.0, "t_code": -2.0, "t_web": -1.0}, {"share": "web,code"})
    np.testing.assert_allclose(law(r=[0.5, 0.5]), law(r={"code": 0.5, "web": 0.5}))
    with pytest.raises(BadInput, match=r"expected \[..., 2\]: web, code"):
        law(r=shares)


@pytest.mark.parametrize("at", [[3, 299], (3.0, 299.0), range(3, 300, 296), [jnp.array(3), 299]])
def test_points_are_any_whole_numbers(at):
    law = jaxlaws.law("multi_power:25M")
    np.testing.assert_array_equal(law(LR, at=at), law(LR, at=np.array([3, 299])))


def test_what_is_logged_has_a_value_a_point():
    law = jaxlaws.law("noise_law", dict.fromkeys(LAWS["noise_law"].names, 0.5))
    with pytest.raises(BadInput, match="do not go together"):
        law(LR, at=[10, 20], trace=[1.0, 1.0, 1.0], reference=[2.0, 2.0])


#: A schedule without two equal largest LRs, between which a derivative would be shared.
SMOOTH = 3e-4 * SCHEDULES[1] * np.r_[np.ones(WARMUP), np.full(STEPS - WARMUP, 0.99)]


QUICK = ("multi_power", "bound", "annealing_size")


@pytest.mark.parametrize("name", slow_but(QUICK))
def test_gradients_through_a_schedule_are_finite_differences(name):
    """Of the loss at the end and along, with respect to the LR of every step, the constants and the rest."""
    rng = np.random.default_rng(1)
    (_, one, _), log = others(name), logged(name, AT)[0]
    last = {key: value[-1] for key, value in log.items()}
    phase = {key: one.pop(key) for key in ("phase_start",) if key in one}
    weights = rng.standard_normal(len(AT))

    @jax.jit
    def value(law, lr, one):
        given = {"warmup_steps": WARMUP, **one, **phase}
        return law(lr, **given, **last) + jnp.sum(weights * law(lr, at=AT, **given, **log))

    with jax.enable_x64(True):
        at = (jax.tree.map(jnp.asarray, jaxlaws.law(fitted(name))), jnp.asarray(SMOOTH), one)
        way = jax.tree.map(lambda value: 0.1 * rng.standard_normal(np.shape(value)) * value, at)
        up, down = (value(*jax.tree.map(lambda x, step: x + h * step, at, way)) for h in (1e-5, -1e-5))  # noqa: B023
        gradient = jax.jit(jax.grad(value, argnums=(0, 1, 2)))(*at)
        slope = sum(jax.tree.leaves(jax.tree.map(lambda x, step: jnp.sum(x * step), gradient, way)))
        assert float(slope) == pytest.approx(float(up - down) / 2e-5, rel=1e-6)


@pytest.mark.parametrize("name", slow_but(DISTINCT))
def test_batches_are_their_members(name):
    law, (read, one, _) = jaxlaws.law(fitted(name)), others(name)
    lr = 3e-4 * SCHEDULES
    log = logged(name, AT[::7])[0]

    def losses(lr, one):
        return law(lr, at=AT[::7], warmup_steps=WARMUP, **one, **log)

    with jax.enable_x64(True):
        each = np.stack([losses(one_lr, one) for one_lr in lr])
        np.testing.assert_allclose(losses(lr, one), each, rtol=1e-12)
        np.testing.assert_allclose(jax.jit(jax.vmap(lambda lr: losses(lr, one)))(lr), each, rtol=1e-12)
        for key in read:
            several = {**one, key: read[key][:, None]}
            assert losses(lr[:1], {**several, key: read[key]}).shape == (3, len(AT[::7]))
            np.testing.assert_allclose(losses(lr, several)[0], each, rtol=1e-12)


def test_a_batch_of_constants_is_a_pytree():
    laws = [jaxlaws.law("multi_power:25M"), jaxlaws.law("multi_power:100M")]
    both = jax.tree.map(lambda *values: jnp.stack(values), *laws)
    np.testing.assert_allclose(jax.vmap(lambda law: law(LR))(both), [law(LR) for law in laws], rtol=1e-6)


@pytest.mark.parametrize(
    ("beta", "C", "gamma"), [(0.58, 2.07, 0.64), (0.11, 0.38, 0.9), (1.5, 20.0, 0.3), (4.0, 1.0, 0)]
)
@pytest.mark.parametrize("late", [False, True])
def test_a_kernel_along_a_schedule_is_its_double_sum(beta, C, gamma, late):
    lr = 3e-4 * np.r_[SCHEDULES[1], np.zeros(20), SCHEDULES[0]]
    total, drop = np.cumsum(lr), -np.diff(lr, prepend=lr[0])
    log_lr = np.log(np.maximum(lr, 1e-9 * lr.max()))
    since = total[:, None] - (total if late else total - lr)
    kernel = np.where(np.tri(len(lr)) > 0, 1 - (1 + C * np.exp(-gamma * log_lr) * np.maximum(since, 0)) ** -beta, 0.0)
    with jax.enable_x64(True):
        ours = power(jnp.asarray(drop), Running(jnp.asarray(lr), late), jnp.asarray(log_lr), C, beta, gamma)
    np.testing.assert_allclose(ours, kernel @ drop, atol=1e-7 * np.abs(drop).sum())


def test_one_preset_and_one_schedule_have_one_loss():
    """For the law, the prediction and the design, whatever the fit's convention of the warm-up is."""
    losses = []
    for warmup_ld in ("included", "excluded"):
        fit = fitted("multi_power", warmup_ld)
        with jax.enable_x64(True):
            ours = float(jaxlaws.law(fit)(LR, warmup_steps=WARMUP))
        assert final_loss(fit, LR, WARMUP) == pytest.approx(ours, abs=1e-12)
        assert predict(fit, lr=LR, warmup_steps=WARMUP).value == pytest.approx(ours, abs=1e-6)
        losses.append(ours)
    assert losses[0] > losses[1] + 0.01
