"""The loss laws by name and what each reads, for code that must not load JAX."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol


class Shape(Protocol):
    """What `jaxlaws.laws.base.Law` and `Reads` both say of a law: its kind, inputs and constants."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def inputs(self) -> tuple[str, ...]: ...
    @property
    def names(self) -> tuple[str, ...]: ...


class Reads(NamedTuple):
    """A loss law as far as it can be said without JAX, with the attributes of `jaxlaws.laws.base.Law`.

    Attributes:
      name: of the law.
      kind: `point` or `curve`.
      inputs: what it reads.
      names: its constants.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    names: tuple[str, ...]


#: Every loss law, in the order of `jaxlaws.laws.table.LAWS`.
LOSS_LAWS: Mapping[str, Reads] = {
    name: Reads(name, kind, tuple(inputs.split()), tuple(constants.split()))
    for name, kind, inputs, constants in (
        ("multi_power", "curve", "S drop lr_sum log_lr", "L0 A alpha B C beta gamma"),
        ("annealing", "curve", "S drop steps", "L0 A alpha C lambda"),
        ("annealing_size", "curve", "S drop steps N", "L0 A alpha B beta C gamma lambda"),
        ("opl", "curve", "S", "L0 A alpha"),
        ("lldl", "curve", "S lr peak", "L0 A alpha B"),
        ("bound", "curve", "S V", "L0 A B alpha"),
        ("chinchilla", "point", "N D", "E A B alpha beta"),
        ("kaplan", "point", "N D", "N_c D_c alpha_N alpha_D"),
        ("critical_batch", "point", "N B steps", "N_c alpha_N S_c alpha_S B_star alpha_B"),
        ("farseer", "point", "N D", "a3 b3 gamma a2 b2 beta a1 b1 alpha"),
    )
}
LAW_NAMES = tuple(LOSS_LAWS)
