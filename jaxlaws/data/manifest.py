"""What a folder of token shards says of itself: the layouts of `.bin` files and the `tokens.json` beside them. No JAX.

A shard is a file of little-endian tokens, `uint16` or `uint32`, with nothing around them (as in nanoGPT) or after the
header of llm.c: 256 `int32`, of which the first three are the magic number, the version and the count of tokens
(dev/data/data_common.py of karpathy/llm.c).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from jaxlaws.errors import BadInput, unknown
from jaxlaws.text import printable

NAME = "tokens.json"
DTYPES: dict[str, np.dtype[Any]] = {"uint16": np.dtype("<u2"), "uint32": np.dtype("<u4")}
HEADER_BYTES = 1024
#: (magic, version) of llm.c → the dtype that it stands for.
HEADERS = {(20240520, 1): "uint16", (20240801, 7): "uint32"}


@dataclass(frozen=True)
class Written:
    """A shard as `jaxlaws data` wrote it: `split` is train or val, `sha256` is of the file."""

    name: str
    split: str
    tokens: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """`tokens.json`.

    Attributes:
      dtype: uint16 or uint32.
      vocab: number of token ids of the tokenizer, the end of a document included.
      eos: the id that ends every document.
      max_id: the largest id that occurs.
      documents: count, validation included.
      tokens: count, validation included.
      tokenizer: its name, and what tells it from another of that name.
      asked: from what and how the shards were made.
      shards: in the order of the stream.
      warnings: what of the source was left out or replaced.
    """

    dtype: str
    vocab: int
    eos: int
    max_id: int
    documents: int
    tokens: int
    tokenizer: dict[str, Any]
    asked: dict[str, Any]
    shards: tuple[Written, ...]
    warnings: tuple[str, ...] = ()

    def save(self, folder: Path) -> None:
        """Write it into the folder of its shards."""
        (folder / NAME).write_text(json.dumps({"format": "jaxlaws.tokens", "version": 1, **asdict(self)}, indent=1))


def find(folder: str | Path) -> Manifest | None:
    """The manifest of a folder of shards, None where it has none."""
    path = Path(folder) / NAME
    return _parsed(path, path.stat().st_mtime_ns) if path.is_file() else None


@lru_cache(maxsize=16)
def _parsed(path: Path, changed: int) -> Manifest:
    try:
        content = json.loads(path.read_text())
        if content.pop("format") != "jaxlaws.tokens" or content.pop("version") != 1:
            raise ValueError
        content["shards"] = tuple(Written(**shard) for shard in content["shards"])
        content["warnings"] = tuple(map(str, content.get("warnings", ())))
        found = Manifest(**content)
        whole = [
            found.vocab,
            found.eos,
            found.max_id,
            *(n for shard in found.shards for n in (shard.tokens, shard.bytes)),
        ]
        width = DTYPES[found.dtype].itemsize
        if any(type(n) is not int or n < 0 for n in whole) or not all(_plain(shard, width) for shard in found.shards):
            raise ValueError
        return found
    except OSError as error:
        raise BadInput(f"{printable(path)} cannot be read ({error.strerror}).") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise BadInput(
            f"{printable(path)} is not a description of token shards: make them again with jaxlaws data."
        ) from None


def _plain(shard: Written, width: int) -> bool:
    """Whether a description is of a file in the folder that holds what it says."""
    return shard.bytes == width * shard.tokens and Path(shard.name).name == shard.name


@dataclass(frozen=True)
class Shard:
    """A file of tokens: where they start in it, how many they are, and whether they are for validation."""

    path: Path
    dtype: str
    offset: int
    tokens: int
    val: bool


def shards(folder: str | Path, dtype: str | None) -> list[Shard]:
    """The shards of a folder in the order of the stream, each checked against its size.

    Args:
      folder: with `.bin` files.
      dtype: uint16 or uint32, for files that do not say it themselves.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise BadInput(f"data.path '{folder}' is no folder: make one of .bin shards with jaxlaws data.")
    if dtype is not None and dtype not in DTYPES:
        raise unknown("data.token_dtype", dtype, DTYPES)
    manifest = find(folder)
    if manifest:
        found = [_as_written(folder / written.name, written, manifest.dtype) for written in manifest.shards]
    else:
        found = [_foreign(path, dtype) for path in sorted(folder.glob("*.bin"))]
    if not found:
        raise BadInput(f"data.path '{folder}' holds no .bin shards: make them with jaxlaws data SOURCE -o {folder}.")
    if len({shard.dtype for shard in found}) > 1:
        raise BadInput(f"the shards in '{folder}' mix uint16 and uint32: keep the sets in folders of their own.")
    return found


def _as_written(path: Path, written: Written, dtype: str) -> Shard:
    size = path.stat().st_size if path.is_file() else None
    if size != written.bytes:
        got = "is missing" if size is None else f"has {size} bytes"
        raise BadInput(f"shard {path} {got}, {NAME} says {written.bytes} bytes: copy or make the shards again.")
    return Shard(path, dtype, 0, written.tokens, written.split == "val")


def _foreign(path: Path, dtype: str | None) -> Shard:
    size = path.stat().st_size
    head = np.fromfile(path, "<i4", 3)
    magics = {magic for magic, _ in HEADERS}
    offset = HEADER_BYTES if len(head) == 3 and size >= HEADER_BYTES and int(head[0]) in magics else 0
    if offset:
        stated = HEADERS.get((int(head[0]), int(head[1])))
        if stated is None:
            raise BadInput(f"shard {path} has version {head[1]} of its header, expected one of {sorted(HEADERS)}.")
        if dtype not in (None, stated):
            raise BadInput(f"shard {path} says {stated} in its header, data.token_dtype is {dtype}: leave that out.")
        dtype = stated
    if dtype is None:
        raise BadInput(f"shard {path} has no header and no {NAME}: give data.token_dtype=uint16 or uint32.")
    width = DTYPES[dtype].itemsize
    if (size - offset) % width:
        raise BadInput(
            f"shard {path} is corrupt: {size - offset} bytes are no whole number of {dtype} tokens; copy or make it "
            "again, or correct data.token_dtype."
        )
    tokens = (size - offset) // width
    if offset and tokens != int(head[2]):
        raise BadInput(f"shard {path} is corrupt: its header says {head[2]} tokens, it holds {tokens}; copy it again.")
    if not tokens:
        raise BadInput(f"shard {path} is empty: remove it or make it again.")
    return Shard(path, dtype, offset, tokens, "val" in path.stem)
