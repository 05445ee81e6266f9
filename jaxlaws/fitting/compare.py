"""Fits side by side, by their errors on runs that they were not fitted to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jaxlaws.errors import BadInput, unknown
from jaxlaws.fitting.result import LossFit

#: Kinds of held-out error, the most telling first, and what they are.
KINDS = {
    "test": "runs that were named to be held out",
    "extrapolation": "the largest fifth of the runs, predicted from the others",
    "leave_one_run_out": "every run, predicted from the others",
}
#: Errors to rank by: the lower the better.
METRICS = ("mae", "rmse", "pred_e", "worst_e")


class Comparison(NamedTuple):
    """Fits ranked by one held-out error.

    Attributes:
      kind: of the error, from `KINDS`.
      by: metric, from `METRICS`.
      ranking: names, the best first; empty where the fits cannot be compared.
      rows: name → law, noise, status, constants, the errors of every kind, the ratio to the best, and on how many of
        the curves that all hold out it is the best.
      warnings: sentences for people.
    """

    kind: str
    by: str
    ranking: tuple[str, ...]
    rows: Mapping[str, Mapping[str, Any]]
    warnings: tuple[str, ...]


def compare(fits: Mapping[str, LossFit], by: str = "mae", kind: str | None = None) -> Comparison:
    """Rank fits of the same data and split by a held-out error.

        >>> import jaxlaws
        >>> asked = {"train": ["cosine", "constant", "wsd"], "bootstrap": 0, "starts": 4}
        >>> fits = {law: jaxlaws.fit(law, "sweeps/schedules", **asked) for law in ("opl", "multi_power")}
        >>> jaxlaws.compare(fits).ranking
        ('multi_power', 'opl')

    Args:
      fits: name → fit, two or more.
      by: metric.
      kind: of the error; without it the first of `KINDS` that every fit has.

    Raises:
      BadInput: fewer than two fits, an unknown metric or kind, or no held-out error that all of them have.
    """
    if by not in METRICS:
        raise unknown("metric", by, METRICS)
    if kind is not None and kind not in KINDS:
        raise unknown("held-out error", kind, KINDS)
    if not isinstance(fits, Mapping):
        raise BadInput(
            f"compare got a {type(fits).__name__}, expected names with their fits, as {{'a': one, 'b': other}}."
        )
    if len(fits) < 2:
        raise BadInput(f"compare got {len(fits)} of them, expected at least two different ones.")
    kind = kind or _shared_kind(fits)
    for name, fit in fits.items():
        if by not in fit.held_out.get(kind, {}):
            raise BadInput(f"the fit {name} has no held-out error '{kind}', it has {_kinds(fit)}: {_REMEDY}")
    errors = {name: float(fit.held_out[kind][by]) for name, fit in fits.items()}
    warnings = _incomparable(fits)
    ranking = () if warnings else tuple(sorted(errors, key=errors.__getitem__))
    wins = _wins(fits, by) if kind == "test" and ranking else {}
    least = min(errors.values())
    rows = {
        name: {
            "law": fit.law,
            "noise": fit.noise,
            "status": fit.status,
            "constants": len(fit.params),
            "held_out": {key: dict(fit.held_out[key]) for key in (*KINDS, "gaps") if fit.held_out.get(key)},
            "ratio_to_best": errors[name] / least if ranking and least > 0 else None,
            "curves_won": wins.get(name),
        }
        for name, fit in fits.items()
    }
    warnings += [f"{name} is {fit.status.replace('_', ' ')}." for name, fit in fits.items() if not fit.trusted]
    return Comparison(kind, by, ranking, rows, tuple(warnings))


_REMEDY = "hold runs out with jaxlaws fit … --train A,B,…"


def _shared_kind(fits: Mapping[str, LossFit]) -> str:
    for kind in KINDS:
        if all(fit.held_out.get(kind) for fit in fits.values()):
            return kind
    kinds = "; ".join(f"{name} has {_kinds(fit)}" for name, fit in fits.items())
    raise BadInput(f"the fits share no held-out error ({kinds}): {_REMEDY}")


def _kinds(fit: LossFit) -> str:
    return ", ".join(kind for kind in KINDS if fit.held_out.get(kind)) or "none"


def _incomparable(fits: Mapping[str, LossFit]) -> list[str]:
    """Why the errors are not of the same losses, if they are not."""
    for key, text in (
        ("digest", "the fits were made on different data, their errors are not ranked: fit all laws to one SOURCE."),
        ("train", "the fits hold out different runs, their errors are not ranked: give them the same --train."),
        ("points", "the fits read different losses of these runs, their errors are not ranked."),
    ):
        if len({_frozen(fit.data.get(key)) for fit in fits.values()}) > 1:
            return [text]
    losses = sorted({fit.convention.get("loss", "") for fit in fits.values()})
    if len(losses) > 1:
        return [f"the fits are of {' and '.join(losses)}, their errors are not ranked: give them the same --target."]
    return []


def _frozen(value: Any) -> Any:
    return tuple(sorted(value)) if isinstance(value, Sequence) and not isinstance(value, str) else value


def _wins(fits: Mapping[str, LossFit], by: str) -> dict[str, int]:
    """On how many of the held-out curves each fit has the lowest error."""
    test = [
        {run for run, curve in fit.curves.items() if curve["split"] == "test" and curve.get(by) is not None}
        for fit in fits.values()
    ]
    shared = set.intersection(*test)
    if not shared:
        return {}
    errors = [{name: fit.curves[run][by] for name, fit in fits.items()} for run in shared]
    best = [min(one, key=one.__getitem__) for one in errors]
    return {name: best.count(name) for name in fits}
