"""What every fit is: constants with intervals and a status, as plain data in one JSON file.

A fit of a loss law (`jaxlaws.fitting.result.LossFit`) and one of LR and batch (`jaxlaws.recommender.hyperfit.HyperFit`)
add what is their own. Loads no numpy, pandas or JAX, so that advice starts fast.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import import_module
from numbers import Integral
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from jaxlaws import __version__
from jaxlaws.errors import BadInput
from jaxlaws.records import json_file
from jaxlaws.records.files import write_atomic
from jaxlaws.status import STATUSES, TRUSTED
from jaxlaws.text import printable

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from rich.table import Table

    from jaxlaws.records.arrays import Data
    from jaxlaws.records.table import Runs

#: Field `kind` of a file → the module and the class of its fits, loaded when such a file is.
KINDS = {
    "jaxlaws.fit": ("jaxlaws.fitting.result", "LossFit"),
    "hyper_law": ("jaxlaws.recommender.hyperfit", "HyperFit"),
}
#: Most starts and resamples of a fit.
MOST = 100_000
_ANY = "a fit that `jaxlaws fit LAW … -o` wrote"


def check_count(name: str, value: Any, least: int) -> None:
    """`BadInput` for what is no number of starts or resamples."""
    if not isinstance(value, Integral) or not least <= int(value) <= MOST:
        raise BadInput(f"{name} is {value}, expected a whole number from {least} to {MOST:,}.")


@dataclass(frozen=True, kw_only=True, repr=False)
class Fit:
    """A law with constants fitted to data, and what the data say about them.

    Attributes:
      law: name of the law.
      convention: what the constants mean.
      params: constants by name, full precision.
      intervals: name → [low, high] at `level`.
      level: of the intervals.
      resampling: how they were made.
      draws: name → resampled values of the constant; the same place of every name is one resample.
      status: one of `jaxlaws.status.STATUSES`, the gravest that a finding asks for.
      findings: what the checks found, each with `status`, `what` and `remedy`.
      warnings: sentences for people.
      held_out: errors where data were left out, by their kind.
      ranges: axis of `jaxlaws.extrapolation` → [low, high] of the data.
      data: source, digest and counts.
      versions: of what computed it.
    """

    #: Field `kind` of the files, the fields that a file must have, and what such a file is.
    kind: ClassVar[str]
    required: ClassVar[Sequence[str]]
    written_by: ClassVar[str]

    law: str
    convention: Mapping[str, Any]
    params: Mapping[str, float]
    intervals: Mapping[str, Sequence[float]] = field(default_factory=dict)
    level: float = 0.9
    resampling: str = "none"
    draws: Mapping[str, Sequence[float]] = field(default_factory=dict)
    status: str = "converged"
    findings: Sequence[Mapping[str, str]] = ()
    warnings: Sequence[str] = ()
    held_out: Mapping[str, Any] = field(default_factory=dict)
    ranges: Mapping[str, Sequence[float]] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def formula(self) -> str:
        """The law with the fitted numbers in place of its constants."""
        raise NotImplementedError

    @property
    def meanings(self) -> Mapping[str, str]:
        """Constant → what it is, with its unit."""
        raise NotImplementedError

    @classmethod
    def checks(cls) -> dict[str, json_file.Check]:
        """Field of a file → its check."""
        raise NotImplementedError

    @property
    def trusted(self) -> bool:
        """Whether the constants may be used without `--force`."""
        return self.status in TRUSTED

    def __repr__(self) -> str:
        """One line: `chinchilla: L = 1.8 + 482/N^0.35 + 2085/D^0.37, converged, 245 runs`."""
        runs = f"{self.data['runs']} runs" if "runs" in self.data else "published constants"
        return f"{self.law}: {self.formula}, {self.status.replace('_', ' ')}, {runs}"

    def rows(self) -> list[list[float]]:
        """[1 + resamples, constants] in the order of `params`: the fitted constants first, then every resample."""
        resamples = zip(*(self.draws[name] for name in self.params), strict=True) if self.draws else ()
        return [list(self.params.values()), *map(list, resamples)]

    def to_json(self) -> dict[str, Any]:
        """Plain data, every number at full precision."""
        return {"kind": self.kind, "formula": self.formula, **asdict(self)}

    def text(self) -> str:
        """The text of its JSON file."""
        return json.dumps(self.to_json(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def save(self, path: str | Path) -> None:
        """Write the JSON file in one step: a reader sees the old file or the whole new one."""
        write_atomic(path, self.text())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The fit in a JSON file, `Fit.load` of any kind; `BadInput` where it is none or a field is not what it has to
        be.
        """
        if cls is Fit:
            return cast(Self, _class_of(path).load(path))
        return cls(**json_file.read(path, cls.kind, cls.checks(), cls.required, cls.written_by))

    def to_frame(self) -> pd.DataFrame:
        """A row for each constant: its `value`, `low`, `high` at `level` (NaN without an interval) and `meaning`."""
        import pandas as pd

        nothing = (float("nan"),) * 2
        rows = [(value, *self.intervals.get(name, nothing), self.meanings[name]) for name, value in self.params.items()]
        index = pd.Index(list(self.params), name="constant")
        return pd.DataFrame(rows, index=index, columns=["value", "low", "high", "meaning"])

    def table(self) -> Table:
        """The constants with their intervals, as a terminal shows them."""
        from rich.table import Table

        table = Table()
        for name in ("", "value", f"{50 * (1 - self.level):.0f}%", f"{50 * (1 + self.level):.0f}%"):
            table.add_column(name, justify="right" if name else "left")
        for name, value in self.params.items():
            edges = self.intervals.get(name, (None, None))
            table.add_row(name, f"{value:.6g}", *("–" if edge is None else f"{edge:.4g}" for edge in edges))
        return table

    def details(self) -> Iterable[str | Table]:
        """What else a terminal shows of the fit: lines and tables."""
        return ()

    def plot(self, runs: Data | None = None, path: str | Path | None = None) -> Figure:
        """A figure of the fit, written to a file (PNG, SVG or PDF) where `path` is given.

        Args:
          runs: what it was fitted to, or others, in any form that `fit` takes: measured against predicted losses;
            without them the constants with their intervals. A law of LR and batch has its cells with it and reads none.
          path: of the file.

        Raises:
          BadInput: the file has another ending, or the law does not read these runs.
        """
        from jaxlaws import figures

        return figures.write(path, lambda: self.figure(runs))

    def figure(self, runs: Data | None) -> Figure:
        """The figure of `plot`: without runs the constants with their intervals."""
        from jaxlaws import figures

        return figures.constants(self.params, self.intervals, f"{self.law}, {self.level:.0%} intervals")


