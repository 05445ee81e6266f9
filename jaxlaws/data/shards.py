"""Token shards on a disk, read window by window through memory maps: nothing is ever loaded whole. No JAX."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxlaws.data import corpus, manifest
from jaxlaws.data.config import DataConfig, token_ids
from jaxlaws.data.manifest import DTYPES, Shard
from jaxlaws.data.meter import Meter
from jaxlaws.errors import BadInput
from jaxlaws.text import printable

#: Beside shards that nothing describes: what reading them through once has told.
SEEN = ".tokens-seen.json"
_PIECE = 1 << 24

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stream:
    """Shards laid end to end.

    Attributes:
      shards: in their order.
      starts: [shards + 1] int64, where each begins in the stream, and the end.
    """

    shards: tuple[Shard, ...]
    starts: np.ndarray

    def read(self, start: int, into: np.ndarray) -> None:
        """Fill an array [n] with the tokens from `start` on."""
        done = 0
        i = self._which(start)
        while done < len(into):
            inside = start + done - int(self.starts[i])
            count = min(len(into) - done, self.shards[i].tokens - inside)
            into[done : done + count] = _mapped(self.shards[i])[inside : inside + count]
            done, i = done + count, i + 1

    def place(self, position: int) -> str:
        """The shard of a position, and where in it, for a message."""
        i = self._which(position)
        return f"{self.shards[i].path} at token {position - int(self.starts[i])}"

    def _which(self, position: int) -> int:
        return int(np.searchsorted(self.starts, position, side="right")) - 1


def stream(shards: list[Shard]) -> Stream:
    """The stream of some shards."""
    return Stream(tuple(shards), np.cumsum([0, *(shard.tokens for shard in shards)]))


class Part(NamedTuple):
    """Some of a stream: of every `period` tokens the `keep` from `shift` on.

    Attributes:
      length: its tokens.
    """

    stream: Stream
    length: int
    keep: int
    period: int
    shift: int

    def read(self, start: int, into: np.ndarray) -> None:
        """Fill an array [n] with the part's tokens from `start` on."""
        done = 0
        while done < len(into):
            count = min(len(into) - done, self.keep - (start + done) % self.keep)
            self.stream.read(self.position(start + done), into[done : done + count])
            done += count

    def position(self, index: int) -> int:
        """Where in the stream the part's token of an index is."""
        return index // self.keep * self.period + index % self.keep + self.shift


@dataclass(frozen=True)
class Tokens:
    """A set of shards, split: what a data set of windows needs."""

    train: Part
    val: Part
    dtype: np.dtype[Any]
    vocab: int
    eos: int | None
    digest: str


def open_tokens(config: DataConfig) -> Tokens:
    """The shards of a config: checked, split and named by their content.

    Shards whose name has `val` are the validation part; where there is none, blocks of the stream are
    (`jaxlaws.data.corpus.blocks`). The content is known by the sha256 of every shard, from reading them through once,
    which is remembered beside them for files of that size and time; where `tokens.json` says another one, a shard is
    damaged and refused.
    """
    vocab = token_ids(config)
    if config.path is None:
        raise BadInput("data=shards needs data.path=FOLDER, a folder of .bin token shards.")
    found = manifest.shards(config.path, config.token_dtype)
    described = manifest.find(config.path)
    eos = described.eos if described and config.eos is None else config.eos
    if config.documents and eos is None:
        raise BadInput("data.documents needs to know what ends a document: give data.eos, a token id.")
    seen = _seen(Path(config.path), found)
    sums = [about["sha256"] for about in seen]
    if described:
        _compare(found, described, sums)
        if described.max_id >= vocab:
            raise BadInput(f"the data has token id {described.max_id}, data.vocab is {vocab}: raise data.vocab.")
    else:
        for shard, about in zip(found, seen, strict=True):
            if about["max_id"] >= vocab:
                raise BadInput(
                    f"shard {shard.path} has token id {about['max_id']}, data.vocab is {vocab}: raise data.vocab, or "
                    "correct data.token_dtype."
                )
    eos = eos if config.documents else None
    content = [found[0].dtype, eos, *([name, shard.val] for name, shard in zip(sums, found, strict=True))]
    digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12]
    train, val = _split(found, config)
    return Tokens(train, val, DTYPES[found[0].dtype], vocab, eos, digest)


