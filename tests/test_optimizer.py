"""Every optimiser is the one of optax, with hyperparameters that are data."""

from functools import cache, partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import yaml
from optax.contrib import ScheduleFreeState, muon, schedule_free, schedule_free_eval_params

from jaxlaws.errors import BadInput
from jaxlaws.hyper import READS, OptimizerConfig
from jaxlaws.model.shape import ModelConfig
from jaxlaws.model.transformer import build
from jaxlaws.training.optimizer import OPTIMIZERS, Hyper, hyper, transformation
from jaxlaws.training.schedule_free import Transformation

CONF = Path(__file__).resolve().parent.parent / "conf" / "optimizer"
CONFIG = ModelConfig(width=32, depth=1, heads=2, mlp_width=40, vocab=16)
MODEL = build(CONFIG)
#: Wide enough for Adafactor to factor its moments (from 128 on).
WIDE = build(ModelConfig(width=128, depth=1, heads=2, mlp_width=136, vocab=16))
SETTINGS = OptimizerConfig(weight_decay=0.2, beta1=0.8, beta2=0.97, eps=1e-6, momentum=0.85, clip=0.7)
LR = np.float32(0.01)


def wave(tree):
    return jax.tree.map(lambda x: jnp.cos(jnp.arange(x.size, dtype=jnp.float32) ** 1.1).reshape(x.shape), tree)


def model_of(name: str):
    return WIDE if name == "adafactor" else MODEL


def follow(rule, model=MODEL) -> tuple:
    """(losses, validated parameters) of eight steps towards moving waves, by a transformation of optax or of ours."""
    params = jax.tree.map(lambda x: jnp.full(x.shape, 0.3), jax.eval_shape(model.init, jax.random.key(0)))
    target = wave(params)

    def loss(params, t):
        part = jax.tree.map(lambda x, y: 1e-2 * ((x - jnp.cos(1.7 * t) * y) ** 2).sum(), params, target)
        return sum(jax.tree.leaves(part))

    def step(carry, t):
        params, state = carry
        at = rule.point(state, params) if isinstance(rule, Transformation) else params
        value, gradient = jax.value_and_grad(loss)(at, t)
        update, state = rule.update(gradient, state, params)
        return (optax.apply_updates(params, update), state), value

    (params, state), losses = jax.lax.scan(step, (params, rule.init(params)), jnp.arange(8.0))
    for part in state if isinstance(state, tuple) else ():
        if isinstance(part, ScheduleFreeState):
            params = schedule_free_eval_params(part, params)
    return losses, params


@cache
def ours(name: str):
    return jax.jit(lambda h, lr: follow(transformation(name, h, lr, model_of(name)), model_of(name)))


def values(name: str, **change) -> tuple:
    settings = OptimizerConfig(**vars(SETTINGS) | {"name": name} | change)
    return ours(name)(hyper(settings), LR)


def plain(name: str) -> optax.GradientTransformation:
    """The optimiser as optax ships it, with constants."""
    s, lr = SETTINGS, LR
    decayed = lambda params: jax.tree.map(lambda x: x.ndim == 2, params)  # noqa: E731
    labels = jax.tree.map(lambda group: "muon" if group == "matrix" else "adam", MODEL.groups)
    adamw = optax.adamw(lr, s.beta1, s.beta2, s.eps, weight_decay=s.weight_decay, mask=decayed)
    rule = {
        "adamw": lambda: adamw,
        "adam": lambda: optax.adam(lr, s.beta1, s.beta2, s.eps),
        "sgd": lambda: optax.sgd(lr, s.momentum),
        "nesterov": lambda: optax.sgd(lr, s.momentum, nesterov=True),
        "lion": lambda: optax.lion(lr, s.beta1, s.beta2, weight_decay=s.weight_decay, mask=decayed),
        "adafactor": lambda: optax.adafactor(
            lr,
            multiply_by_parameter_scale=False,
            momentum=s.beta1,
            weight_decay_rate=lr * s.weight_decay,
            weight_decay_mask=decayed,
        ),
        "schedule_free_adamw": lambda: schedule_free(
            optax.adamw(lr, 0.0, s.beta2, s.eps, weight_decay=s.weight_decay, mask=decayed), lr, s.beta1
        ),
        "muon": lambda: optax.partition(
            {"muon": muon(lr, beta=s.momentum, weight_decay=s.weight_decay, consistent_rms=0.2), "adam": adamw}, labels
        ),
    }[name]()
    return optax.chain(optax.clip_by_global_norm(s.clip), rule)


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name != "soap"])
def test_each_equals_the_optax_optimiser(name: str):
    change = {"weight_decay": 0.0} if name in ("sgd", "nesterov") else {}  # optax's own have no decay
    losses, params = values(name, **change)
    expected, reference = jax.jit(lambda: follow(plain(name), model_of(name)))()
    np.testing.assert_allclose(losses, expected, rtol=2e-5)
    for got, want in zip(jax.tree.leaves(params), jax.tree.leaves(reference), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=2e-6)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_lowers_the_loss_of_a_model_at_its_config_s_learning_rate(name: str):
    model = build(ModelConfig(width=16, depth=1, heads=2, mlp_width=24, vocab=16))
    config = OptimizerConfig(**yaml.safe_load((CONF / f"{name}.yaml").read_text()))
    config.check()
    assert config.name == name
    tokens = (jnp.arange(8 * 17) ** 2 % 13).reshape(8, 17)

    def step(carry, _):
        params, state = carry
        rule = transformation(name, hyper(config), np.float32(config.peak_lr), model)
        value, gradient = jax.value_and_grad(lambda p: model.loss(p, tokens)[1])(rule.point(state, params))
        update, state = rule.update(gradient, state, params)
        return (optax.apply_updates(params, update), state), value

    @jax.jit
    def run():
        params = model.init(jax.random.key(0))
        state = transformation(name, hyper(config), np.float32(0), model).init(params)
        return jax.lax.scan(step, (params, state), length=200)[1]

    losses = run()
    assert losses[-1] < 0.85 * losses[0]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimiser_feels_what_it_reads_and_nothing_else_without_compiling_anew(name: str):
    base = values(name)[0]
    other = {"weight_decay": 2.0, "beta1": 0.5, "beta2": 0.5, "eps": 1e-2, "clip": 1e3, "momentum": 0.3}
    for field, value in other.items():
        changed = values(name, **{field: value})[0]
        assert (not np.array_equal(changed, base)) == (field in (*READS[name], "clip")), field
    assert ours(name)._cache_size() == 1


