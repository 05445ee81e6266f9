"""SOAP: Adam in the eigenbases of Shampoo's preconditioners. Vyas et al. 2024, arXiv 2409.11321."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

#: Gradients between two refreshes of the bases, as in the paper's experiments.
REFRESH = 10


class Soap(NamedTuple):
    """State; trees like the parameters, of which each is a matrix [..., m, n].

    Attributes:
      seen: gradients that have been seen.
      mean, square: moving averages of the gradients, and of their squares in the bases.
      left, right: moving averages of G·Gᵀ [..., m, m] and of Gᵀ·G [..., n, n].
      left_basis, right_basis: their eigenvectors as columns, by falling eigenvalues.
    """

    seen: jax.Array
    mean: Any
    square: Any
    left: Any
    right: Any
    left_basis: Any
    right_basis: Any


def scale_by_soap(beta1: Any, beta2: Any, eps: Any) -> optax.GradientTransformation:
    """SOAP's rule for trees of matrices, leading axes being a batch.

    With G' = Q_Lᵀ·G·Q_R the update is Q_L·[Q_Lᵀ·M·Q_R / (√V + ε)]·Q_Rᵀ, M and V the debiased moments of G and of G'².
    The first gradient only makes the bases (an eigendecomposition) and is in no moment, as in the authors' code; every
    `REFRESH` later ones bring them up to date (a power iteration and a QR decomposition). Lanes that are packed by
    `vmap` compute both at every step. In directions of which the first gradient has nothing the bases are rounding's
    choice, so that runs on other hardware or packed otherwise agree less closely than under other optimisers.
    """

    def init(params: Any) -> Soap:
        zero = optax.tree.zeros_like(params)
        grams = [
            jax.tree.map(lambda w, i=i: jnp.zeros((*w.shape[:-2], w.shape[i], w.shape[i])), zero) for i in (-2, -1)
        ]
        return Soap(jnp.zeros((), jnp.int32), zero, zero, *grams, *grams)

    def update(gradients: Any, state: Soap, params: Any = None) -> tuple[Any, Soap]:
        seen, taken = state.seen, jnp.maximum(state.seen, 1)
        which = jnp.where(seen == 0, 0, jnp.where(seen % REFRESH == 0, 1, 2))

        def step(g: jax.Array, mean: jax.Array, square: jax.Array, *rest: jax.Array) -> tuple[jax.Array, ...]:
            left, right, left_basis, right_basis = rest
            mean = jnp.where(seen > 0, beta1 * mean + (1 - beta1) * g, mean)
            square = beta2 * square + (1 - beta2) * (left_basis.mT @ g @ right_basis) ** 2
            rotated = left_basis.mT @ (mean / (1 - beta1**taken)) @ right_basis
            scaled = rotated / (jnp.sqrt(square / (1 - beta2**taken)) + eps)
            move = left_basis @ scaled @ right_basis.mT
            left = beta2 * left + (1 - beta2) * g @ g.mT
            right = beta2 * right + (1 - beta2) * g.mT @ g
            turned = jax.lax.switch(which, (_first, _refresh, _same), square, left, right, left_basis, right_basis)
            return move, mean, turned[0], left, right, *turned[1:]

        structure = jax.tree.structure(gradients)
        rows = zip(*map(jax.tree.leaves, (gradients, *state[1:])), strict=True)
        trees = [jax.tree.unflatten(structure, column) for column in zip(*(step(*row) for row in rows), strict=True)]
        return trees[0], Soap(optax.safe_increment(seen), *trees[1:])

    return optax.GradientTransformation(init, update)


def _first(square: jax.Array, left: jax.Array, right: jax.Array, *_: jax.Array) -> tuple[jax.Array, ...]:
    """The second moments, which are zero, and the eigenvectors."""
    return square, *(jnp.linalg.eigh(gram)[1][..., ::-1] for gram in (left, right))


def _refresh(square: jax.Array, *rest: jax.Array) -> tuple[jax.Array, ...]:
    """One power iteration of both bases; their columns, and the second moments, by falling eigenvalues."""
    bases = []
    for axis, gram, basis in zip((-2, -1), rest[:2], rest[2:], strict=True):
        power = gram @ basis
        order = jnp.argsort(-(basis * power).sum(-2), axis=-1)
        power = jnp.take_along_axis(power, order[..., None, :], axis=-1)
        square = jnp.take_along_axis(square, order[..., None] if axis == -2 else order[..., None, :], axis=axis)
        bases.append(jnp.linalg.qr(power)[0])
    return square, *bases


def _same(square: jax.Array, left: jax.Array, right: jax.Array, *bases: jax.Array) -> tuple[jax.Array, ...]:
    return square, *bases