def _split(found: list[Shard], config: DataConfig) -> tuple[Part, Part]:
    window = config.seq_len + 1
    held = [shard for shard in found if shard.val]
    if held and len(held) < len(found):
        train, val = (_whole(stream([shard for shard in found if shard.val is wanted])) for wanted in (False, True))
        for part, name in ((train, "training"), (val, "validation")):
            if part.length < window:
                raise BadInput(
                    f"the {name} shards hold {part.length} tokens, fewer than one window of {window}: use more data or "
                    "a shorter data.seq_len."
                )
        return train, val
    if held:
        raise BadInput(f"every shard in '{config.path}' has val in its name: there is nothing to train on.")
    both = stream(found)
    total = int(both.starts[-1])
    every, block = corpus.blocks(total, config.val_fraction, window)
    period, keep = every * block, (every - 1) * block
    rest = total % period
    train_length = total // period * keep + min(rest, keep)
    return (
        Part(both, train_length, keep, period, 0),
        Part(both, total - train_length, block, period, keep),
    )


def _whole(one: Stream) -> Part:
    length = int(one.starts[-1])
    return Part(one, length, length, length, 0)


@lru_cache(maxsize=128)
def _mapped(shard: Shard) -> np.ndarray:
    try:
        return np.memmap(shard.path, DTYPES[shard.dtype], "r", shard.offset, (shard.tokens,))
    except (OSError, ValueError) as error:
        raise BadInput(f"shard {shard.path} cannot be read any more ({error}): restore it and start again.") from None


def _seen(folder: Path, found: list[Shard]) -> list[dict[str, Any]]:
    """sha256 and largest id of every shard, read now or remembered from an earlier time."""
    path = folder / SEEN
    before: dict[str, Any] = {}
    with suppress(OSError, ValueError, RecursionError, AttributeError):
        before = {name: about for name, about in json.loads(path.read_text()).items() if _is_seen(about)}
    now, new = {}, []
    for shard in found:
        about = _about(shard.path, shard.dtype)
        old = before.get(shard.path.name, {})
        if {name: old.get(name) for name in about} != about:
            new.append(shard)
            old = about
        now[shard.path.name] = old
    with Meter(f"reading {folder} once", sum(shard.tokens for shard in new), "tokens") as meter:
        for shard in new:
            now[shard.path.name] |= read_through(shard, meter)
    if new:
        draft = path.with_name(f"{SEEN}.{os.getpid()}")
        try:
            draft.write_text(json.dumps(now))
            os.replace(draft, path)
        except OSError:
            log.warning("%s cannot be written: the shards are read through at every start.", path)
    return [now[shard.path.name] for shard in found]


def verify(folder: str | Path) -> manifest.Manifest:
    """Read every shard of a folder and compare its sha256 with what `tokens.json` says, whatever is remembered.

    Raises:
      BadInput: a shard is damaged, missing, or nothing says what the shards were.
    """
    described = manifest.find(folder)
    if described is None:
        raise BadInput(f"'{printable(folder)}' holds no {manifest.NAME}: nothing says what its shards were when made.")
    found = manifest.shards(folder, None)
    with Meter(f"reading {folder}", sum(shard.tokens for shard in found), "tokens") as meter:
        _compare(found, described, [read_through(shard, meter)["sha256"] for shard in found])
    return described


def remember(folder: Path, made: manifest.Manifest) -> None:
    """Note of shards that were just written that they are as `tokens.json` says."""
    about = {
        shard.name: _about(folder / shard.name, made.dtype) | {"sha256": shard.sha256, "max_id": made.max_id}
        for shard in made.shards
    }
    (folder / SEEN).write_text(json.dumps(about))


def _compare(found: list[Shard], described: manifest.Manifest, sums: list[str]) -> None:
    for shard, written, got in zip(found, described.shards, sums, strict=True):
        if written.sha256 != got:
            raise BadInput(
                f"shard {printable(shard.path)} is damaged: its sha256 is {got[:12]}…, {manifest.NAME} says "
                f"{printable(written.sha256)[:12]}…; copy or make the shards again."
            )


def _about(path: Path, dtype: str) -> dict[str, Any]:
    stat = path.stat()
    return {"bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns, "dtype": dtype}


def _is_seen(about: Any) -> bool:
    return (
        isinstance(about, dict)
        and isinstance(about.get("sha256"), str)
        and all(type(about.get(name)) is int for name in ("bytes", "mtime_ns", "max_id"))
    )


def read_through(shard: Shard, meter: Meter) -> dict[str, Any]:
    """`sha256` of a shard's file and its largest token, `max_id`."""
    digest, largest = hashlib.sha256(), 0
    with shard.path.open("rb") as file:
        digest.update(file.read(shard.offset))
        while piece := file.read(_PIECE):
            digest.update(piece)
            tokens = np.frombuffer(piece, DTYPES[shard.dtype])
            largest = max(largest, int(tokens.max()))
            meter.add(len(tokens))
    return {"sha256": digest.hexdigest(), "max_id": largest}
