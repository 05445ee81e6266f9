"""A folder of runs of any trainer: a table a run, and beside it the config that Hydra or the trainer kept."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pandas as pd
import yaml

from jaxlaws.errors import BadInput
from jaxlaws.nested import dotted
from jaxlaws.records import published
from jaxlaws.records.read import yaml_of
from jaxlaws.records.tabular import MAX_COLUMNS, kind_of
from jaxlaws.text import printable

_TABLES = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".json", ".parquet")
#: Configs beside the table of a run, or in a folder between it and the one that is read: Hydra's, Lightning's, others.
CONFIGS = (".hydra/config.yaml", "hparams.yaml", "config.yaml", "config.json", "params.json", "args.json")
#: Words in the name of a table by which it is preferred in a folder with several, best first.
_NAMES = ("metric", "result", "histor", "log", "loss")
#: Largest depth of a run's folder: Hydra's date, time and number, and the folder of a logger.
_DEPTH = 5
#: Largest numbers of files below a folder and of bytes of a config.
_MOST, _LARGEST = 200_000, 2**20
#: A node that stands for another one, by which a small file makes a huge tree.
_ALIAS = re.compile(r"[:\-,\[{]\s*\*\w")
#: Pattern of the files that a tracker keeps itself → what such a folder is and how to read its runs.
_STORES = {
    "*/meta.yaml": "is a store of MLflow: read it as mlflow: or mlflow:EXPERIMENT with MLFLOW_TRACKING_URI={path}",
    "*run-*/*.wandb": "is where W&B keeps runs before it sends them: run wandb sync, then read wandb:ENTITY/PROJECT",
    "events.out.tfevents.*": "holds events of TensorBoard: write its scalars to a CSV, a row a step, and read that",
    "*/events.out.tfevents.*": "holds events of TensorBoard: write its scalars to a CSV a run, and read the folder",
}


def read_folder(path: Path, read: Callable[[Path], pd.DataFrame], has_id: Callable[[str], bool]) -> pd.DataFrame:
    """The tables of a folder, one a run, below each other, with the run's id and what its config says.

    Args:
      path: of the folder; a run is a file in it, or a folder in it or below with a table of its own.
      read: returns the table in a file.
      has_id: whether a column of this name may be the id of a run; otherwise the file's or folder's name is.

    Raises:
      BadInput: there is no table in it, or one cannot be read.
    """
    parts = []
    for name, file in _tables(path).items():
        try:
            rows = read(file)
        except BadInput as error:
            raise BadInput(f"{printable(path)} has no sweep.yaml and is read as a folder of tables: {error}") from None
        config = {f"config.{key}": value for key, value in _config(file, path).items()}
        more = config if any(map(has_id, rows.columns.astype(str))) else {**config, "run_id": name}
        extra = {key: value for key, value in more.items() if key not in rows}
        parts.append(pd.concat([rows, pd.DataFrame(extra, index=rows.index)], axis=1))
    return pd.concat(parts, ignore_index=True)


def _tables(path: Path) -> dict[str, Path]:
    """Run id → the file with its table."""
    for pattern, what in _STORES.items():
        if any(path.glob(pattern)):
            raise BadInput(f"{printable(path)} {what.format(path=printable(path))}.")
    files = [file for file in sorted(path.iterdir()) if kind_of(file) in _TABLES and file.is_file()]
    if files:
        return {file.name.split(kind_of(file))[0]: file for file in files}
    for depth in range(1, _DEPTH):
        paths = list(itertools.islice(path.glob("*/" * depth + "*"), _MOST))
        if len(paths) == _MOST:
            raise BadInput(f"{printable(path)} holds {_MOST:,} files and more: name the folder of the runs.")
        below = [file for file in sorted(paths) if _is_table(file) and file.is_file()]
        folders = itertools.groupby(below, key=lambda file: file.parent)
        if tables := {folder.relative_to(path).as_posix(): _best(list(group)) for folder, group in folders}:
            return tables
    raise BadInput(
        f"{printable(path)} has no sweep.yaml, no run and no table in it, expected a sweep directory or a folder of "
        f"tables: for a published folder add --format {'|'.join(published.FORMATS)}."
    )


def _is_table(file: Path) -> bool:
    return kind_of(file) in _TABLES[:-1] and file.name not in CONFIGS and not file.parent.name.startswith(".")


def _best(files: list[Path]) -> Path:
    """The file whose name says that it holds results, else the largest."""
    return max(files, key=lambda file: ([word in file.name.lower() for word in _NAMES], file.stat().st_size))


def _config(file: Path, path: Path) -> dict[str, object]:
    """What the configs around the table of a run say, flat: `optim.lr`; the nearest one counts."""
    settings: dict[str, object] = {}
    for folder in itertools.takewhile(lambda parent: parent != path, file.parents):
        for name in CONFIGS:
            if (folder / name).is_file():
                settings = {**dict(itertools.islice(scalars(_mapping(folder / name)), MAX_COLUMNS)), **settings}
    return {key: value for key, value in settings.items() if not (isinstance(value, str) and "${" in value)}


def _mapping(file: Path) -> Mapping[str, object]:
    try:
        if file.stat().st_size > _LARGEST:
            raise BadInput(f"{printable(file)} is larger than {_LARGEST // 2**20} MiB, expected the config of a run.")
        text = file.read_text(encoding="utf-8")
        if file.suffix == ".json":
            values = json.loads(text)
        elif _ALIAS.search(text):
            raise ValueError("it has aliases")
        else:
            values = yaml_of(text)
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        reason = printable((str(error).splitlines() or [type(error).__name__])[0])[:200]
        raise BadInput(
            f"{printable(file)} cannot be read as the config of a run ({reason}): mend or move it."
        ) from None
    return values if isinstance(values, Mapping) else {}


def scalars(values: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """(`optimizer.lr`, value) of the numbers, words and truth values of a config, those inside mappings included."""
    return ((name, value) for name, value in dotted(values) if isinstance(value, str | int | float))
