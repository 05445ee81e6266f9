"""Data sets for training: what to read is a pure function of (seed, step) on the host, reading is on the device."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from dataclasses import astuple, dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxlaws.data import corpus, language, shards
from jaxlaws.data.config import DataConfig, reads, token_ids
from jaxlaws.errors import BadInput


@dataclass(frozen=True)
class Data:
    """A data set.

    Attributes:
      store: arrays that stay on the device and are given to `read`.
      read: (store, fetched_B…) → tokens_BxS+1 int32; hashable, so that it can key a compiled program.
      picks: (seed, first step, steps, batch) → int32 [steps, B, …]: which sequences each step trains on.
      val_picks: number of sequences → int32 [sequences, …], evenly spread over the validation part.
      train_sequences: how many sequences there are before data repeats; None where it never does.
      digest: short sha256 of the content.
      entropy: entropy rate in nats a token, where it is known.
      fetch: picks of any leading shape → what is sent to the device for them: the picks themselves where the data lives
        there, the tokens where it lives on a disk.
      eos: the token id that ends a document, where there are documents.
    """

    store: Any
    read: Callable[[Any, jax.Array], jax.Array]
    picks: Callable[[int, int, int, int], np.ndarray]
    val_picks: Callable[[int], np.ndarray]
    train_sequences: int | None
    digest: str
    entropy: float | None = None
    fetch: Callable[[np.ndarray], np.ndarray] = np.asarray
    eos: int | None = None


@dataclass(frozen=True)
class Windows:
    """Reads windows of a token stream: (stream, starts_B) → stream[start : start + S + 1]."""

    seq_len: int

    def __call__(self, stream: jax.Array, starts_B: jax.Array) -> jax.Array:
        return stream[starts_B[:, None] + jnp.arange(self.seq_len + 1)[None, :]].astype(jnp.int32)


def open_data(config: DataConfig) -> Data:
    """The data set of a config; the last few that were opened are kept."""
    return _open(astuple(config))


@lru_cache(maxsize=4)
def _open(fields: tuple[Any, ...]) -> Data:
    config = DataConfig(*fields)
    if config.seq_len < 1:
        raise BadInput(f"data.seq_len is {config.seq_len}, expected at least 1.")
    reads(config.source)
    if config.documents and config.source != "shards":
        raise BadInput(f"data.documents is for data=shards, data={config.source} marks no ends of documents.")
    return SOURCES[config.source](config)


def _stdlib(config: DataConfig) -> Data:
    return windows(corpus.standard_library(), config)


def _text(config: DataConfig) -> Data:
    if config.path is None:
        raise BadInput("data=text needs data.path=PATH, a file or a folder of text.")
    return windows(corpus.user_text(config.path), config)


def _language(config: DataConfig) -> Data:
    tables = language.grammar(token_ids(config), config.zipf, config.seed)
    validation = 2**32 - 1

    def picks(seed: int, first: int, steps: int, batch: int) -> np.ndarray:
        index = (first * batch + np.arange(steps * batch)).reshape(steps, batch)
        return np.stack([np.full_like(index, seed), index], axis=-1).astype(np.uint32)

    def val_picks(sequences: int) -> np.ndarray:
        return np.stack([np.full(sequences, validation), np.arange(sequences)], axis=-1).astype(np.uint32)

    read = language.Sentences(config.seq_len, token_ids(config), config.seed)
    digest = hashlib.sha256(tables.permutations.tobytes() + tables.cumulative.tobytes()).hexdigest()[:12]
    return Data((tables.permutations, tables.cumulative), read, picks, val_picks, None, digest, tables.entropy)


def _shards(config: DataConfig) -> Data:
    """Windows of S + 1 tokens that share one with the next, over all shards; the last of training reaches back."""
    tokens, S = shards.open_tokens(config), config.seq_len
    train, val = -(-(tokens.train.length - 1) // S), (tokens.val.length - 1) // S
    if train + val >= 2**31:
        raise BadInput(f"the shards make {train + val} windows of {S} tokens, more than 2³¹: raise data.seq_len.")

    def picks(seed: int, first: int, steps: int, batch: int) -> np.ndarray:
        return _shuffled(seed, first, steps, batch, train).astype(np.int32)

    def val_picks(sequences: int) -> np.ndarray:
        return (train + _spread(sequences, val, S)).astype(np.int32)

    def fetch(picks: np.ndarray) -> np.ndarray:
        rows = np.empty((picks.size, S + 1), tokens.dtype)
        for row, pick in zip(rows, picks.ravel().tolist(), strict=True):
            part, window = (tokens.train, pick) if pick < train else (tokens.val, pick - train)
            start = min(window * S, part.length - S - 1)
            part.read(start, row)
            if row.max() >= tokens.vocab:
                at = part.stream.place(part.position(start + int(row.argmax())))
                raise BadInput(
                    f"shard {at} has token id {row.max()}, data.vocab is {tokens.vocab}: the file has changed since it "
                    "was checked; restore it."
                )
        return rows.reshape(*picks.shape, S + 1)

    return Data((), _as_int32, picks, val_picks, train, tokens.digest, None, fetch, tokens.eos)


def _as_int32(store: tuple[()], tokens_BxS1: jax.Array) -> jax.Array:
    return tokens_BxS1.astype(jnp.int32)


SOURCES: dict[str, Callable[[DataConfig], Data]] = {
    "stdlib": _stdlib,
    "text": _text,
    "shards": _shards,
    "language": _language,
}


def windows(tokens: np.ndarray, config: DataConfig) -> Data:
    """A stream of tokens, cut into windows of S + 1 that share one token; each is read once before any again."""
    S = config.seq_len
    if int(tokens.max()) >= token_ids(config):
        raise BadInput(f"the data has token id {tokens.max()}, data.vocab is {config.vocab}: raise data.vocab.")
    train, val = corpus.split(tokens, config.val_fraction, S + 1)
    train_windows, val_windows = (len(train) - 1) // S, (len(val) - 1) // S
    digest = hashlib.sha256(tokens.tobytes()).hexdigest()[:12]

    def picks(seed: int, first: int, steps: int, batch: int) -> np.ndarray:
        return (S * _shuffled(seed, first, steps, batch, train_windows)).astype(np.int32)

    def val_picks(sequences: int) -> np.ndarray:
        return (len(train) + S * _spread(sequences, val_windows, S)).astype(np.int32)

    store = np.concatenate([train, val])
    return Data(store, Windows(S), picks, val_picks, train_windows, digest)


def _shuffled(seed: int, first: int, steps: int, batch: int, size: int) -> np.ndarray:
    """int64 [steps, batch]: which of `size` windows each step reads, every one once before any again."""
    index = first * batch + np.arange(steps * batch, dtype=np.int64)
    windows = np.empty(len(index), np.int64)
    for epoch in np.unique(index // size):
        chosen = index // size == epoch
        windows[chosen] = permuted(index[chosen] % size, size, (seed, int(epoch)))
    return windows.reshape(steps, batch)


def _spread(wanted: int, available: int, seq_len: int) -> np.ndarray:
    """int64 [at most `wanted`]: windows of the validation part, evenly spread."""
    if wanted > available:
        warnings.warn(
            f"eval.sequences is {wanted}, the validation data holds {available} of {seq_len} tokens: using those.",
            stacklevel=3,
        )
    count = min(wanted, available)
    return np.arange(count) * available // count


def permuted(index: np.ndarray, size: int, key: tuple[int, ...]) -> np.ndarray:
    """Where a pseudo-random permutation of 0 … size−1 puts each index, without ever holding the permutation.

    A four-round Feistel network on the smallest even number of bits that holds `size`, walked until it lands inside.

    Args:
      index: [n] int64, each in 0 … size − 1.
      size: number of elements.
      key: names the permutation.
    """
    bits = max(1, (int(size - 1).bit_length() + 1) // 2)
    mask = np.uint64((1 << bits) - 1)
    rounds = np.random.SeedSequence(key).generate_state(4, np.uint64)
    result = index.astype(np.uint64)
    outside = np.ones(len(result), bool)
    while outside.any():
        left, right = result[outside] >> np.uint64(bits), result[outside] & mask
        for salt in rounds:
            left, right = right, left ^ (_mixed(right + salt) & mask)
        result[outside] = (left << np.uint64(bits)) | right
        outside = result >= size
    return result.astype(np.int64)


def _mixed(x: np.ndarray) -> np.ndarray:
    """The finaliser of splitmix64: every bit of the input reaches every bit of the output."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
