"""A fit as a value: plain data that saves to a small JSON file and loads on any machine without pandas or JAX."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from jaxlaws.errors import BadInput
from jaxlaws.records.files import write_atomic

KIND = "jaxlaws.fit"
_REQUIRED = ("law", "convention", "noise", "params", "status")


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
      status: `converged`, `not_converged` or `unidentified`.
      starts, starts_agreeing: how many random starts, and the share within 1e-6 of the best objective.
      warnings: sentences for people.
      curves: run → split (train, test, -), r2, mae, rmse, pred_e, worst_e.
      held_out: errors where data were left out: `test`, `leave_one_run_out`, `forward`, `gaps`, `decay_gaps`.
      diagnostics: gradient, condition number, bounds, unidentified directions, next basin, δ, resamples.
      scatter: of a new run about the law: `offset` sd of a run, `quantiles` of ln L − ln L̂ of a point.
      draws: resampled constants, one row each in the order of `params`.
      ranges: input → [low, high] of the data, and of the schedules that it saw.
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
    starts: int = 0
    starts_agreeing: float = 1.0
    warnings: Sequence[str] = ()
    curves: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    held_out: Mapping[str, Any] = field(default_factory=dict)
    diagnostics: Mapping[str, Any] = field(default_factory=dict)
    scatter: Mapping[str, Any] = field(default_factory=dict)
    draws: Sequence[Sequence[float]] = ()
    ranges: Mapping[str, Sequence[float]] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def trusted(self) -> bool:
        """Whether the constants may be used without a second look."""
        return self.status == "converged"

    def to_json(self) -> dict[str, Any]:
        """Plain data, every number at full precision."""
        return {"kind": KIND, **asdict(self)}

    def save(self, path: str | Path) -> None:
        """Write the JSON file in one step: a reader sees the old file or the whole new one."""
        write_atomic(path, json.dumps(self.to_json(), indent=1, ensure_ascii=False, allow_nan=False) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> Fit:
        """The fit in a JSON file; `BadInput` where it is not one."""
        path = Path(path)
        if not path.is_file():
            raise BadInput(f"{path} is not a file, expected a fit that `jaxlaws fit … -o {path.name}` wrote.")
        try:
            raw = json.loads(path.read_text())
        except (ValueError, OSError) as error:
            raise BadInput(f"{path} is not JSON ({error}), expected a fit that `jaxlaws fit -o` wrote.") from None
        if not isinstance(raw, dict) or raw.get("kind") != KIND or any(name not in raw for name in _REQUIRED):
            raise BadInput(f"{path} is not a fit of a loss law, expected a file that `jaxlaws fit LAW … -o` wrote.")
        known = {item.name for item in fields(cls)}
        return cls(**{name: value for name, value in raw.items() if name in known})
