"""Every option of the model does what it says, is counted exactly, and how a model is computed changes nothing."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlaws.errors import BadInput
from jaxlaws.model.compute import ComputeConfig
from jaxlaws.model.shape import ModelConfig, count_params, flops_per_token
from jaxlaws.model.transformer import build

SMALL = ModelConfig(width=16, depth=2, heads=4, mlp_width=24, vocab=32)
TOKENS = (jnp.arange(3 * 13) ** 2 % 31).reshape(3, 13)
OPTIONS = [
    {},
    {"kv_heads": 1},
    {"kv_heads": 2, "qk_norm": True},
    {"norm": "layernorm", "mlp": "gelu"},
    {"tied": True, "mlp": "gelu", "kv_heads": 4},
    {"parameterisation": "mup", "base_width": 4, "tied": True},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_parameters_are_counted_as_the_arrays_have_them(options: dict):
    config = replace(SMALL, **options)
    params, groups = jax.eval_shape(build(config).init, jax.random.key(0)), build(config).groups
    sizes = {"embedding": 0, "head": 0, "matrix": 0, "vector": 0}
    for leaf, group in zip(jax.tree.leaves(params), jax.tree.leaves(groups), strict=True):
        sizes[group] += leaf.size
        assert (leaf.ndim == 1) == (group == "vector")
    inner, total = count_params(config)
    assert (sizes["matrix"] + sizes["vector"], sum(sizes.values())) == (inner, total)
    assert sizes["head"] == (0 if config.tied else 16 * 32)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_flops_are_those_of_the_compiled_matrix_products(options: dict):
    """XLA's own count, causal attention counted in full, on shapes where matrix products dwarf the rest."""
    config = ModelConfig(**{"width": 256, "depth": 2, "heads": 4, "mlp_width": 704, "vocab": 512} | options)
    model, tokens = build(config), jax.ShapeDtypeStruct((1, 64), jnp.int32)
    params = jax.eval_shape(model.init, jax.random.key(0))
    counted = jax.jit(model.apply).lower(params, tokens).compile().cost_analysis()["flops"]
    masked = config.depth * 2 * config.width * (64 - 1)
    assert flops_per_token(config, 64)[1] / 3 + masked == pytest.approx(counted / 64, rel=0.02)


def test_grouped_queries_are_heads_that_share_keys_and_values():
    """The same as a model with every head's keys and values written out."""
    shared, full = build(replace(SMALL, kv_heads=2)), build(SMALL)
    params = shared.init(jax.random.key(0))
    whole = full.init(jax.random.key(0))
    for i in range(2):
        q, k, v = jnp.split(params["layers"][i]["qkv"]["kernel"][...], [16, 24], axis=1)
        double = [jnp.repeat(x.reshape(16, 2, 4), 2, axis=1).reshape(16, 16) for x in (k, v)]
        whole["layers"][i] = params["layers"][i]
        whole["layers"][i]["qkv"]["kernel"] = whole["layers"][i]["qkv"]["kernel"].replace(
            jnp.concatenate([q, *double], axis=1)
        )
    for name in ("embed", "head", "norm"):
        whole[name] = params[name]
    got = jax.jit(shared.apply)(shared.init(jax.random.key(0)), TOKENS)
    np.testing.assert_allclose(got, jax.jit(full.apply)(whole, TOKENS), rtol=1e-4, atol=1e-6)


def test_normed_queries_and_keys_make_scores_blind_to_their_scale():
    model = build(replace(SMALL, qk_norm=True))
    params = model.init(jax.random.key(0))
    apply = jax.jit(model.apply)
    before = apply(params, TOKENS)
    kernel = params["layers"][0]["qkv"]["kernel"]
    params["layers"][0]["qkv"]["kernel"] = kernel.replace(kernel[...].at[:, :32].multiply(7.0))
    np.testing.assert_allclose(apply(params, TOKENS), before, rtol=1e-3, atol=1e-5)


def test_the_loss_is_cross_entropy_and_z_loss_is_the_squared_normaliser():
    model, plain = build(replace(SMALL, z_loss=0.1, softcap=0.5)), build(SMALL)
    params = plain.init(jax.random.key(0), 5.0)
    logits = 0.5 * np.tanh(np.asarray(plain.apply(params, TOKENS[:, :-1]), np.float64) / 0.5)
    log_sum = np.log(np.exp(logits).sum(-1))
    picked = np.take_along_axis(logits, np.asarray(TOKENS)[:, 1:, None], axis=-1)[..., 0]
    entropy, objective = model.loss(params, TOKENS)
    assert entropy == pytest.approx((log_sum - picked).mean(), rel=1e-5)
    assert objective - entropy == pytest.approx(0.1 * (log_sum**2).mean(), rel=1e-4)
    assert plain.loss(params, TOKENS)[0] == plain.loss(params, TOKENS)[1]


