"""Schedules in and out: files that any trainer reads, optax schedules, and a table for torch's LambdaLR."""

from __future__ import annotations

import csv
import io
import json
import runpy
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from jaxlaws.errors import BadInput
from jaxlaws.numeric import array
from jaxlaws.records.files import read_array
from jaxlaws.text import brief, printable

#: Endings of the files that hold a schedule.
FORMATS = (".csv", ".npy", ".json")
#: Largest learning rate: near the limit of float32, and small enough for finite sums of squares.
MOST_LR = 1e38
#: Most bytes of such a file, enough for millions of steps.
MOST_BYTES = 100_000_000


def write_table(path: Path, lr: np.ndarray) -> Path:
    """`table_bytes` of lr[steps] in a file, whose folder is made where there is none; returns its path."""
    content = table_bytes(table_format(path), lr)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def table_format(path: Path) -> str:
    """The ending of the name of a file for a schedule, one of `FORMATS`."""
    if path.suffix not in FORMATS:
        raise BadInput(f"'{path}' does not say its format, expected a name that ends with {', '.join(FORMATS)}.")
    return path.suffix


def table_bytes(suffix: str, lr: np.ndarray) -> bytes:
    """lr[steps] as the content of a file that `read_table` reads back exactly.

    .csv: columns step,lr, each LR the shortest decimal that names its float64. .npy: the float64 array. .json: what
    `lambda_table` gives, and lr.
    """
    lr = np.asarray(lr, dtype=np.float64)
    if suffix == ".npy":
        file = io.BytesIO()
        np.save(file, lr)
        return file.getvalue()
    if suffix == ".json":
        base, multipliers = lambda_table(lr)
        return (json.dumps({"base_lr": base, "multipliers": multipliers.tolist(), "lr": lr.tolist()}) + "\n").encode()
    return ("step,lr\n" + "".join(f"{step},{value!r}\n" for step, value in enumerate(lr.tolist()))).encode()


def read_table(path: Path) -> np.ndarray:
    """lr[steps] from what `write_table` writes, or any CSV with the columns step,lr that has every step in order.

    Raises:
      BadInput: no such file, another layout, or a learning rate that is negative or not a number.
    """
    if not path.is_file():
        raise BadInput(f"the schedule '{path}' is not a file, expected one that ends with {', '.join(FORMATS)}.")
    _check_size(path)
    if path.suffix == ".npy":
        lr = _array(path)
    elif path.suffix == ".json":
        lr = _json(path)
    else:
        rows = columns(path, {"step": int, "lr": float})
        if [step for step, _ in rows] != list(range(rows[0][0], rows[0][0] + len(rows))):
            raise BadInput(f"{path} does not hold every step once and in order.")
        lr = np.array([value for _, value in rows])
    if not np.all(np.isfinite(lr)) or lr.min() < 0 or lr.max() <= 0:
        raise BadInput(f"{path} has a learning rate that is negative or not a number, or none above zero.")
    if lr.max() > MOST_LR:
        raise BadInput(f"{path} has the learning rate {lr.max():.3g}, expected at most {MOST_LR:.0e}.")
    return lr


def lambda_table(lr: np.ndarray) -> tuple[float, np.ndarray]:
    """(base LR, multiplier of every step) for torch; base · multiplier is the LR within one unit in the last place.

    With the file that `write_table(Path("lr.json"), lr)` writes:

        table = json.load(open("lr.json"))
        optimizer = torch.optim.AdamW(model.parameters(), lr=table["base_lr"])
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: (table["multipliers"] + [0])[t])

    The 0 is for the step after the last one, which LambdaLR asks for too.
    """
    lr = np.asarray(lr, dtype=np.float64)
    base = float(lr.max())
    return base, lr / base


def to_optax(lr: np.ndarray) -> Callable[[Any], Any]:
    """A plain optax schedule, count → LR in JAX's default float, that holds the last LR after the end.

        >>> import jaxlaws, optax
        >>> schedule = jaxlaws.to_optax(jaxlaws.schedule("wsd", steps=1000, peak_lr=3e-4))
        >>> optimizer = optax.adamw(schedule)
        >>> print(f"{schedule(500):.1e}")
        3.0e-04

    Args:
      lr: [steps] LR of every step.

    Raises:
      BadInput: it has another shape, or an LR that is not finite.
    """
    import jax.numpy as jnp

    values = array("lr", lr)
    if values.ndim != 1 or not values.size or not np.all(np.isfinite(values)):
        raise BadInput("a schedule for optax is expected to have the shape [steps] and a finite LR at every step.")
    return lambda count: jnp.asarray(values, dtype=float)[jnp.minimum(count, len(values) - 1)]


