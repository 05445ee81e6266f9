"""Histories in the cache, so that an interrupted download continues where it ended."""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

import pandas as pd

from jaxlaws.records.files import cache_dir, write_atomic
from jaxlaws.records.trackers import nan_word


def table_of(rows: Iterable[Mapping[str, object]]) -> pd.DataFrame:
    """A row a logged step."""
    return pd.DataFrame([{name: nan_word(value) for name, value in row.items()} for row in rows])


def from_cache(key: str | None, read: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    """The table of this key from the cache, or the one that `read` returns, which the cache then keeps.

    Args:
      key: of a run that has ended and its last change; None for one that goes on, which is always read.
      read: asks the tracker.
    """
    if key is None:
        return read()
    path = cache_dir() / "histories" / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.json.gz"
    with suppress(OSError, EOFError, ValueError, zlib.error):
        text = gzip.decompress(path.read_bytes()).decode()
        return pd.read_json(io.StringIO(text), orient="split", dtype=False)
    table = read()
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, gzip.compress(table.to_json(orient="split", double_precision=15).encode()))
    return table