def test_a_vocabulary_whose_softmax_is_computed_again_gives_the_same_gradient(monkeypatch):
    params = build(SMALL).init(jax.random.key(0))

    def slope(params):
        return jax.jit(jax.grad(lambda p: build(SMALL).loss(p, TOKENS)[1]))(params)

    kept = slope(params)
    monkeypatch.setattr("jaxlaws.model.loss.RECOMPUTE_FROM", 1)
    for one, other in zip(jax.tree.leaves(kept), jax.tree.leaves(slope(params)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-8)


def test_documents_of_one_sequence_do_not_see_each_other():
    """Two documents packed into a sequence have the losses that they have alone; what follows an end is not counted."""
    model, eos = build(SMALL), 31
    params = model.init(jax.random.key(0), 4.0)
    first, second = jnp.array([3, 9, 27, 19, eos]), jnp.array([5, 25, 1, 5, 7, 8])
    loss = jax.jit(model.loss, static_argnums=2)
    packed = loss(params, jnp.concatenate([first, second])[None], eos)[0]
    alone = [float(loss(params, one[None])[0]) * (len(one) - 1) for one in (first, second)]
    assert packed == pytest.approx(sum(alone) / 9, rel=1e-5)
    assert packed != pytest.approx(float(loss(params, jnp.concatenate([first, second])[None])[0]), rel=1e-4)
    only_ends = loss(params, jnp.full((1, 4), eos), eos)[0]
    assert only_ends == 0.0


def test_the_initial_scale_multiplies_every_matrix_and_no_gain():
    model = build(SMALL)
    one, three = model.init(jax.random.key(0)), model.init(jax.random.key(0), 3.0)
    for group, a, b in zip(*map(jax.tree.leaves, (model.groups, one, three)), strict=True):
        np.testing.assert_allclose(b, a if group == "vector" else 3 * a, rtol=1e-6)


@pytest.mark.parametrize(
    ("compute", "eos"),
    [
        (ComputeConfig(scan=True), None),
        (ComputeConfig("full"), 4),
        (ComputeConfig("dots", scan=True), 4),
        (ComputeConfig("full", scan=True), None),
    ],
    ids=str,
)
def test_scan_and_remat_give_the_same_loss_and_gradients(compute: ComputeConfig, eos: int | None):
    """From the same initial values, bit for bit; losses and gradients within 1e-5 of the largest gradient."""
    config = replace(SMALL, depth=3, kv_heads=2, qk_norm=True)
    plain, other = build(config, ComputeConfig(scan=False)), build(config, compute)
    params, same = plain.init(jax.random.key(0)), other.init(jax.random.key(0))
    assert all(map(np.array_equal, jax.tree.leaves(params), jax.tree.leaves(same)))
    values, slopes = zip(
        *(jax.jit(jax.value_and_grad(lambda p, m=m: m.loss(p, TOKENS, eos)[1]))(params) for m in (plain, other)),
        strict=True,
    )
    assert values[1] == pytest.approx(float(values[0]), rel=1e-6)
    for one, two in zip(*map(jax.tree.leaves, slopes), strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-4, atol=1e-5 * float(jnp.abs(one).max()))


@pytest.mark.slow
def test_remat_lowers_the_memory_of_a_deep_model():
    config = ModelConfig(width=32, depth=12, heads=2, mlp_width=88, vocab=32)
    tokens = jax.ShapeDtypeStruct((8, 129), jnp.int32)

    def peak(remat: str) -> int:
        model = build(config, ComputeConfig(remat, scan=True))
        params = jax.eval_shape(model.init, jax.random.key(0))
        slope = jax.jit(jax.grad(lambda p, t: model.loss(p, t)[1]))
        return slope.lower(params, tokens).compile().memory_analysis().temp_size_in_bytes

    none, dots, full = peak("none"), peak("dots"), peak("full")
    assert full < dots < none
    assert full < 0.4 * none


def test_layers_are_scanned_where_it_pays_and_a_long_model_says_the_same_either_way():
    assert not ComputeConfig().scans(11)
    assert ComputeConfig().scans(12)
    assert not ComputeConfig(scan=False).scans(12)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kv_heads": 3}, "divisor of model.heads"),
        ({"norm": "batchnorm"}, "valid: layernorm, rmsnorm"),
        ({"mlp": "swigl"}, "did you mean 'swiglu'"),
        ({"softcap": 0.0}, "null for none"),
        ({"z_loss": -1.0}, "zero or more"),
        ({"parameterisation": "muP"}, "valid: mup, standard"),
        ({"base_width": 0}, "at least 1"),
    ],
)
def test_impossible_options_are_refused(change: dict, said: str):
    with pytest.raises(BadInput, match=said):
        replace(SMALL, **change).check()


def test_impossible_ways_to_compute_are_refused():
    for compute, said in ((ComputeConfig("some"), "valid: dots"), (ComputeConfig(attention="flash"), "valid: auto")):
        with pytest.raises(BadInput, match=said):
            build(SMALL, compute)
    with pytest.raises(BadInput, match=r"needs a GPU.*set engine.attention=auto"):
        build(SMALL, ComputeConfig(attention="cudnn"))


def test_one_model_has_one_identity():
    assert SMALL.identity() == replace(SMALL, kv_heads=4, base_width=8).identity()
    assert SMALL.identity() != replace(SMALL, kv_heads=2).identity()
    mup = replace(SMALL, parameterisation="mup")
    assert mup.identity() != replace(mup, base_width=8).identity()
