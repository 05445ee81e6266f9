"""What to train on, as a config. No JAX."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class DataConfig:
    """What to train on.

    Attributes:
      source: stdlib (Python's own source as bytes), text (`path`, as bytes) or language (generated, known entropy).
      path: a file or folder, for `text`.
      seq_len: S, tokens that the model sees at once.
      vocab: V, number of token ids: 256 for bytes, at most 256 for the language.
      val_fraction: share of the text kept for validation.
      zipf: exponent of the language's rank frequencies.
      seed: of the language's grammar.
    """

    source: str = "stdlib"
    path: str | None = None
    seq_len: int = 128
    vocab: int = 256
    val_fraction: float = 0.05
    zipf: float = 1.1
    seed: int = 0