def _class_of(path: str | Path) -> type[Fit]:
    """The class of the fit in a file."""
    kind = json_file.kind_of(path, _ANY)
    if kind not in KINDS:
        raise BadInput(f"{printable(path)} is not a fit: expected {_ANY}.")
    module, name = KINDS[kind]
    return getattr(import_module(module), name)


def provenance(runs: Runs) -> dict[str, Any]:
    """What `Fit.data` says of where the runs are from."""
    return {
        "source": runs.source,
        "digest": runs.digest,
        "used": runs.usage.sentence() if runs.usage else "",
        "assumed": dict(runs.doubts),
    }


def versions(*modules: ModuleType) -> dict[str, str]:
    """Of jaxlaws, of modules, and of Python."""
    ours = {"jaxlaws": __version__, "python": platform.python_version()}
    return {**ours, **{module.__name__: module.__version__ for module in modules}}


def shared_checks(names: Callable[[], Sequence[str]]) -> dict[str, json_file.Check]:
    """Field that every fit has → its check.

    Args:
      names: of the constants, once `law` and `convention` have been read.
    """
    c = json_file

    def of_constants(check: json_file.Check, all: bool = True) -> json_file.Check:
        return lambda value, name: c.keys(c.mapping(check)(value, name), name, names(), all)

    def draws(value: Any, name: str) -> Mapping[str, Any]:
        return c.same_length(of_constants(c.sequence(c.number))(value, name), name) if value else {}

    return {
        "convention": c.mapping(c.anything),
        "params": of_constants(c.number),
        "intervals": of_constants(c.pair, all=False),
        "level": c.between(0, 1, ends=False),
        "resampling": c.text,
        "draws": draws,
        "status": c.one_of(tuple(STATUSES)),
        "findings": c.sequence(c.record(status=c.one_of(tuple(STATUSES)), what=c.text, remedy=c.text)),
        "warnings": c.sequence(c.text),
        "held_out": c.mapping(c.anything),
        "ranges": c.mapping(c.pair),
        "data": c.mapping(c.anything),
        "versions": c.mapping(c.text),
    }
