"""From logits to what is reported and what is differentiated. B sequences, S positions, V vocabulary."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

#: Vocabulary from which the backward pass computes the softmax again instead of keeping it, a float32 [B, S, V].
RECOMPUTE_FROM = 8192


def segments(tokens_BxS: jax.Array, eos: int) -> jax.Array:
    """The number of the document that each token belongs to; `eos` ends a document and is its last token."""
    ended = tokens_BxS == eos
    return jnp.cumsum(ended, axis=1) - ended


def loss(
    raw_BxSxV: jax.Array, finish: Callable[[jax.Array], jax.Array], labels_BxS: jax.Array, counts_BxS: jax.Array | None
) -> tuple[jax.Array, jax.Array]:
    """(mean of −ln softmax(logits)[label], mean of (ln Σ e^logits)²), in nats a token and nats².

    Args:
      raw_BxSxV: what the head gives, in the dtype of the activations.
      finish: from these to float32 logits, element by element.
      labels_BxS: the tokens that follow.
      counts_BxS: which of them count; None: all.
    """

    def each(raw: jax.Array) -> tuple[jax.Array, jax.Array]:
        logits = finish(raw)
        entropy = optax.softmax_cross_entropy_with_integer_labels(logits, labels_BxS)
        return entropy, jax.nn.logsumexp(logits, axis=-1) ** 2

    if raw_BxSxV.shape[-1] >= RECOMPUTE_FROM:
        each = jax.checkpoint(each)
    values = each(raw_BxSxV)
    if counts_BxS is None:
        entropy, square = (x.mean() for x in values)
    else:
        counted = jnp.maximum(counts_BxS.sum(), 1)
        entropy, square = (jnp.where(counts_BxS, x, 0.0).sum() / counted for x in values)
    return entropy, square
