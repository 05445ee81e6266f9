"""A fit of a loss law as a value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from jaxlaws.fits import Fit, shared_checks
from jaxlaws.plugins import REMEDY
from jaxlaws.records import json_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table

    from jaxlaws.laws.law import Law
    from jaxlaws.records.arrays import Data

#: Held-out errors of which a terminal shows one line, and curves that it shows at most.
_LINES = ("test", "leave_one_run_out", "extrapolation")
_CURVES = 40


@dataclass(frozen=True, kw_only=True, repr=False)
class LossFit(Fit):
    """A loss law with fitted constants.

    Attributes:
      convention: what the constants mean (warm-up, N, loss, batch); a prediction under another one is refused.
      noise: name of the noise model.
      objective: of the noise model, at the optimum.
      objective_plain: Σ Huber(ln L − ln L̂), δ = 1e-3, of the same constants.
      starts, starts_agreeing: how many random starts, and the share within 1e-6 of the best objective.
      curves: run → split (train, test, -), r2, mae, rmse, pred_e, worst_e.
      held_out: `test`, `leave_one_run_out`, `extrapolation`, `gaps`, `decay_gaps`.
      diagnostics: gradient, condition number, bounds, unidentified directions, next basin, δ, resamples.
      scatter: of a new run about the law: `offset` sd of a run, `quantiles` of ln L − ln L̂ of a point.
      form_error: of the law outside its data (`jaxlaws.fitting.forward`): `sd`, quantiles of the sd of ln L for each
        factor of e outside, and the `folds` that they were learned from, 0 where they are the prior's; empty for
        published constants, and for a law without a size.
      ranges: of curves also `lowest_share` and `steepest_drop`, what their schedules went through.
    """

    kind: ClassVar[str] = "jaxlaws.fit"
    required: ClassVar[Sequence[str]] = ("law", "convention", "noise", "params", "status")
    written_by: ClassVar[str] = "a fit of a loss law that `jaxlaws fit LAW … -o` wrote"

    noise: str
    objective: float | None = None
    objective_plain: float | None = None
    starts: int = 0
    starts_agreeing: float = 1.0
    curves: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    diagnostics: Mapping[str, Any] = field(default_factory=dict)
    scatter: Mapping[str, Any] = field(default_factory=dict)
    form_error: Mapping[str, Any] = field(default_factory=dict)

    @property
    def formula(self) -> str:
        """The law with the fitted numbers in place of its constants."""
        return self.model.written(self.params)

    @property
    def model(self) -> Law:
        """The law itself."""
        from jaxlaws.laws.table import get

        return get(self.law, self.convention)

    @property
    def meanings(self) -> Mapping[str, str]:
        """Constant → what it is, with its unit."""
        return {parameter.name: parameter.meaning for parameter in self.model.parameters}

    def details(self) -> Iterable[str | Table]:
        """How the search ended, the errors of every curve, and those on what was left out."""
        if self.objective is None:
            return
        yield (
            f"{self.data['points']} points of {self.data['runs']} runs, noise {self.noise}, "
            f"objective {self.objective:.6g} (plain Huber {self.objective_plain:.6g}), "
            f"{self.starts_agreeing:.0%} of {self.starts} starts agree; intervals: {self.resampling}"
        )
        if self.curves:
            yield self._table_of_curves()
        for kind in _LINES[1:] if self.curves else _LINES:
            if errors := self.held_out.get(kind):
                worst = f"worst {errors['worst_e']:.2%}"
                yield f"{kind.replace('_', ' ')}: mean error {errors['mae']:.4f} nats, {worst}"
        if gaps := self.held_out.get("gaps"):
            yield (
                f"gaps between schedules: mean error {gaps['mae']:.4f} nats over {gaps['pairs']} pairs "
                f"(measured gaps average {gaps['mean_measured']:.4f})"
            )

    def _table_of_curves(self) -> Table:
        from rich.table import Table

        from jaxlaws.fitting.score import METRICS

        table = Table()
        for name in ("curve", "split", *METRICS):
            table.add_column(name, justify="left" if name in ("curve", "split") else "right")
        rows = [(name, curve["split"], curve) for name, curve in self.curves.items()]
        rows = sorted(rows, key=lambda row: row[1] == "test")[:_CURVES]
        if "test" in self.held_out:
            rows.append(("mean of test", "", self.held_out["test"]))
        for name, split, errors in rows:
            numbers = ("–" if errors[metric] is None else f"{errors[metric]:.5f}" for metric in METRICS)
            table.add_row(name, split, *numbers)
        return table

    def figure(self, runs: Data | None) -> Figure:
        """Measured against predicted losses of runs; without them the constants with their intervals."""
        if runs is None:
            return super().figure(None)
        from jaxlaws.fitting.figures import residuals

        return residuals(self, runs)

    @classmethod
    def checks(cls) -> dict[str, json_file.Check]:
        """Field of a file → its check; `law` and `convention` come first and say which constants the others name."""
        from jaxlaws.laws.table import LAWS, get

        c, some_number = json_file, json_file.optional(json_file.number)
        law: list[Law] = []

        def law_name(value: Any, name: str) -> str:
            if value not in LAWS:
                raise c.Wrong(name, value, f"one of {', '.join(LAWS)}, and {REMEDY}")
            law.append(LAWS[value])
            return law[0].name

        def convention(value: Any, name: str) -> Mapping[str, str]:
            meaning = c.mapping(c.text)(value, name)
            law.append(get(law[0].name, meaning))
            return meaning

        shared = shared_checks(lambda: law[-1].names)

        def params(value: Any, name: str) -> Mapping[str, Any]:
            for parameter in law[-1].parameters:
                one = c.between(0, 1e308 if parameter.link == "log" else 1)
                if parameter.link != "real" and isinstance(value, Mapping) and parameter.name in value:
                    one(value[parameter.name], f"{name}.{parameter.name}")
            return shared["params"](value, name)

        def scatter(value: Any, name: str) -> Mapping[str, Any]:
            if value == {}:
                return {}
            size = c.between(0, 1e308)
            return c.record(sigma=size, offset=size, size=size, quantiles=c.sequence(c.number))(value, name)

        def form_error(value: Any, name: str) -> Mapping[str, Any]:
            size = c.between(0, 1e308)
            return {} if value == {} else c.record(sd=c.sequence(size), folds=c.between(0, 1e9))(value, name)

        first = {"law": law_name, "convention": convention, "noise": c.text}
        own = {
            "params": params,
            "objective": some_number,
            "objective_plain": some_number,
            "starts": c.between(0, 1e9),
            "starts_agreeing": c.between(0, 1),
            "curves": c.mapping(c.mapping(c.anything)),
            "held_out": c.mapping(c.mapping(c.anything)),
            "diagnostics": c.mapping(c.anything),
            "scatter": scatter,
            "form_error": form_error,
        }
        return {**first, **{key: check for key, check in shared.items() if key not in first}, **own}
