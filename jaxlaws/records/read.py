"""The one reader of a run's files: the checked content, or `Unreadable` with the name of the file and the reason."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from jaxlaws.errors import BadInput
from jaxlaws.records.files import read_array
from jaxlaws.text import printable

#: Statuses that run.json may state.
ENDED = ("ok", "diverged", "failed")
#: Keys of run.json that hold text or a mapping. Every other one that is a column of the table of runs holds a number.
TEXT = frozenset({"status", "model", "parameterisation", "schedule", "optimizer", "corpus"})
MAPPINGS = ("identity", "versions", "devices")
#: Keys of run.json that are no columns and hold a number.
NUMBERS = ("trunk_steps", "compile_seconds", "step_seconds", "lanes")
#: A size in bytes that no file of a run exceeds.
_LARGEST = 1 << 30


class Unreadable(BadInput):
    """A file that exists and cannot be read, or whose content is not of its kind.

    Attributes:
      errno: where the file system refused it, otherwise None.
    """

    def __init__(self, path: Path, why: str, errno: int | None = None):
        super().__init__(f"{printable(path)} cannot be read ({printable(why)})")
        self.errno = errno


def read_bytes(path: Path) -> bytes:
    """The content of a regular file.

    Raises:
      FileNotFoundError: it is not there.
      Unreadable: it is no regular file, too large, or the file system refuses it.
    """
    try:
        if not path.is_file() and path.exists():
            raise Unreadable(path, "it is not a regular file", 0)
        if path.stat().st_size > _LARGEST:
            raise Unreadable(path, f"it is larger than {_LARGEST:,} bytes")
        return path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Unreadable(path, error.strerror or type(error).__name__, error.errno) from None


def read_text(path: Path) -> str:
    """The content of a text file that is not empty."""
    content = read_bytes(path)
    if not content.strip(b"\0 \t\r\n"):
        raise Unreadable(path, "it is empty")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise Unreadable(path, f"byte {error.start} is not UTF-8") from None


def read_json(path: Path) -> dict[str, Any]:
    """The object of a JSON file."""
    text = read_text(path)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unreadable(path, _first(error)) from None
    if not isinstance(content, dict):
        raise Unreadable(path, f"it holds a {type(content).__name__}, expected an object")
    return content


def read_record(path: Path, columns: Mapping[str, str] | None = None) -> dict[str, Any]:
    """run.json: how a run ended, and the columns that it states.

    Args:
      path: of the file.
      columns: `jaxlaws.records.columns.COLUMNS`, to check every one of them; by default what this package computes
        with.
    """
    record = read_json(path)
    if record.get("status") not in ENDED:
        raise Unreadable(path, f"its status is {record.get('status')!r:.40}, expected {', '.join(ENDED)}")
    for name in MAPPINGS:
        if not isinstance(record.get(name, {}), dict):
            raise Unreadable(path, f"{name} is {record[name]!r:.40}, expected an object")
    for name in (*NUMBERS, *(columns or _COMPUTED)):
        value, expected = record.get(name), "text" if name in TEXT else "a finite number"
        if value is None or (isinstance(value, str) if name in TEXT else _finite(value)):
            continue
        raise Unreadable(path, f"{name} is {value!r:.40}, expected {expected}")
    return record


_COMPUTED = (
    *("seconds", "flops_exact", "val_loss_nats", "diverged_step", "steps", "tokens", "batch_sequences", "peak_lr"),
    *("seed", "warmup_steps", "model", "schedule", "corpus"),
)


def read_config(path: Path) -> dict[str, Any]:
    """config.yaml."""
    text = read_text(path)
    try:
        content = yaml_of(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise Unreadable(path, _first(error)) from None
    if not isinstance(content, dict):
        raise Unreadable(path, f"it holds a {type(content).__name__}, expected keys and values")
    return content


def yaml_of(text: str) -> Any:
    """The value of a YAML text, by the safe loader in C, or by Python's if deep nesting would crash it."""
    brackets = itertools.accumulate(1 if sign in "[{" else -1 for sign in text if sign in "[]{}")
    deep = max(brackets, default=0) > _DEEP or _NESTED.search(text)
    return yaml.load(text, yaml.SafeLoader if deep else getattr(yaml, "CSafeLoader", yaml.SafeLoader))


#: Brackets inside each other, or lists begun on one line, from which a text counts as deeply nested.
_DEEP = 50
_NESTED = re.compile(r"(?:[-?:]\s+){50}")


def read_lr(path: Path) -> np.ndarray:
    """lr.npy: lr[steps]."""
    read_bytes(path)
    try:
        lr = read_array(path, "learning rates")
    except BadInput as error:
        raise Unreadable(path, str(error)) from None
    if lr.ndim != 1 or not np.isfinite(lr).all():
        raise Unreadable(path, "expected one finite learning rate a step")
    return lr


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _first(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return " ".join(str(error).split())[:120] or type(error).__name__
