"""Reading a table from a file: bounded in size, no row shifted, and one sentence for what is no table.

What the columns mean is decided elsewhere (`frame`); this module needs to know which of them hold words.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import itertools
import json
import lzma
import stat
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from jaxlaws.errors import BadInput
from jaxlaws.nested import dotted
from jaxlaws.text import from_spreadsheet, printable

#: Bytes of a table, unpacked, and its columns: tables of runs and curves are far below, and both fit in memory.
MAX_BYTES = 2 * 2**30
MAX_COLUMNS = 10_000
#: Largest number of characters of a header, which a file without line ends exceeds.
MAX_HEADER = 4 * 2**20
#: Words of loggers and people for a cell without a number.
_EMPTY = ["", "nan", "NaN", "NAN", "NA", "N/A", "n/a", "null", "NULL", "None", "none"]
_COMPRESSED: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
#: First bytes of a file in UTF-16.
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def read_table(
    path: Path, words: Callable[[str], bool], losses: Callable[[str], bool], is_read: Callable[[str], bool]
) -> pd.DataFrame:
    """The table in a CSV, JSON or Parquet file, columns by name.

    CSV is separated by commas, semicolons or tabs, in UTF-8 or UTF-16; JSON has a record a line, or a list of records,
    and what is nested in a record gets a name such as `config.lr`. All may be packed (.gz, .bz2, .xz) except Parquet.

    Args:
      path: a regular file.
      words: whether the column of this name holds text; the text is taken as it is, and the apostrophe before a
        spreadsheet's formula is removed.
      losses: whether the column of this name may hold a loss, where the word NaN is no empty cell.
      is_read: whether the column of this name is read by anybody: it may not be there twice.

    Raises:
      BadInput: not a regular file, larger than `MAX_BYTES`, wider than `MAX_COLUMNS`, empty, not a table, or a row has
        more cells than the header.
    """
    require_regular(path)
    if not path.stat().st_size:
        raise BadInput(f"{path} is empty, expected a table with a header and one row a run or a step.")
    if path.stat().st_size > MAX_BYTES:
        raise BadInput(f"{path} has more than {MAX_BYTES / 2**30:.0f} GiB: keep the rows and columns that are needed.")
    with _parser_errors(path):
        match kind_of(path):
            case ".parquet":
                table = _parquet(path, words)
            case ".jsonl" | ".ndjson" | ".json":
                with _text(path) as stream:
                    table = records_of(stream)
            case _:
                table = _csv(path, words, losses, is_read)
    if table.empty:
        raise BadInput(
            f"{path} cannot be read as a table: it has a header and no rows, expected one row a run or a step."
        )
    return table


def kind_of(path: Path) -> str:
    """The suffix that says what is in a file, without that of its packing."""
    names = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in _COMPRESSED]
    return names[-1] if names else ""


def require_regular(path: Path) -> None:
    """Raises `BadInput` unless the path is a regular file: a pipe without a writer would wait for ever."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise BadInput(
            f"{printable(path)} cannot be read ({_reason(error)}), expected a CSV or Parquet file."
        ) from None
    if stat.S_ISDIR(mode):
        raise BadInput(f"{printable(path)} is a folder, expected one file: name the file.")
    if not stat.S_ISREG(mode):
        raise BadInput(f"{printable(path)} is no regular file: write the table to a file first, then name that.")


def _csv(
    path: Path, words: Callable[[str], bool], losses: Callable[[str], bool], is_read: Callable[[str], bool]
) -> pd.DataFrame:
    with _text(path) as stream:
        header, separator = _header(stream)
        names = [name.strip() for name in header]
        twice = [name for name, count in Counter(names).items() if count > 1 and name and is_read(name)]
        if twice:
            raise ValueError(f"the column '{printable(twice[0])}' is there twice")
        places = [str(place) for place in range(len(names))]
        texts = {place for place, name in zip(places, names, strict=True) if words(name)}
        spelt = {place for place, name in zip(places, names, strict=True) if losses(name)}
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = pd.read_csv(
                stream,
                sep=separator,
                header=None,
                names=places,
                index_col=False,
                low_memory=False,
                dtype=dict.fromkeys(texts, str),
                keep_default_na=False,
                na_values={place: [""] if place in spelt else _EMPTY for place in set(places) - texts},
            )
    for place in texts:
        cells = table[place].astype(object).fillna("")
        table[place] = pd.Series([from_spreadsheet(cell) if cell[:1] == "'" else cell for cell in cells], dtype=object)
    table.columns = pd.Index(names)
    table = table.loc[:, [bool(name) for name in names]]
    if len(table) and _blank(table.tail(1)).all():
        table = table[~_blank(table)]
    return _points(table) if separator == ";" else table


def _blank(table: pd.DataFrame) -> np.ndarray:
    """[rows] whether every cell is empty: a spreadsheet ends with such rows."""
    return np.all((table.isna() | (table == "")).to_numpy(bool), axis=1)


def _points(table: pd.DataFrame) -> pd.DataFrame:
    """Decimal commas as points, as a spreadsheet writes them between semicolons."""
    for place, name in enumerate(table.columns):
        column = table.iloc[:, place]
        if column.dtype.kind == "O" and column.dropna().astype(str).str.fullmatch(_COMMA).all():
            table[name] = column.str.replace(",", ".").astype(float)
    return table


