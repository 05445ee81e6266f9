"""curve.csv: the validations of a run, a row each, appended as it is trained."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxlaws.records.read import Unreadable, read_lr, read_text

if TYPE_CHECKING:
    from jaxlaws.records.table import Curve

#: Columns of curve.csv: finished steps, tokens seen, LR of the last step, training loss (mean since the row before),
#: validation loss, training loss (mean over the last fiftieth of the run), all in nats a token, and the mean norms of
#: the gradient and of the update since the row before.
CURVE = ("step", "tokens", "lr", "train_loss", "val_loss", "smooth_loss", "gradient_norm", "update_norm")


def text(rows: Iterable[str]) -> str:
    """The text of the file with these rows."""
    return "".join(f"{line}\n" for line in (",".join(CURVE), *rows))


def row(point: Mapping[str, float]) -> str:
    """One row with its newline; a value that the point lacks is an empty cell."""
    return ",".join(f"{point[name]:.9g}" if name in point else "" for name in CURVE) + "\n"


def read(path: Path) -> tuple[list[str], np.ndarray]:
    """(names of the columns, values [rows, columns]) of the complete rows of a curve.csv; an empty cell is NaN.

    A last row without a newline is incomplete and is left out: its process still writes it, or ended meanwhile.
    """
    header, *rows = read_text(path).split("\n")[:-1] or [""]
    names = header.split(",")
    if names[0] != "step":
        raise Unreadable(path, f"its first line is '{header:.40}', expected step,…")
    values = list(_values(header, rows))
    if len(values) < len(rows):
        raise Unreadable(path, f"row {len(values) + 1} is '{rows[len(values)]:.40}', expected numbers and a later step")
    return names, np.array(values).reshape(len(values), len(names))


def _values(header: str, rows: Iterable[str]) -> Iterator[list[float]]:
    """The values of rows of a curve.csv, up to the first that does not belong to it."""
    width, before = header.count(",") + 1, 0.0
    for row in rows:
        try:
            values = [float(cell) if cell else math.nan for cell in row.split(",")]
        except ValueError:
            return
        if len(values) > width or not values[0] > before or values[0] % 1:
            return
        yield values + [math.nan] * (width - len(values))
        before = values[0]


def whole_rows(path: Path) -> list[tuple[int, str]]:
    """(step, row) of the complete rows of a file, up to the first damaged one."""
    try:
        header, *rows = path.read_bytes().decode(errors="replace").split("\n")[:-1] or [""]
    except OSError:
        return []
    return [(int(values[0]), row) for values, row in zip(_values(header, rows), rows, strict=False)]


def checked(folder: Path, record: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(lr[steps], index of the last step before each validation, its loss) of a run that ended well.

    Raises:
      Unreadable: curve.csv or lr.npy is damaged.
    """
    path = folder / "curve.csv"
    names, values = read(path)
    try:
        lr = read_lr(folder / "lr.npy")
    except FileNotFoundError:
        raise Unreadable(folder / "lr.npy", "it is not there") from None
    steps = record.get("steps") or len(lr)
    if "val_loss" not in names:
        raise Unreadable(path, "it has no column val_loss")
    if not len(values) or values[-1, 0] != steps or steps != len(lr):
        last = f"{values[-1, 0]:g}" if len(values) else "none"
        raise Unreadable(path, f"its last step is {last}, run.json has {steps} steps and lr.npy {len(lr)}")
    at, loss = values[:, 0].astype(int) - 1, values[:, names.index("val_loss")]
    if not np.all(np.isfinite(loss) & (loss > 0)):
        raise Unreadable(path, "a val_loss is not a positive number")
    return lr, at, loss


def of_run(folder: Path, record: Mapping[str, Any]) -> Curve:
    """The validation curve of a run that ended well, for laws; `BadInput` where a file of it is damaged."""
    from jaxlaws.records.table import Curve

    return Curve(*checked(folder, record), int(record.get("warmup_steps") or 0)).check(folder.name)
