"""Text as bytes: the standard library's own source, or any file or folder of the user's. No JAX."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import numpy as np

from jaxlaws.errors import BadInput

_NOT_TEXT_OF_THE_LIBRARY = {"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"}
_BLOCK = 65_536


def standard_library() -> np.ndarray:
    """Python's own standard library as bytes [n] uint8: every module's source, tests left out, in order of their paths.

    About 11 MB of real text that is on every machine; it differs between patch versions, so runs record its hash.
    """
    root = Path(sysconfig.get_paths()["stdlib"])
    files = sorted(
        path for path in root.rglob("*.py") if not _NOT_TEXT_OF_THE_LIBRARY & set(path.relative_to(root).parts)
    )
    return _read(files, str(root))


def user_text(path: str | Path) -> np.ndarray:
    """A file, or every file below a folder in order of their paths, as bytes [n] uint8."""
    path = Path(path)
    if not path.exists():
        raise BadInput(f"data.path '{path}' does not exist, expected a file or a folder of text.")
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    return _read(files, str(path))


def split(tokens: np.ndarray, val_fraction: float, window: int) -> tuple[np.ndarray, np.ndarray]:
    """(train, validation): whole blocks of the stream, every k-th one for validation, so that the two never overlap.

    Args:
      tokens: [n].
      val_fraction, window: see `blocks`.
    """
    every, block = blocks(len(tokens), val_fraction, window)
    is_val = np.arange(len(tokens)) // block % every == every - 1
    return tokens[~is_val], tokens[is_val]


def blocks(tokens: int, val_fraction: float, window: int) -> tuple[int, int]:
    """(k, length of a block): every k-th block of the stream is for validation.

    Interleaved blocks of up to 64 KiB make both parts the same kind of text even where the stream is sorted.

    Args:
      tokens: length of the stream.
      val_fraction: share of the blocks for validation, in (0, 0.5].
      window: tokens that a sequence needs; a block is never shorter.
    """
    if not 0 < val_fraction <= 0.5:
        raise BadInput(f"data.val_fraction is {val_fraction}, expected a share in (0, 0.5].")
    every = max(2, round(1 / val_fraction))
    block = max(window, min(_BLOCK, tokens // (2 * every)))
    if tokens < every * block:
        raise BadInput(
            f"the data has {tokens} tokens, too few to keep 1 block in {every:.4g} of {block} tokens for validation: "
            "use more data, a shorter data.seq_len or a larger data.val_fraction."
        )
    return every, block


def _read(files: list[Path], where: str) -> np.ndarray:
    text = b"".join(path.read_bytes() for path in files)
    if not text:
        raise BadInput(f"no text found in {where}, expected at least one file that is not empty.")
    return np.frombuffer(text, np.uint8)