def test_the_state_knows_no_values_and_lanes_may_differ_in_every_hyperparameter():
    params = jax.eval_shape(MODEL.init, jax.random.key(0))
    lanes = Hyper(*[np.full(3, value, np.float32) for value in hyper(SETTINGS)])
    for name in OPTIMIZERS:

        def state(h, lr, name=name):
            return transformation(name, h, lr, MODEL).init(jax.tree.map(lambda x: jnp.zeros(x.shape), params))

        zero, one = (jax.tree.map(lambda _, v=v: np.float32(v), hyper(SETTINGS)) for v in (0, 1))
        first, second = state(zero, 0.0), state(one, 1.0)
        assert jax.tree.structure(first) == jax.tree.structure(second)
        assert all(map(np.array_equal, jax.tree.leaves(first), jax.tree.leaves(second)))
        losses, _ = jax.eval_shape(jax.vmap(ours(name)), lanes, np.zeros(3, np.float32))
        assert losses.shape == (3, 8)


@pytest.mark.parametrize("name", ["muon", "schedule_free_adamw"])
def test_packed_lanes_equal_one_alone(name: str):
    lrs = np.array([1e-3, LR], np.float32)
    lanes = jax.tree.map(lambda value: np.stack([value, value]), hyper(SETTINGS))
    packed = jax.jit(jax.vmap(lambda h, lr: follow(transformation(name, h, lr, MODEL))))(lanes, lrs)[0]
    np.testing.assert_allclose(packed[1], values(name)[0], rtol=1e-4)


@pytest.mark.parametrize(("name", "lr", "decay"), [("adamw", 1 / 4, 2.0), ("sgd", 1.0, 1.0), ("muon", 1 / 2, 1.0)])
def test_mup_multiplies_the_rate_and_the_decay_of_each_group(name: str, lr: float, decay: float):
    """At m = 4: matrices at LR · m^-1 (Adam), m^0 (SGD), m^-1/2 (Muon); the others at LR, or m · LR for SGD."""
    scaled = build(ModelConfig(**vars(CONFIG) | {"parameterisation": "mup", "base_width": 8}))
    params = MODEL.init(jax.random.key(0))
    gradient = wave(params)

    def update(model, weight_decay):
        h = hyper(OptimizerConfig(**vars(SETTINGS) | {"weight_decay": weight_decay}))
        rule = transformation(name, h, np.float32(0.01), model)
        return rule.update(gradient, rule.init(params), params)[0]

    plain, mup, decayed = update(MODEL, 0.0), update(scaled, 0.0), update(scaled, 0.5)
    for group, w, u, v, d in zip(*map(jax.tree.leaves, (MODEL.groups, params, plain, mup, decayed)), strict=True):
        times = lr if group == "matrix" else 4.0 if name == "sgd" else 1.0
        np.testing.assert_allclose(v, times * u, rtol=1e-5, atol=1e-9)
        shrink = 0.01 * lr * 0.5 * decay if group == "matrix" else 0.0
        np.testing.assert_allclose(d, v - shrink * w, rtol=1e-4, atol=1e-8)


def test_impossible_hyperparameters_are_refused():
    for change in ({"name": "adamv"}, {"beta1": 1.0}, {"ema": -0.1}, {"clip": 0.0}, {"init_scale": 0.0}):
        with pytest.raises(BadInput, match=r"adamw|expected"):
            OptimizerConfig(**change).check()
    with pytest.raises(BadInput, match="did you mean 'lion'"):
        transformation("lyon", hyper(SETTINGS), np.float32(1), MODEL)


def test_what_is_not_read_is_no_part_of_the_identity():
    assert set(READS) == set(OPTIMIZERS)
    lion = partial(OptimizerConfig, name="lion")
    assert lion(eps=1e-3, momentum=0.5).identity() == lion().identity()
    assert lion(beta2=0.9).identity() != lion().identity()
    assert lion(init_scale=2.0).identity() != lion().identity() != lion(ema=0.9).identity()


def test_hyperparameters_are_strong_float32():
    assert {np.asarray(value).dtype for value in hyper(OptimizerConfig())} == {np.dtype("float32")}
