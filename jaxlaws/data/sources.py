"""Where documents come from: text files, JSONL, Parquet, Hugging Face data sets; always as a stream. No JAX."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import zlib
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from jaxlaws.errors import BadInput

#: Characters of a text file that are read at once.
_PIECE = 1 << 20
_NOT_GZIP = (gzip.BadGzipFile, EOFError, zlib.error)
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


class Piece(NamedTuple):
    """Some text, whether its document ends with it, and how much of the source that is, in its units."""

    text: str
    ends: bool
    work: float


class Source(NamedTuple):
    """Documents.

    Attributes:
      pieces: starts reading them from the first.
      total, unit: how much there is, where it is known.
      inputs: what tells this source from another: names, sizes and times of its files.
    """

    pieces: Callable[[], Iterator[Piece]]
    total: float | None
    unit: str
    inputs: dict[str, Any]


def open_source(name: str, field: str, split: str, config: str | None) -> Source:
    """The documents of a file, of every file below a folder in order of their paths, or of a data set on the Hub.

    `.jsonl` and `.parquet` files are rows, each a document in the column `field`; any other file is one document;
    `.gz` is unpacked. A folder that `Dataset.save_to_disk` wrote is read as what it is.

    Args:
      name: a path, or else a name such as `org/name`.
      field: column of the text.
      split, config: of a Hugging Face data set.
    """
    path = Path(name)
    if (path / "dataset_info.json").is_file() or (path / "dataset_dict.json").is_file():
        return _hub(name, field, split, config, saved=True)
    if not path.exists():
        if _HUB_NAME.fullmatch(name) and path.suffix not in (".txt", ".jsonl", ".json", ".parquet", ".gz"):
            return _hub(name, field, split, config, saved=False)
        raise BadInput(f"'{name}' does not exist, expected a file, a folder or the name of a Hugging Face data set.")
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if _wanted(file, path))
    if not files:
        raise BadInput(f"'{name}' holds no files, expected text, .jsonl or .parquet.")
    sizes = [file.stat().st_size for file in files]
    seen = [
        [str(file.relative_to(path)), size, file.stat().st_mtime_ns] for file, size in zip(files, sizes, strict=True)
    ]
    inputs = {"files": len(files), "sha256": hashlib.sha256(json.dumps(seen).encode()).hexdigest(), "field": field}

    def pieces() -> Iterator[Piece]:
        for file in files:
            kind = file.with_suffix("").suffix if file.suffix == ".gz" else file.suffix
            yield from _READERS.get(kind, _text)(file, field)

    return Source(pieces, sum(sizes), "bytes", inputs)


def need(module: str, why: str) -> Any:
    """A module of an optional package, or one sentence on how to install it."""
    try:
        return import_module(module)
    except ImportError:
        raise BadInput(f"{why} needs the package {module.split('.')[0]}: pip install 'jaxlaws[data]'.") from None


def _wanted(file: Path, folder: Path) -> bool:
    return file.is_file() and not any(part.startswith(".") for part in file.relative_to(folder).parts)


def _text(file: Path, field: str) -> Iterator[Piece]:
    rest, before = "", 0
    with file.open("rb") as raw:
        try:
            text = io.TextIOWrapper(_unpacked(raw, file), "utf-8", newline="")
            while more := text.read(_PIECE):
                rest += more
                cut = rest.rfind("\n") + 1 or rest.rfind(" ") + 1 or len(rest)
                yield Piece(rest[:cut], False, raw.tell() - before)
                rest, before = rest[cut:], raw.tell()
        except (UnicodeDecodeError, *_NOT_GZIP) as error:
            raise BadInput(f"{file} is not UTF-8 text ({error}): convert it, or take it out of the folder.") from None
    yield Piece(rest, True, 0)


def _jsonl(file: Path, field: str) -> Iterator[Piece]:
    before = number = 0
    with file.open("rb") as raw:
        try:
            for number, line in enumerate(_unpacked(raw, file), 1):
                if line.strip():
                    yield Piece(_column(json.loads(line), field, f"{file}:{number}"), True, raw.tell() - before)
                    before = raw.tell()
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise BadInput(f"{file}:{number} is not a JSON object ({error}): correct or remove the line.") from None
        except _NOT_GZIP as error:
            raise BadInput(f"{file} cannot be unpacked ({error}): get it again.") from None


def _unpacked(raw: BinaryIO, file: Path) -> Any:
    return gzip.open(raw) if file.suffix == ".gz" else raw


def _parquet(file: Path, field: str) -> Iterator[Piece]:
    parquet, arrow = need("pyarrow.parquet", "Parquet"), need("pyarrow", "Parquet")
    try:
        with parquet.ParquetFile(file) as table:
            if field not in table.schema_arrow.names:
                raise BadInput(_no_column(field, table.schema_arrow.names, str(file)))
            share = file.stat().st_size / max(1, table.metadata.num_rows)
            for batch in table.iter_batches(1024, columns=[field]):
                for value in batch.column(0).to_pylist():
                    yield Piece(_as_text(value, field, str(file)), True, share)
    except (arrow.ArrowInvalid, OSError) as error:
        raise BadInput(f"{file} is not a Parquet file ({str(error).splitlines()[0]}): get it again.") from None


_READERS = {".jsonl": _jsonl, ".ndjson": _jsonl, ".parquet": _parquet}


def _hub(name: str, field: str, split: str, config: str | None, saved: bool) -> Source:
    datasets = need("datasets", f"'{name}' is no file or folder here; a Hugging Face data set")
    try:
        if saved:
            data = datasets.load_from_disk(name)
            data = data[split] if isinstance(data, dict) else data
        else:
            data = datasets.load_dataset(name, config, split=split, streaming=True)
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise BadInput(f"the data set '{name}' (split {split}) cannot be loaded: {reason}.") from None
    if data.column_names and field not in data.column_names:
        raise BadInput(_no_column(field, data.column_names, name))
    splits = data.info.splits if data.info else None
    rows = len(data) if saved else splits[split].num_examples if splits and split in splits else None
    version = data._fingerprint if saved else str(data.info.version) if data.info else None

    def pieces() -> Iterator[Piece]:
        for number, row in enumerate(data, 1):
            yield Piece(_column(row, field, f"{name}, row {number}"), True, 1)

    inputs = {"dataset": Path(name).name if saved else name, "split": split, "config": config, "field": field}
    return Source(pieces, rows, "documents", {**inputs, "version": version})


def _column(row: Any, field: str, where: str) -> str:
    if not isinstance(row, dict) or field not in row:
        raise BadInput(_no_column(field, row if isinstance(row, dict) else (), where))
    return _as_text(row[field], field, where)


def _as_text(value: Any, field: str, where: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadInput(f"{where}: '{field}' is {type(value).__name__}, expected text: choose with --field.")
    return value


def _no_column(field: str, names: Any, where: str) -> str:
    return f"{where} has no '{field}', expected one of: {', '.join(map(str, names)) or 'nothing'}; choose with --field."
