"""Every law by name: those of the files of `points` and `curves`, and those of plug-ins. Loads no JAX."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType, ModuleType

from jaxlaws.errors import BadInput, unknown
from jaxlaws.inputs import INPUTS
from jaxlaws.laws import curves, points
from jaxlaws.laws.law import Law

#: Name → law.
LAWS: dict[str, Law] = {}


def register(laws: Iterable[Law]) -> None:
    """Add laws to the table; `BadInput` where a name is taken or an input has no row in `INPUTS`."""
    for law in laws:
        if law.name in LAWS and LAWS[law.name] is not law:
            raise BadInput(f"there are two laws with the name {law.name}: give one of them another.")
        for name in law.inputs:
            if name not in INPUTS:
                raise unknown(f"input of the law {law.name}", name, INPUTS, "give it a row in jaxlaws.inputs.INPUTS;")
        LAWS[law.name] = law


def of_module(module: ModuleType) -> list[Law]:
    """The laws that a module defines at its top."""
    return [value for name, value in vars(module).items() if isinstance(value, Law) and not name.startswith("_")]


def get(name: str, convention: Mapping[str, str] = MappingProxyType({})) -> Law:
    """The law of this name; `BadInput` with the valid names otherwise.

    Args:
      name: of a law.
      convention: of a fit, which says the parts of an input of several columns: {"share": "web,code"}.
    """
    if name not in LAWS:
        raise unknown("law", name, LAWS)
    law = LAWS[name]
    several = [INPUTS[key].column for key in law.inputs if INPUTS[key].many]
    if law.of_parts is None or not several or several[0] not in convention:
        return law
    return _of_parts(law, tuple(convention[several[0]].split(",")))


@lru_cache(maxsize=64)
def _of_parts(law: Law, parts: tuple[str, ...]) -> Law:
    """One law for equal parts, so that what is compiled for it serves again."""
    assert law.of_parts is not None
    return law.of_parts(parts)


for _package in (curves, points):
    for _module in iter_modules(_package.__path__, f"{_package.__name__}."):
        register(of_module(import_module(_module.name)))