#: What separates cells, and a number with a decimal comma.
_SEPARATORS = ",;\t"
_COMMA = r"\s*[+-]?\d+(?:,\d+)?(?:[eE][+-]?\d+)?\s*"


def _header(stream: IO[str]) -> tuple[list[str], str]:
    """The cells of the first row that is not blank, and what separates them."""
    for text in _lines(stream):
        stripped = text.strip()
        if stripped.lower().startswith("sep=") and len(stripped) == 5:
            continue
        bare = "".join(text.split('"')[::2])
        separator = max(_SEPARATORS, key=bare.count)
        line = next(csv.reader(itertools.chain([text], _lines(stream)), delimiter=separator), [])
        if not any(cell.strip() for cell in line):
            continue
        if len(line) > MAX_COLUMNS:
            raise ValueError(f"{len(line):,} columns, at most {MAX_COLUMNS:,} are read: keep the ones that are needed")
        if any("\0" in cell for cell in line):
            raise ValueError("it is binary, or text in UTF-16 without its mark")
        return [from_spreadsheet(cell) for cell in line], separator
    raise ValueError("it has no header")


def _lines(stream: IO[str]) -> Iterator[str]:
    while line := stream.readline(MAX_HEADER):
        if len(line) >= MAX_HEADER:
            raise ValueError(f"its first line has more than {MAX_HEADER:,} characters")
        yield line


class _Bounded(io.RawIOBase):
    """A stream of bytes that ends in an error after `MAX_BYTES`: a small file may unpack to a huge one."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._left = stream, MAX_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        chunk = self._stream.read(len(buffer))
        self._left -= len(chunk)
        if self._left < 0:
            raise ValueError(f"it unpacks to more than {MAX_BYTES / 2**30:.0f} GiB")
        buffer[: len(chunk)] = chunk
        return len(chunk)


@contextmanager
def _text(path: Path) -> Iterator[IO[str]]:
    with _COMPRESSED.get(path.suffix.lower(), open)(path, "rb") as packed:
        stream = io.BufferedReader(_Bounded(packed), 2**20)
        encoding = "utf-16" if stream.peek(2)[:2] in _UTF16 else "utf-8-sig"
        yield io.TextIOWrapper(stream, encoding=encoding, newline="")


def records_of(stream: IO[str]) -> pd.DataFrame:
    """The table in a list of JSON records, or in one record a line; what is nested is flattened: `config.lr`."""
    text = stream.read()
    try:
        content = json.loads(text)
    except json.JSONDecodeError:
        content = [json.loads(line) for line in text.splitlines() if line.strip()]
    if isinstance(content, dict) and {"kind", "law"} <= set(content):
        raise ValueError("it is a fit of a law and no table of runs")
    if isinstance(content, dict):
        lists = [value for value in content.values() if isinstance(value, list)]
        content = lists[0] if len(lists) == 1 and len(content) <= 3 else [content]
    if not isinstance(content, list) or not all(isinstance(record, dict) for record in content):
        raise ValueError("it holds no records")
    nested = any(isinstance(value, dict) for record in content for value in record.values())
    table = pd.DataFrame([dict(dotted(record)) for record in content] if nested else content)
    if len(table.columns) > MAX_COLUMNS:
        raise ValueError(f"{len(table.columns):,} columns, at most {MAX_COLUMNS:,} are read: keep the ones needed")
    return table


def _parquet(path: Path, words: Callable[[str], bool]) -> pd.DataFrame:
    from pyarrow import parquet

    about = parquet.read_metadata(path)
    size = sum(about.row_group(place).total_byte_size for place in range(about.num_row_groups))
    if size > MAX_BYTES or about.num_columns > MAX_COLUMNS:
        raise ValueError(f"it unpacks to {about.num_columns:,} columns of {size / 2**30:.3g} GiB")
    table = pd.read_parquet(path)
    if table.index.names != [None]:
        table = table.reset_index()
    table.columns = table.columns.astype(str)
    for name in filter(words, table.columns):
        table[name] = ["" if value is None or value is pd.NA or value != value else str(value) for value in table[name]]
    return table


@contextmanager
def _parser_errors(path: Path) -> Iterator[None]:
    """Turns every error of a parser into one sentence that names the file."""
    try:
        yield
    except ImportError:
        raise BadInput("Parquet needs pyarrow: pip install 'jaxlaws[parquet]', or give the table as CSV.") from None
    except MemoryError:
        raise BadInput(f"{path} does not fit in memory: keep the rows and columns that are needed.") from None
    except Exception as error:
        raise BadInput(
            f"{path} cannot be read as a table ({_reason(error)}): expected CSV, JSON or Parquet with a header."
        ) from None


def _reason(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or next(iter(str(error).strip().splitlines()), type(error).__name__)
    if isinstance(error, pd.errors.ParserWarning):
        text = "a row has more cells than the header"
    return printable(text)[:200]


def names_of(columns: Collection[Any], most: int = 20) -> str:
    """The columns of a file for a message, the first of them where there are many."""
    text = ", ".join(printable(name)[:60] for name in list(columns)[:most])
    return f"{text}, … ({len(columns)} in all)" if len(columns) > most else text
