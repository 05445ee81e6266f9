"""Every law by name: those of the files of `points` and `curves`, and those of plug-ins. Loads no JAX."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType, ModuleType

from jaxlaws.laws import curves, points
from jaxlaws.laws.check import declared
from jaxlaws.laws.law import Law
from jaxlaws.plugins import Table


def of_module(module: ModuleType) -> list[tuple[str, Law]]:
    """(name, law) of those that a module has at its top; `BadInput` as of `check.declared`."""
    laws = [value for name, value in vars(module).items() if isinstance(value, Law) and not name.startswith("_")]
    return [(law.name, declared(law)) for law in laws]


def _ours() -> list[tuple[str, Law]]:
    modules = [info for package in (curves, points) for info in iter_modules(package.__path__, f"{package.__name__}.")]
    return [row for info in modules for row in of_module(import_module(info.name))]


#: Name → law.
LAWS: Table[Law] = Table("law", "jaxlaws.laws", _ours(), take=lambda module: LAWS.update(of_module(module)))


#: The law of curves to begin with: the one that errs least where it was not made (experiments/laws/noise_memory.py).
CURVE_LAW = "noise_memory"


def add(law: Law) -> None:
    """Add a law to the table; `BadInput` where another one has its name, or as of `check.declared`."""
    LAWS[law.name] = declared(law)


def get(name: str, convention: Mapping[str, str] = MappingProxyType({})) -> Law:
    """The law of this name; `BadInput` with the valid names otherwise.

    Args:
      name: of a law.
      convention: of a fit, which says the parts of an input of several columns: {"share": "web,code"}.
    """
    if name not in LAWS:
        raise LAWS.unknown(name)
    law = LAWS[name]
    if law.of_parts is None or not law.several or law.several[0] not in convention:
        return law
    return _of_parts(law, tuple(convention[law.several[0]].split(",")))


@lru_cache(maxsize=64)
def _of_parts(law: Law, parts: tuple[str, ...]) -> Law:
    """One law for equal parts, so that what is compiled for it serves again."""
    assert law.of_parts is not None
    return law.of_parts(parts)
