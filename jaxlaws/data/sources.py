"""Where documents come from: text files, JSONL, Parquet, Hugging Face data sets; always as a stream. No JAX."""

from __future__ import annotations

import codecs
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

from jaxlaws.errors import BadInput, Failed
from jaxlaws.text import printable

#: Characters of a text file that are read at once.
_PIECE = 1 << 20
_NOT_GZIP = (OSError, EOFError, zlib.error)
_SURROGATE = re.compile("[\ud800-\udfff]")
#: Documents from which on it is noticed, before the end, that most of them cannot be read; losses that are named.
_ENOUGH, _NAMED = 1000, 5
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


class Piece(NamedTuple):
    """Some text, whether its document ends with it, and how much of the source that is, in its units."""

    text: str
    ends: bool
    work: float


class Losses:
    """Documents that could not be read, or not as they are: counted, and the first of them named."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begin to count."""
        self.documents = self.lost = self.replaced = 0
        self._lost: list[str] = []
        self._replaced: list[str] = []

    def lose(self, why: str) -> None:
        """Leave a document out."""
        self.lost += 1
        self.documents += 1
        self._lost.append(why) if self.lost <= _NAMED else None
        if self.documents >= _ENOUGH:
            self.check()

    def replace(self, where: str) -> None:
        """Note a document some of whose characters were replaced."""
        self.replaced += 1
        self._replaced.append(where) if self.replaced <= _NAMED else None

    def check(self) -> None:
        """Raises `BadInput` where at least half of the documents so far could not be read: that is no accident."""
        if self.lost and 2 * self.lost >= self.documents:
            others = f" The same holds for {self.lost - 1:,} others." if self.lost > 1 else ""
            raise BadInput(self._lost[0] + others)

    def sentences(self) -> list[str]:
        """What was left out and replaced."""
        said = []
        if self.lost:
            named = " ".join(self._lost) + (" …" if self.lost > _NAMED else "")
            said.append(f"{self.lost:,} of {self.documents:,} documents were left out. {named}")
        if self.replaced:
            named = ", ".join(self._replaced) + (", …" if self.replaced > _NAMED else "")
            said.append(
                f"{self.replaced:,} documents hold halves of UTF-16 pairs, which are no characters and were replaced "
                f"by U+FFFD: {named}."
            )
        return said


class Source(NamedTuple):
    """Documents.

    Attributes:
      pieces: starts reading them from the first.
      total, unit: how much there is, where it is known.
      inputs: what tells this source from another: names, sizes and times of its files.
      losses: what could not be read since `pieces` was called.
    """

    pieces: Callable[[], Iterator[Piece]]
    total: float | None
    unit: str
    inputs: dict[str, Any]
    losses: Losses


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
    try:
        saved = (path / "dataset_info.json").is_file() or (path / "dataset_dict.json").is_file()
        there = path.exists()
    except OSError as error:
        raise BadInput(f"'{printable(name)}' cannot be read ({error.strerror}): expected a file or a folder.") from None
    if saved:
        return _hub(name, field, split, config, saved=True)
    if not there:
        if _HUB_NAME.fullmatch(name) and path.suffix not in (".txt", ".jsonl", ".json", ".parquet", ".gz"):
            return _hub(name, field, split, config, saved=False)
        raise BadInput(
            f"'{printable(name)}' does not exist, expected a file, a folder or the name of a Hugging Face data set."
        )
    if not path.is_file() and not path.is_dir():
        raise BadInput(f"'{printable(name)}' is neither a file nor a folder: save what it holds into a file first.")
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if _wanted(file, path))
    if not files:
        raise BadInput(f"'{printable(name)}' holds no files, expected text, .jsonl or .parquet.")
    sizes = [file.stat().st_size for file in files]
    seen = [
        [str(file.relative_to(path)), size, file.stat().st_mtime_ns] for file, size in zip(files, sizes, strict=True)
    ]
    inputs = {"files": len(files), "sha256": hashlib.sha256(json.dumps(seen).encode()).hexdigest(), "field": field}

    losses = Losses()

    def pieces() -> Iterator[Piece]:
        losses.clear()
        for file in files:
            kind = file.with_suffix("").suffix if file.suffix == ".gz" else file.suffix
            yield from _READERS.get(kind, _text)(file, field, losses)
        losses.check()

    return Source(pieces, sum(sizes), "bytes", inputs, losses)


def need(module: str, why: str) -> Any:
    """A module of an optional package, or one sentence on how to install it."""
    try:
        return import_module(module)
    except ImportError:
        raise BadInput(f"{why} needs the package {module.split('.')[0]}: pip install 'jaxlaws[data]'.") from None


def _wanted(file: Path, folder: Path) -> bool:
    return file.is_file() and not any(part.startswith(".") for part in file.relative_to(folder).parts)


