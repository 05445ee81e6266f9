"""The transformer is causal, counted exactly and reproducible."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlaws.errors import BadInput
from jaxlaws.model.shape import ModelConfig, count_params, flops_per_token
from jaxlaws.model.transformer import build, rope

SMALL = ModelConfig(width=16, depth=2, heads=2, mlp_width=24, vocab=32)


@pytest.fixture(scope="module")
def small():
    model = build(SMALL)
    return model, model.init(jax.random.key(0))


def test_no_logit_and_no_gradient_leaks_from_future_tokens(small):
    model, params = small
    tokens = jax.random.randint(jax.random.key(1), (2, 12), 0, 32)
    changed = tokens.at[:, 7:].set((tokens[:, 7:] + 1) % 32)
    before, after = model.apply(params, tokens), model.apply(params, changed)
    np.testing.assert_array_equal(before[:, :7], after[:, :7])
    assert not np.allclose(before[:, 7:], after[:, 7:])

    # The same for gradients: the loss at the first 7 positions does not depend on the rows of tokens seen only later.
    only_late = jnp.where(jnp.arange(12)[None, :] < 7, tokens % 16, 16 + tokens % 16)
    gradient = jax.grad(lambda p: model.apply(p, only_late)[:, :7].sum())(params)
    np.testing.assert_array_equal(gradient["embed"]["embedding"][16:], 0.0)
    assert np.abs(gradient["embed"]["embedding"][:16]).sum() > 0


def test_every_earlier_token_reaches_the_last_logit(small):
    model, params = small
    tokens = jnp.arange(8)[None] % 32
    base = model.apply(params, tokens)[0, -1]
    for position in range(8):
        moved = model.apply(params, tokens.at[0, position].set(31))[0, -1]
        assert not np.allclose(base, moved), position


def test_rotary_attention_scores_depend_on_distance_only():
    q, k = jax.random.normal(jax.random.key(0), (2, 1, 1, 1, 8))
    turned_q, turned_k = (rope(jnp.broadcast_to(x, (1, 20, 1, 8)), 10_000.0)[0, :, 0] for x in (q, k))
    scores = turned_q @ turned_k.T
    for distance in (0, 3, 7):
        np.testing.assert_allclose(jnp.diag(scores, distance), scores[0, distance], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("config", "inner", "embeddings"),
    [
        # l(4d² + 3df + 2d) + d, by hand: 2·(4·256 + 3·16·24 + 32) + 16 and 3·(4·4096 + 3·64·100 + 128) + 64
        (SMALL, 4432, 2 * 32 * 16),
        (ModelConfig(width=64, depth=3, heads=4, mlp_width=100, vocab=50), 107_200, 2 * 50 * 64),
    ],
)
def test_parameter_counts_equal_hand_counts_and_the_arrays(config: ModelConfig, inner: int, embeddings: int):
    assert count_params(config) == (inner, inner + embeddings)
    params = jax.eval_shape(build(config).init, jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == inner + embeddings


@pytest.mark.parametrize(
    ("config", "seq_len", "six_n", "exact"),
    [
        # 3·[2·(l(4d² + 3df) + dV) + l·2d(S+1)]: 3·[2·(2·(1024 + 1152) + 512) + 2·32·11]
        (SMALL, 10, 6 * 4432, 3 * (2 * (2 * (1024 + 1152) + 512) + 2 * 32 * 11)),
        # 3·[2·(3·(16384 + 19200) + 3200) + 3·128·33]
        (
            ModelConfig(width=64, depth=3, heads=4, mlp_width=100, vocab=50),
            32,
            6 * 107_200,
            3 * (2 * (3 * 35_584 + 3200) + 3 * 128 * 33),
        ),
    ],
)
def test_flop_counts_equal_hand_counts(config: ModelConfig, seq_len: int, six_n: float, exact: float):
    assert flops_per_token(config, seq_len) == (six_n, exact)


def test_equal_configs_share_one_model():
    assert build(ModelConfig()) is build(ModelConfig())


def test_bfloat16_changes_activations_only():
    model = build(ModelConfig(width=16, depth=1, heads=2, mlp_width=24, vocab=32, dtype="bfloat16"))
    params = model.init(jax.random.key(0))
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}
    logits = model.apply(params, jnp.zeros((1, 4), jnp.int32))
    assert logits.dtype == jnp.float32
    assert np.isfinite(logits).all()


@pytest.mark.parametrize("change", [{"width": 18}, {"depth": 0}, {"dtype": "float64"}, {"vocab": 0}])
def test_impossible_shapes_are_refused(change):
    with pytest.raises(BadInput, match=r"expected|valid"):
        ModelConfig(**({"width": 16, "heads": 2} | change)).check()
