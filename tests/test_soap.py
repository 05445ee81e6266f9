"""SOAP against a loop of its algorithm in NumPy, double precision."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlaws.training.soap import REFRESH, scale_by_soap

BETA1, BETA2, EPS = 0.9, 0.8, 1e-8
STEPS = 2 * REFRESH + 3


def gradients(shape: tuple[int, int], steps: int = STEPS) -> np.ndarray:
    """Gradients [steps, m, n] whose directions differ in size, so that no two eigenvalues are close."""
    rng = np.random.default_rng(3)
    sides = [2.0 ** -np.arange(size) for size in shape]
    return rng.normal(size=(steps, *shape)) * np.sqrt(sides[0][:, None] * sides[1])


def updates(rule, gradient: np.ndarray) -> tuple[np.ndarray, list]:
    """(updates [steps, m, n], states) of a rule for one matrix."""
    state = rule.init(jnp.zeros(gradient.shape[1:]))
    take, rows, states = jax.jit(rule.update), [], []
    for g in gradient:
        update, state = take(jnp.asarray(g, jnp.float32), state)
        rows.append(np.asarray(update))
        states.append(state)
    return np.array(rows), states


def reference(gradient: np.ndarray, first: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Algorithms 3 and 4 of the paper with Adam's bias correction, the first gradient being for the bases only."""
    m, n = gradient.shape[1:]
    q_left, q_right = first
    left, right = (1 - BETA2) * gradient[0] @ gradient[0].T, (1 - BETA2) * gradient[0].T @ gradient[0]
    mean, square, rows = np.zeros((m, n)), np.zeros((m, n)), [np.zeros((m, n))]
    for t, g in enumerate(gradient[1:], 1):
        mean = BETA1 * mean + (1 - BETA1) * g
        square = BETA2 * square + (1 - BETA2) * (q_left.T @ g @ q_right) ** 2
        root = np.sqrt(square / (1 - BETA2**t)) + EPS
        rows.append(q_left @ ((q_left.T @ mean @ q_right) / (1 - BETA1**t) / root) @ q_right.T)
        left, right = BETA2 * left + (1 - BETA2) * g @ g.T, BETA2 * right + (1 - BETA2) * g.T @ g
        if t % REFRESH == 0:
            orders = [np.argsort(-np.diag(q.T @ p @ q)) for p, q in ((left, q_left), (right, q_right))]
            square = square[orders[0]][:, orders[1]]
            q_left = np.linalg.qr(left @ q_left[:, orders[0]])[0]
            q_right = np.linalg.qr(right @ q_right[:, orders[1]])[0]
    return np.array(rows)


@pytest.mark.parametrize("shape", [(4, 4), (3, 5), (6, 2)])
def test_it_equals_the_published_algorithm(shape):
    """The eigenvectors of a first gradient's null space are anyone's choice: the loop takes ours, which are checked."""
    gradient = gradients(shape)
    got, states = updates(scale_by_soap(BETA1, BETA2, EPS), gradient)
    first = [np.asarray(basis, float) for basis in (states[0].left_basis, states[0].right_basis)]
    for basis, gram in zip(first, (gradient[0] @ gradient[0].T, gradient[0].T @ gradient[0]), strict=True):
        turned = basis.T @ gram @ basis
        np.testing.assert_allclose(basis.T @ basis, np.eye(len(basis)), atol=1e-6)
        np.testing.assert_allclose(turned, np.diag(np.diag(turned)), atol=1e-5)
        assert (np.diff(np.diag(turned)) < 1e-5).all()
    np.testing.assert_allclose(got, reference(gradient, (first[0], first[1])), atol=1e-5 * np.abs(got).max())


def test_bases_follow_the_gradients():
    """With gradients of one kind the bases become those of their mean outer products."""
    gradient = gradients((4, 4), 30 * REFRESH + 1)
    _, states = updates(scale_by_soap(BETA1, 0.995, EPS), gradient)
    left, basis = np.asarray(states[-1].left), np.asarray(states[-1].left_basis)
    expected = np.linalg.eigh(left)[1][:, ::-1]
    np.testing.assert_allclose(np.abs((expected * basis).sum(0)), 1, atol=1e-2)


def test_a_batch_of_matrices_and_packed_lanes_are_each_alone():
    one, two = gradients((3, 5)), gradients((3, 5))[::-1]
    rule = scale_by_soap(BETA1, BETA2, EPS)
    stacked, _ = updates(rule, np.stack([one, two], axis=1))
    alone = [updates(rule, g)[0] for g in (one, two)]
    np.testing.assert_allclose(stacked, np.stack(alone, axis=1), atol=2e-5)

    def lane(gradient, beta1):
        rule = scale_by_soap(beta1, BETA2, EPS)
        step = lambda state, g: rule.update(g, state)[::-1]  # noqa: E731
        return jax.lax.scan(step, rule.init(gradient[0]), gradient)[1]

    lanes = np.stack([one, one]).astype(np.float32)
    packed = jax.jit(jax.vmap(lane))(lanes, np.array([BETA1, 0.5], np.float32))
    single = jax.jit(partial(lane, beta1=np.float32(BETA1)))(lanes[0])
    np.testing.assert_allclose(packed[0], single, atol=2e-5)
    assert np.abs(packed[1] - single).max() > 1e-2
