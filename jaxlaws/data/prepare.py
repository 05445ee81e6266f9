"""Documents into token shards: streamed, whole or absent, and the same again for the same question. No JAX."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from jaxlaws.data import manifest, shards
from jaxlaws.data.encode import Tokenizer, open_tokenizer, train_tokenizer
from jaxlaws.data.manifest import DTYPES, Manifest, Written
from jaxlaws.data.meter import Meter
from jaxlaws.data.sources import Piece, Source, open_source
from jaxlaws.errors import BadInput, Failed
from jaxlaws.text import printable

#: Characters that are encoded at once.
_BATCH = 1 << 22
#: The smallest share of documents for validation that is not none.
_LEAST_SHARE = 1e-9
#: The files of a draft.
_OWN = re.compile(rf"(train|val)_\d{{5,}}\.bin|tokenizer\.json|{re.escape(manifest.NAME)}|{re.escape(shards.SEEN)}")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Question:
    """What shards to make, and how.

    Attributes:
      source, field, split, config: see `jaxlaws.data.sources.open_source`.
      tokenizer, eos: see `jaxlaws.data.encode.open_tokenizer`.
      train_tokenizer: ids of a tokenizer that is trained on the source; wins where given.
      val_fraction: share of the documents, every k-th of them, that goes into shards for validation; 0 for none.
      shard_tokens: tokens of a full shard.
    """

    source: str
    field: str = "text"
    split: str = "train"
    config: str | None = None
    tokenizer: str = "bytes"
    eos: str | None = None
    train_tokenizer: int | None = None
    val_fraction: float = 0.0
    shard_tokens: int = 100_000_000


def prepare(question: Question, out: str | Path) -> tuple[Manifest, bool]:
    """Make a folder of token shards, and say whether it had to be made or was there.

    Every document is followed by the end of a document. Memory is bounded by the longest document. What is being made
    is in a hidden folder beside, which becomes `out` at the end: an interrupted command leaves nothing behind that
    could be mistaken for a data set. A document that cannot be read is left out and said (`Manifest.warnings`).

    Args:
      question: what to make.
      out: the folder; one that holds other shards, or anything else, is refused.

    Raises:
      BadInput: the question or the source cannot be used, such as one of which half cannot be read.
      Failed: the shards cannot be written.
    """
    if not str(out) or "\0" in str(out):
        raise BadInput(f"the output folder is '{printable(out)}', expected the name of a folder.")
    out = Path(os.path.realpath(out))
    if question.val_fraction and not _LEAST_SHARE <= question.val_fraction <= 0.5:
        raise BadInput(f"--val-fraction is {question.val_fraction}, expected a share from 0 to 0.5.")
    if question.shard_tokens < 1:
        raise BadInput(f"--shard-tokens is {question.shard_tokens}, expected at least 1.")
    source = open_source(question.source, question.field, question.split, question.config)
    if Path(question.source).is_dir() and out.is_relative_to(os.path.realpath(question.source)):
        raise BadInput(f"the output '{printable(out)}' is inside the source: its shards would be read as text.")
    tokenizer = None if question.train_tokenizer else open_tokenizer(question.tokenizer, question.eos)
    asked = {
        "inputs": source.inputs,
        "tokenizer": tokenizer.about if tokenizer else {"trained": question.train_tokenizer},
        "eos": question.eos,
        "val_fraction": question.val_fraction,
        "shard_tokens": question.shard_tokens,
    }
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            before = manifest.find(out) if out.is_dir() else None
            if before and before.asked == asked:
                return before, False
            what = "token shards made from something else or in another way" if before else "something else"
            raise BadInput(f"'{printable(out)}' holds {what}: give another -o, or remove it first.")
        with _draft(out) as draft:
            if tokenizer is None:
                tokenizer = _trained(source, question.train_tokenizer or 0)
            if tokenizer.file:
                (draft / "tokenizer.json").write_text(tokenizer.file)
            made = _write(source, tokenizer, question, draft, asked)
            made.save(draft)
            shards.remember(draft, made)
            os.replace(draft, out)
    except OSError as error:
        raise Failed(
            f"cannot write '{printable(out)}' ({error.strerror or type(error).__name__}): nothing of it was kept."
        ) from error
    return made, True


@contextmanager
def _draft(out: Path) -> Iterator[Path]:
    """A fresh folder beside `out`, removed unless it became `out`.

    It is this command's while it holds its lock. What a command that was killed left there is removed file by file; a
    folder that holds anything that no command writes is nobody's draft and is left alone.
    """
    name = hashlib.sha256(os.fsencode(out.name)).hexdigest()[:8]
    draft = out.with_name(f".{out.name[:40]}.{name}.jaxlaws-draft")
    out.parent.mkdir(parents=True, exist_ok=True)
    if draft.is_symlink() or (draft.exists() and not draft.is_dir()):
        raise BadInput(f"'{printable(draft)}' is in the way of a draft of that name: move it away.")
    draft.mkdir(exist_ok=True)
    folder = os.open(draft, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadInput(f"another command is making '{printable(out)}': wait for it, or give another -o.") from None
        except OSError:
            log.warning("no locks in %s: let no second command make the same folder.", printable(out.parent))
        if foreign := [path.name for path in draft.iterdir() if not _OWN.fullmatch(path.name)]:
            raise BadInput(f"'{printable(draft)}' holds {printable(foreign[0])}, which is no draft's: move it away.")
        _empty(draft)
        try:
            yield draft
        finally:
            with suppress(OSError):
                if os.path.samestat(os.fstat(folder), draft.stat()):
                    _empty(draft)
                    draft.rmdir()
    finally:
        os.close(folder)


def _empty(draft: Path) -> None:
    for path in draft.iterdir():
        if _OWN.fullmatch(path.name):
            path.unlink()


def _trained(source: Source, vocab: int) -> Tokenizer:
    with Meter("training the tokenizer", source.total, source.unit) as meter:
        return train_tokenizer((_told(piece, meter).text for piece in source.pieces()), vocab)


def _told(piece: Piece, meter: Meter) -> Piece:
    meter.add(piece.work)
    return piece


def _write(source: Source, tokenizer: Tokenizer, question: Question, folder: Path, asked: dict[str, Any]) -> Manifest:
    dtype = "uint16" if tokenizer.vocab <= 1 << 16 else "uint32"
    train, val = (_Shards(folder, split, dtype, question.shard_tokens) for split in ("train", "val"))
    every = round(1 / question.val_fraction) if question.val_fraction else 0
    documents, length = 0, 0
    end = np.array([tokenizer.eos])
    with train, val, Meter("writing", source.total, source.unit) as meter:
        for batch in _batches(source.pieces(), meter):
            for piece, ids in zip(batch, tokenizer.encode([piece.text for piece in batch]), strict=True):
                split = val if every and documents % every == every - 1 else train
                split.add(ids)
                length += len(ids)
                if piece.ends and length:
                    split.add(end)
                    documents, length = documents + 1, 0
        written = [*train.end(), *val.end()]
    if not documents:
        raise BadInput(
            f"'{printable(question.source)}' holds no text, expected at least one document that is not empty."
        )
    if every and not val.tokens:
        raise BadInput(
            f"'{question.source}' has {documents} documents, none of them the {every}th: use a larger --val-fraction, "
            "or 0 to leave the split to data.val_fraction of a run."
        )
    return Manifest(
        dtype=dtype,
        vocab=tokenizer.vocab,
        eos=tokenizer.eos,
        max_id=max(train.max_id, val.max_id),
        documents=documents,
        tokens=train.tokens + val.tokens,
        tokenizer=tokenizer.about,
        asked=asked,
        shards=tuple(written),
        warnings=tuple(source.losses.sentences()),
    )


def _batches(pieces: Iterator[Piece], meter: Meter) -> Iterator[list[Piece]]:
    batch: list[Piece] = []
    size = 0
    for piece in pieces:
        batch.append(_told(piece, meter))
        size += len(piece.text)
        if size >= _BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class _Shards:
    """Writes tokens into shards of equal length, the last one shorter."""

    def __init__(self, folder: Path, split: str, dtype: str, shard_tokens: int):
        self._folder, self._split, self._dtype, self._full = folder, split, DTYPES[dtype], shard_tokens
        self._written: list[Written] = []
        self._file: BinaryIO | None = None
        self.tokens = self.max_id = 0

    def add(self, ids: np.ndarray) -> None:
        """Write some tokens, into the next shard where this one is full."""
        while len(ids):
            if self._file is None:
                self._name = f"{self._split}_{len(self._written):05d}.bin"
                self._file, self._sum, self._count = (self._folder / self._name).open("wb"), hashlib.sha256(), 0
            part, ids = ids[: self._full - self._count], ids[self._full - self._count :]
            content = part.astype(self._dtype).tobytes()
            self._file.write(content)
            self._sum.update(content)
            self._count += len(part)
            self.tokens += len(part)
            self.max_id = max(self.max_id, int(part.max()))
            if self._count == self._full:
                self._end()

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()

    def end(self) -> list[Written]:
        """End the last shard and describe all."""
        if self._file:
            self._end()
        return self._written

    def _end(self) -> None:
        assert self._file
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._file = None
        size = self._count * self._dtype.itemsize
        self._written.append(Written(self._name, self._split, self._count, size, self._sum.hexdigest()))
