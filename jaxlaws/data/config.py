"""What to train on, as a config. No JAX."""

from __future__ import annotations

from dataclasses import dataclass

from jaxlaws.data import manifest
from jaxlaws.errors import BadInput
from jaxlaws.plugins import Table

_BYTES = ("source", "seq_len", "vocab", "val_fraction")
#: Kind of data → the fields that it reads.
_OURS: dict[str, tuple[str, ...]] = {
    "stdlib": _BYTES,
    "text": (*_BYTES, "path"),
    "shards": (*_BYTES, "path", "token_dtype", "eos", "documents"),
    "language": ("source", "seq_len", "vocab", "zipf", "seed"),
}
READS = Table("data source", "jaxlaws.data", _OURS)


@dataclass
class DataConfig:
    """What to train on.

    Attributes:
      source: stdlib (Python's own source as bytes), text (`path`, as bytes), shards (`path`, tokens) or language
        (generated, known entropy).
      path: a file or folder for `text`, a folder of `.bin` token shards for `shards`.
      seq_len: S, tokens that the model sees at once.
      vocab: V, number of token ids: 256 for bytes, up to 256 for the language, 0 for what `tokens.json` says.
      val_fraction: share of the text kept for validation; shards named *val* are that where there are any.
      zipf: exponent of the language's rank frequencies.
      seed: of the language's grammar.
      token_dtype: uint16 or uint32, for shards that do not say it themselves.
      eos: the token id that ends a document, by default what `tokens.json` says.
      documents: whether a sequence, a window of the stream, is cut at `eos` for attention and loss.
    """

    source: str = "stdlib"
    path: str | None = None
    seq_len: int = 128
    vocab: int = 256
    val_fraction: float = 0.05
    zipf: float = 1.1
    seed: int = 0
    token_dtype: str | None = None
    eos: int | None = None
    documents: bool = False


def reads(source: str) -> tuple[str, ...]:
    """The fields that a kind of data reads; `BadInput` names the valid ones."""
    if source not in READS:
        raise READS.unknown(source)
    return READS[source]


def token_ids(config: DataConfig) -> int:
    """V, the number of token ids: `vocab` as given, or what the shards say of themselves."""
    if config.vocab or config.source != "shards":
        return config.vocab
    if config.path is None:
        raise BadInput("data=shards needs data.path=FOLDER, a folder of .bin token shards.")
    described = manifest.find(config.path)
    if described is None:
        manifest.shards(config.path, config.token_dtype)
        raise BadInput(f"nothing in '{config.path}' says how many token ids there are: give data.vocab.")
    return described.vocab
