"""Tokenizers: bytes, the encodings of tiktoken, a `tokenizer.json`, or one trained on the text itself. No JAX."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxlaws.data.sources import need
from jaxlaws.errors import BadInput, unknown
from jaxlaws.text import printable

#: What ends a document, under the names that tokenizers give it.
ENDS = ("<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "<|eos|>", "[EOS]")
#: Characters of the source that a tokenizer is trained on, from its beginning.
TRAINED_ON = 1 << 28


class Tokenizer(NamedTuple):
    """Text into token ids.

    Attributes:
      about: its name, and the sha256 of its file where it has one.
      vocab: number of ids, `eos` included.
      eos: the id that ends a document.
      encode: texts → the ids of each; what looks like a special token in a text is text.
      file: its tokenizer.json, to be kept beside the shards.
    """

    about: dict[str, Any]
    vocab: int
    eos: int
    encode: Callable[[Sequence[str]], list[np.ndarray]]
    file: str | None = None


def open_tokenizer(name: str, eos: str | None = None) -> Tokenizer:
    """The tokenizer of a name.

    Args:
      name: `bytes`, a path of a `tokenizer.json`, or an encoding of tiktoken such as `gpt2`.
      eos: the token that ends a document, where it has another name than `ENDS`.
    """
    if name == "bytes":
        return Tokenizer({"name": "bytes"}, 257, 256, _bytes)
    if name.endswith(".json"):
        path = Path(name)
        if not path.is_file():
            raise BadInput(f"tokenizer '{name}' does not exist, expected a tokenizer.json.")
        try:
            content = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(f"tokenizer '{printable(name)}' cannot be read ({error}).") from None
        return _from_json(content, path.name, eos)
    return _tiktoken(name, eos)


def train_tokenizer(texts: Iterable[str], vocab: int) -> Tokenizer:
    """A byte-level BPE of `vocab` ids, the end of a document among them, trained on the text's beginning."""
    if vocab < 257:
        raise BadInput(f"--train-tokenizer is {vocab}, expected at least 257: 256 bytes and the end of a document.")
    why = "training a tokenizer"
    kit, models = need("tokenizers", why), need("tokenizers.models", why)
    levels, decoders, trainers = (
        need(f"tokenizers.{name}", why) for name in ("pre_tokenizers", "decoders", "trainers")
    )
    bpe = kit.Tokenizer(models.BPE())
    bpe.pre_tokenizer = levels.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=[ENDS[0]],
        initial_alphabet=sorted(levels.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator(_first(texts), trainer)
    return _from_json(bpe.to_str(pretty=True), f"bpe of {vocab}", None)


def _first(texts: Iterable[str]) -> Iterator[str]:
    seen = 0
    for text in texts:
        yield text[: TRAINED_ON - seen]
        seen += len(text)
        if seen >= TRAINED_ON:
            return


def _bytes(texts: Sequence[str]) -> list[np.ndarray]:
    return [np.frombuffer(text.encode(), np.uint8) for text in texts]


def _from_json(content: str, name: str, eos: str | None) -> Tokenizer:
    kit = need("tokenizers", f"tokenizer '{name}'")
    try:
        tokenizer = kit.Tokenizer.from_str(content)
    except Exception as error:
        raise BadInput(f"tokenizer '{name}' is not a tokenizer.json ({error}).") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    ids = tokenizer.get_vocab(with_added_tokens=True)
    end = next((token for token in ([eos] if eos else ENDS) if token in ids), None)
    if end is None:
        raise BadInput(f"tokenizer '{name}' has no token {eos or 'that ends a document'}: name one with --eos.")

    def encode(texts: Sequence[str]) -> list[np.ndarray]:
        return [np.asarray(one.ids, np.uint32) for one in tokenizer.encode_batch(texts, add_special_tokens=False)]

    about = {"name": name, "sha256": hashlib.sha256(content.encode()).hexdigest()}
    return Tokenizer(about, max(ids.values()) + 1, ids[end], encode, content)


def _tiktoken(name: str, eos: str | None) -> Tokenizer:
    tiktoken = need("tiktoken", f"tokenizer '{name}'")
    if name not in tiktoken.list_encoding_names():
        raise unknown("tokenizer", name, ["bytes", "FILE.json", *tiktoken.list_encoding_names()])
    try:
        encoding = tiktoken.get_encoding(name)
        end = encoding.encode_single_token(eos) if eos else encoding.eot_token
    except KeyError:
        raise BadInput(f"tokenizer '{name}' has no token {eos}, expected one that ends a document.") from None
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise BadInput(f"tokenizer '{name}' cannot be loaded, tiktoken fetches it once: {reason}.") from None

    def encode(texts: Sequence[str]) -> list[np.ndarray]:
        return [np.asarray(ids, np.uint32) for ids in encoding.encode_ordinary_batch(list(texts))]

    return Tokenizer({"name": name}, encoding.n_vocab, end, encode)