def from_optax(schedule: Callable[[Any], Any], steps: int) -> np.ndarray:
    """lr[steps], float64: what any optax schedule gives for the counts 0 … steps − 1."""
    import jax
    import jax.numpy as jnp

    lr = np.asarray(jax.vmap(schedule)(jnp.arange(steps)), dtype=np.float64)
    if lr.shape != (steps,) or not np.all(np.isfinite(lr)) or lr.min() < 0 or lr.max() <= 0:
        raise BadInput("the optax schedule has an LR that is negative or not a number, or none above zero.")
    return lr


def optax_from(file: str, steps: int) -> np.ndarray:
    """The optax schedule NAME that PATH.py:NAME makes, its largest LR scaled to the peak. Runs the file as a program.

    A process runs a file once, and again when it changes; a note on stderr says so.
    """
    path, _, name = file.rpartition(":")
    if not Path(path).is_file():
        raise BadInput(f"schedule.file is '{file}', expected PATH.py:NAME, a file and the optax schedule in it.")
    names = _run_file(str(Path(path).resolve()), Path(path).read_bytes())
    if name not in names:
        raise BadInput(f"{path} makes no '{name}', expected the name of an optax schedule.")
    with _foreign(file):
        return from_optax(names[name], steps)


@lru_cache(maxsize=16)
def _run_file(path: str, content: bytes) -> dict[str, Any]:
    """The names that a Python file of this content defines."""
    print(f"note: schedule=optax runs {printable(path)} as a Python program.", file=sys.stderr)
    with _foreign(path):
        return runpy.run_path(path)


@contextmanager
def _foreign(file: str) -> Iterator[None]:
    """Turns whatever the user's program raises into `BadInput` that names it: also what would end this process."""
    try:
        yield
    except BadInput:
        raise
    except BaseException as error:
        first = brief(str(error).strip().split("\n")[0])
        raise BadInput(f"{file} does not run as an optax schedule ({type(error).__name__}: {first}).") from None


def columns(path: Path, kinds: Mapping[str, type]) -> list[tuple[Any, ...]]:
    """The named columns of a CSV, row by row, each value of its kind; at least one row."""
    if not path.is_file():
        raise BadInput(f"'{path}' is not a file, expected a CSV with the columns {','.join(kinds)}.")
    _check_size(path)
    try:
        with path.open(newline="") as stream:
            reader = csv.DictReader(stream)
            if not set(kinds) <= set(reader.fieldnames or ()):
                raise BadInput(f"{path} has the columns {reader.fieldnames}, expected {','.join(kinds)}.")
            rows = [tuple(kind(row[name]) for name, kind in kinds.items()) for row in reader]
    except (TypeError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path} cannot be read as a CSV ({error}).") from None
    except BadInput:
        raise
    except ValueError as error:
        raise BadInput(f"{path} has a row that is not {' and '.join(kinds)} ({error}).") from None
    if not rows:
        raise BadInput(f"{path} has no rows, expected {','.join(kinds)}.")
    return rows


def _check_size(path: Path) -> None:
    if (size := path.stat().st_size) > MOST_BYTES:
        raise BadInput(f"{path} has {size:,} bytes, expected a schedule of at most {MOST_BYTES:,}.")


def _array(path: Path) -> np.ndarray:
    lr = read_array(path, "learning rates")
    if lr.ndim != 1 or not len(lr):
        raise BadInput(f"{path} has the shape {lr.shape}, expected one learning rate a step.")
    return lr


def _json(path: Path) -> np.ndarray:
    try:
        lr = np.array(json.loads(path.read_text())["lr"], dtype=np.float64)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise BadInput(f"{path} is not a schedule ({error}), expected an object with lr, one number a step.") from None
    if lr.ndim != 1 or not len(lr):
        raise BadInput(f"{path} has no lr, expected one number a step.")
    return lr
