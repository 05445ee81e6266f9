"""Rows that others add to our tables: from a file that the user names, or from an installed package by an entry point.

A plug-in is a Python module that adds rows to tables (`INPUTS["x"] = Input(…)`, `FAMILIES["saw"] = Family(…)`) or
defines laws at its top. It runs only by the user's wish: `--plugin FILE.py`, the variable JAXLAWS_PLUGINS, or its
installation; no config, fit or table names one. Entry points are looked for when a name is not in a table, or when
all names are listed, and the module of one is imported then. No JAX.
"""

from __future__ import annotations

import os
import sys
from collections import UserDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, TypeVar

from jaxlaws.errors import BadInput, unknown
from jaxlaws.text import brief

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

Row = TypeVar("Row")
#: Paths of files that every command loads, separated as in PATH; processes that a command starts load them too.
VARIABLE = "JAXLAWS_PLUGINS"
#: Where an unknown name may come from.
REMEDY = "what --plugin FILE.py adds"


class Table(UserDict[str, Row]):
    """Rows by name, ours and those of plug-ins; a plug-in cannot replace a row.

    Args:
      kind: what a row is, for people.
      group: of entry points, each with the name of its row and the module that adds it.
      rows: ours.
      take: given a module that was imported for an entry point, where the module does not add its rows itself.
    """

    def __init__(
        self,
        kind: str,
        group: str,
        rows: Mapping[str, Row] | Iterable[tuple[str, Row]],
        take: Callable[[ModuleType], None] | None = None,
    ) -> None:
        self.kind, self.group, self.take = kind, group, take
        super().__init__(rows)
        self.ours = frozenset(self.data)

    def __setitem__(self, name: str, row: Row) -> None:
        if name in self.data and self.data[name] is not row:
            raise BadInput(f"there are two rows for the {self.kind} {name}: give one of them another name.")
        self.data[name] = row

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (name in self.data or self._import(name))

    def __missing__(self, name: str) -> Row:
        if not self._import(name):
            raise KeyError(name)
        return self.data[name]

    def __iter__(self) -> Iterator[str]:
        for name in _installed(self.group):
            _ = name in self
        return iter(self.data)

    def added(self) -> list[str]:
        """The names that plug-ins have added or would add; none of them is imported."""
        return sorted({*self.data, *_installed(self.group)} - self.ours)

    def unknown(self, name: str) -> BadInput:
        """`BadInput` for a name that no row has."""
        return unknown(self.kind, name, self, more=REMEDY)

    def _import(self, name: str) -> bool:
        """Import the module of an entry point of this name, and return whether the table has its row."""
        if (point := _installed(self.group).get(name)) is None:
            return False
        with _as_bad_input(f"{point.value} of {point.dist.name if point.dist else 'a package'}"):
            module = point.load()
            if self.take is not None:
                self.take(module)
            if name not in self.data:
                raise BadInput(f"it adds no {self.kind} of the name {name}.")
        return True


@lru_cache(maxsize=16)
def _installed(group: str) -> dict[str, EntryPoint]:
    """The entry points of a group by name, none of them imported."""
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group=group)}


@contextmanager
def _as_bad_input(plugin: str) -> Iterator[None]:
    """Turns every error of a plug-in, `SystemExit` included, into `BadInput` that names the plug-in."""
    try:
        yield
    except (Exception, SystemExit) as error:
        why = str(error) if isinstance(error, BadInput) else f"{type(error).__name__}: {error}"
        raise BadInput(f"the plug-in {plugin} cannot be loaded ({brief(why, 300).rstrip('.')}): repair it.") from None


def load(file: str | Path) -> ModuleType:
    """The module that a file of Python makes; a file that has not changed is run once."""
    path = Path(file).expanduser().resolve()
    if not path.is_file():
        raise BadInput(f"--plugin is '{brief(file)}', expected a file of Python that adds laws or other rows.")
    return _run(path, path.read_bytes())


@lru_cache(maxsize=64)
def _run(path: Path, content: bytes) -> ModuleType:
    module = ModuleType(f"jaxlaws_plugin_{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module
    with _as_bad_input(brief(path)):
        exec(compile(content, str(path), "exec"), vars(module))
    return module


def named_in(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """(the arguments without --plugin FILE, the files of the user: those of the variable first)."""
    others, files = [], [file for file in os.environ.get(VARIABLE, "").split(os.pathsep) if file]
    waiting = iter(arguments)
    for text in waiting:
        if text == "--plugin":
            if (file := next(waiting, None)) is None:
                raise BadInput("--plugin has no file, expected --plugin FILE.py.")
            files.append(file)
        elif text.startswith("--plugin="):
            files.append(text.partition("=")[2])
        else:
            others.append(text)
    return others, list(dict.fromkeys(os.path.abspath(os.path.expanduser(file)) for file in files))


@contextmanager
def for_children(files: Sequence[str]) -> Iterator[None]:
    """Processes that start inside the block load the same files."""
    before = os.environ.get(VARIABLE)
    if files:
        os.environ[VARIABLE] = os.pathsep.join(files)
    try:
        yield
    finally:
        if files:
            os.environ.pop(VARIABLE)
            if before is not None:
                os.environ[VARIABLE] = before