def _text(file: Path, field: str, losses: Losses) -> Iterator[Piece]:
    """A file as one document, left out as a whole where it is no text: so it is read twice, once to see."""
    rest, before = "", 0
    try:
        with file.open("rb") as raw:
            decoder = codecs.getincrementaldecoder("utf-8")()
            content = _unpacked(raw, file)
            while more := content.read(_PIECE):
                decoder.decode(more)
            decoder.decode(b"", final=True)
            raw.seek(0)
            text = io.TextIOWrapper(_unpacked(raw, file), "utf-8", newline="")
            while part := text.read(_PIECE):
                rest += part
                cut = rest.rfind("\n") + 1 or rest.rfind(" ") + 1 or len(rest)
                yield Piece(rest[:cut], False, raw.tell() - before)
                rest, before = rest[cut:], raw.tell()
    except (UnicodeDecodeError, *_NOT_GZIP) as error:
        losses.lose(f"{printable(file)} is not UTF-8 text ({error}): convert it, or take it out of the folder.")
        return
    losses.documents += 1
    yield Piece(rest, True, 0)


def _jsonl(file: Path, field: str, losses: Losses) -> Iterator[Piece]:
    before = number = 0
    try:
        with file.open("rb") as raw:
            for number, line in enumerate(_unpacked(raw, file), 1):
                if not line.strip():
                    continue
                where = f"{printable(file)}:{number}"
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError) as error:
                    losses.lose(f"{where} is not a JSON object ({error}): correct or remove the line.")
                    continue
                if (text := _column(row, field, where, losses)) is not None:
                    yield Piece(text, True, raw.tell() - before)
                    before = raw.tell()
    except _NOT_GZIP as error:
        losses.lose(f"{printable(file)} cannot be read after line {number} ({error}): get it again.")


def _unpacked(raw: BinaryIO, file: Path) -> Any:
    return gzip.open(raw) if file.suffix == ".gz" else raw


def _parquet(file: Path, field: str, losses: Losses) -> Iterator[Piece]:
    parquet, arrow = need("pyarrow.parquet", "Parquet"), need("pyarrow", "Parquet")
    number = 0
    try:
        with parquet.ParquetFile(file) as table:
            if field not in table.schema_arrow.names:
                losses.lose(_no_column(field, table.schema_arrow.names, printable(file)))
                return
            share = file.stat().st_size / max(1, table.metadata.num_rows)
            for batch in table.iter_batches(1024, columns=[field]):
                for value in batch.column(0):
                    number += 1
                    where = f"{printable(file)}, row {number}"
                    try:
                        plain = value.as_py()
                    except ValueError as error:
                        losses.lose(f"{where}: '{printable(field)}' is no text ({error}).")
                        continue
                    if (text := _as_text(plain, field, where, losses)) is not None:
                        yield Piece(text, True, share)
    except (arrow.ArrowException, OSError) as error:
        why = str(error).splitlines()[0]
        after = f" after row {number}" if number else ""
        losses.lose(f"{printable(file)} is not a Parquet file{after} ({why}): get it again.")


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

    losses = Losses()

    def pieces() -> Iterator[Piece]:
        losses.clear()
        number = 0
        try:
            for number, row in enumerate(data, 1):
                if (text := _column(row, field, f"{name}, row {number}", losses)) is not None:
                    yield Piece(text, True, 1)
        except (OSError, RuntimeError) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise Failed(f"the data set '{name}' cannot be read after row {number}: {reason}.") from error
        losses.check()

    inputs = {"dataset": Path(name).name if saved else name, "split": split, "config": config, "field": field}
    return Source(pieces, rows, "documents", {**inputs, "version": version}, losses)


def _column(row: Any, field: str, where: str, losses: Losses) -> str | None:
    if not isinstance(row, dict) or field not in row:
        losses.lose(_no_column(field, row if isinstance(row, dict) else (), where))
        return None
    return _as_text(row[field], field, where, losses)


def _as_text(value: Any, field: str, where: str, losses: Losses) -> str | None:
    """The text of a column, None where it is something else."""
    if value is not None and not isinstance(value, str):
        losses.lose(f"{where}: '{printable(field)}' is {type(value).__name__}, expected text: choose with --field.")
        return None
    losses.documents += 1
    text = value or ""
    try:
        text.encode()
    except UnicodeEncodeError:
        losses.replace(where)
        return _SURROGATE.sub("\ufffd", text)
    return text


def _no_column(field: str, names: Any, where: str) -> str:
    listed = ", ".join(printable(name)[:40] for name in list(names)[:20]) or "nothing"
    return f"{where} has no '{printable(field)}', expected one of: {listed}; choose with --field."
