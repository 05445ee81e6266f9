"""A generated language whose entropy rate is known exactly and whose text never repeats.

A token is x_t = π_c(z_t): z_t is drawn from a Zipf law p(z) ∝ (z+1)^−s over V ranks, independently of everything
before, and c is the context: the previous token where it is even, the previous two where it is odd. Every π_c permutes
the vocabulary, so the entropy of x_t given all the tokens before it is H(p), at every position, whatever the π_c are.
The permutations shuffle ranks locally on a log scale, so that tokens and contexts are heavy-tailed too: frequent
contexts are learned first, rare ones late, and the loss falls over decades of data towards a floor that is known.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from jaxlaws.errors import BadInput


@dataclass(frozen=True)
class Grammar:
    """The tables of one language.

    Attributes:
      permutations: [V + V², V] int32, π_c by context, order-one contexts first.
      cumulative: [V] float32, cumulative probabilities of the ranks.
      entropy: H(p) in nats a token.
    """

    permutations: np.ndarray
    cumulative: np.ndarray
    entropy: float


def grammar(vocab: int, exponent: float, seed: int) -> Grammar:
    """The language of a vocabulary size, Zipf exponent s and seed."""
    if not 2 <= vocab <= 256:
        raise BadInput(f"data.vocab is {vocab}, expected 2 to 256 for the generated language.")
    if not 0 < exponent <= 50:
        raise BadInput(f"data.zipf is {exponent}, expected a number above zero and at most 50.")
    rank = np.arange(1, vocab + 1, dtype=np.float64)
    p = rank**-exponent / np.sum(rank**-exponent)
    noise = np.random.Generator(np.random.Philox(seed)).normal(size=(vocab + vocab**2, vocab))
    permutations = np.argsort(np.log(rank) + noise, axis=1).astype(np.int32)
    return Grammar(permutations, np.cumsum(p).astype(np.float32), float(-np.sum(p * np.log(p))))


@dataclass(frozen=True)
class Sentences:
    """Reads sequences of the language: (tables, ids_Bx2) → tokens_BxS+1, the same tokens for the same id always."""

    seq_len: int
    vocab: int
    seed: int

    def __call__(self, store: tuple[jax.Array, jax.Array], ids_Bx2: jax.Array) -> jax.Array:
        permutations, cumulative = store

        def sequence(stream_and_index: jax.Array) -> jax.Array:
            key = jax.random.fold_in(jax.random.key(self.seed), stream_and_index[0])
            uniform = jax.random.uniform(jax.random.fold_in(key, stream_and_index[1]), (self.seq_len + 1,))
            ranks = jnp.minimum(jnp.searchsorted(cumulative, uniform), self.vocab - 1)

            def step(previous_two: tuple[jax.Array, jax.Array], rank: jax.Array):
                last, before = previous_two
                context = jnp.where(last % 2 == 0, last, self.vocab + last * self.vocab + before)
                token = permutations[context, rank]
                return (token, last), token

            zero = jnp.zeros((), jnp.int32)
            return jax.lax.scan(step, (zero, zero), ranks)[1]

        return jax.vmap(sequence)(ids_Bx2)
