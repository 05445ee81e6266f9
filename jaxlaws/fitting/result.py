"""A fit as a value: plain data that saves to a small JSON file and loads on any machine without pandas or JAX."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxlaws.plugins import REMEDY
from jaxlaws.records import json_file
from jaxlaws.records.files import write_atomic
from jaxlaws.status import STATUSES, TRUSTED

if TYPE_CHECKING:
    from jaxlaws.laws.law import Law

KIND = "jaxlaws.fit"


@dataclass(frozen=True)
class Fit:
    """A law with constants fitted to data, and what the data say about them.

    Attributes:
      law: name in the table of laws.
      convention: what the constants mean (warm-up, N, loss, batch); a prediction under another one is refused.
      noise: name of the noise model.
      params: constants by name, full precision.
      objective: of the noise model, at the optimum.
      objective_plain: Σ Huber(ln L − ln L̂), δ = 1e-3, of the same constants.
      intervals: name → [low, high] at `level`.
      level: of the intervals.
      resampling: how they were made.
      status: one of `jaxlaws.status.STATUSES`, the gravest that a finding asks for.
      findings: what the checks found, each with `status`, `what` and `remedy`.
      starts, starts_agreeing: how many random starts, and the share within 1e-6 of the best objective.
      warnings: sentences for people.
      curves: run → split (train, test, -), r2, mae, rmse, pred_e, worst_e.
      held_out: errors where data were left out: `test`, `leave_one_run_out`, `extrapolation`, `gaps`, `decay_gaps`.
      diagnostics: gradient, condition number, bounds, unidentified directions, next basin, δ, resamples.
      scatter: of a new run about the law: `offset` sd of a run, `quantiles` of ln L − ln L̂ of a point.
      draws: name → resampled values of the constant; the same place of every name is one resample.
      ranges: axis of `jaxlaws.extrapolation` → [low, high] of the data; of curves also `lowest_share` and
        `steepest_drop`, what their schedules went through.
      data: source, digest and counts.
      versions: of what computed it.
    """

    law: str
    convention: Mapping[str, str]
    noise: str
    params: Mapping[str, float]
    objective: float | None = None
    objective_plain: float | None = None
    intervals: Mapping[str, Sequence[float]] = field(default_factory=dict)
    level: float = 0.9
    resampling: str = "none"
    status: str = "converged"
    findings: Sequence[Mapping[str, str]] = ()
    starts: int = 0
    starts_agreeing: float = 1.0
    warnings: Sequence[str] = ()
    curves: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    held_out: Mapping[str, Any] = field(default_factory=dict)
    diagnostics: Mapping[str, Any] = field(default_factory=dict)
    scatter: Mapping[str, Any] = field(default_factory=dict)
    draws: Mapping[str, Sequence[float]] = field(default_factory=dict)
    ranges: Mapping[str, Sequence[float]] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def trusted(self) -> bool:
        """Whether the constants may be used without `--force`."""
        return self.status in TRUSTED

    @property
    def formula(self) -> str:
        """The law with the fitted numbers in place of its constants."""
        return self.model.written(self.params)

    @property
    def model(self) -> Law:
        """The law itself."""
        from jaxlaws.laws.table import get

        return get(self.law, self.convention)

    def rows(self) -> list[list[float]]:
        """[1 + resamples, constants] in the order of `params`: the fitted constants first, then every resample."""
        drawn = zip(*(self.draws[name] for name in self.params), strict=True) if self.draws else ()
        return [list(self.params.values()), *map(list, drawn)]

    def to_json(self) -> dict[str, Any]:
        """Plain data, every number at full precision."""
        return {"kind": KIND, "formula": self.formula, **asdict(self)}

    def text(self) -> str:
        """The text of its JSON file."""
        return json.dumps(self.to_json(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def save(self, path: str | Path) -> None:
        """Write the JSON file in one step: a reader sees the old file or the whole new one."""
        write_atomic(path, self.text())

    @classmethod
    def load(cls, path: str | Path) -> Fit:
        """The fit in a JSON file; `BadInput` where it is none, or where a field is not what it has to be."""
        return cls(**json_file.read(path, KIND, _checks(), ("law", "convention", "noise", "params", "status"), WRITTEN))


WRITTEN = "a fit of a loss law that `jaxlaws fit LAW … -o` wrote"


def _checks() -> dict[str, json_file.Check]:
    """Field of a fit → its check; `law` and `convention` come first and say which constants the others must name."""
    from jaxlaws.laws.table import LAWS, get

    c, some_number = json_file, json_file.optional(json_file.number)
    law: list[Law] = []

    def known(value: Any, name: str) -> str:
        if value not in LAWS:
            raise c.Wrong(name, value, f"one of {', '.join(LAWS)}, and {REMEDY}")
        law.append(LAWS[value])
        return law[0].name

    def convention(value: Any, name: str) -> Mapping[str, str]:
        meaning = c.mapping(c.text)(value, name)
        law.append(get(law[0].name, meaning))
        return meaning

    def constants(check: c.Check, of_all: bool = True) -> c.Check:
        def checked(value: Any, name: str) -> Mapping[str, Any]:
            return c.keys(c.mapping(check)(value, name), name, law[-1].names, of_all)

        return checked

    def draws(value: Any, name: str) -> Mapping[str, Any]:
        return c.same_length(constants(c.sequence(c.number))(value, name), name) if value else {}

    def positive(value: Any, name: str) -> Mapping[str, Any]:
        for parameter in law[-1].parameters:
            one = c.between(0, 1e308 if parameter.link == "log" else 1)
            if parameter.link != "real" and isinstance(value, Mapping) and parameter.name in value:
                one(value[parameter.name], f"{name}.{parameter.name}")
        return constants(c.number)(value, name)

    def scatter(value: Any, name: str) -> Mapping[str, Any]:
        if value == {}:
            return {}
        size = c.between(0, 1e308)
        return c.record(sigma=size, offset=size, size=size, quantiles=c.sequence(c.number))(value, name)

    return {
        "law": known,
        "convention": convention,
        "noise": c.text,
        "params": positive,
        "objective": some_number,
        "objective_plain": some_number,
        "intervals": constants(c.pair, of_all=False),
        "level": c.between(0, 1, ends=False),
        "resampling": c.text,
        "status": c.one_of(tuple(STATUSES)),
        "findings": c.sequence(c.record(status=c.one_of(tuple(STATUSES)), what=c.text, remedy=c.text)),
        "starts": c.between(0, 1e9),
        "starts_agreeing": c.between(0, 1),
        "warnings": c.sequence(c.text),
        "curves": c.mapping(c.mapping(c.anything)),
        "held_out": c.mapping(c.mapping(c.anything)),
        "diagnostics": c.mapping(c.anything),
        "scatter": scatter,
        "draws": draws,
        "ranges": c.mapping(c.pair),
        "data": c.mapping(c.anything),
        "versions": c.mapping(c.text),
    }
