"""Settings that the other settings of a run leave without effect: they are refused, never ignored. No JAX."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from jaxlaws.data.config import reads as data_reads
from jaxlaws.errors import BadInput
from jaxlaws.hyper import reads as optimizer_reads
from jaxlaws.model.shape import reads as model_reads
from jaxlaws.schedules.config import WINS, family
from jaxlaws.schedules.spec import reads as schedule_reads
from jaxlaws.text import brief

if TYPE_CHECKING:
    from jaxlaws.config import RunConfig


def refuse_unread(runs: Sequence[RunConfig], given: Collection[str] = ()) -> None:
    """Raises `BadInput` for a setting that was made and that changes nothing.

    A setting that is one for all the runs has to be read by at least one of them; one that differs between runs has to
    be read by every run that has it. What a field is by default is no setting, unless it is given; null never is one.

    Args:
      runs: of one sweep.
      given: keys that were given by name for all of them.
    """
    without: dict[str, list[tuple[Any, Any, str]]] = {}
    for run in runs:
        for key, default, why in unread(run):
            without.setdefault(key, []).append((value_of(run, key), default, why))
    for key, rows in without.items():
        nobody, one = len(rows) == len(runs), len({repr(value_of(run, key)) for run in runs}) == 1
        for value, default, why in rows:
            made = value is not None and (value != default or (key in given and nobody))
            if made and (nobody or not one):
                raise BadInput(f"{key} is {brief(value)} without effect: {why}; leave it out.")


def unread(run: RunConfig) -> Iterator[tuple[str, Any, str]]:
    """(key, the value that it has where nobody sets it, why the run does not read it) of every such field."""
    choices: dict[str, tuple[Any, ...]] = {
        "schedule": (
            run.schedule,
            run.schedule.name,
            schedule_reads(run.schedule.name),
            family(run.schedule.name).fields,
        ),
        "optimizer": (run.optimizer, run.optimizer.name, optimizer_reads(run.optimizer.name), {}),
        "data": (run.data, run.data.source, data_reads(run.data.source), {}),
        "model": (run.model, run.model.parameterisation, model_reads(run.model.parameterisation), {}),
    }
    for group, (config, choice, read, defaults) in choices.items():
        for item in fields(config):
            if item.name not in read:
                what = "parameterisation" if group == "model" else group
                why = f"{what}={choice} does not read it (it reads {', '.join(sorted(read))})"
                yield f"{group}.{item.name}", item.default, why
            elif item.name in WINS and getattr(config, WINS[item.name], None) is not None:
                default = defaults.get(item.name, item.default)
                yield f"{group}.{item.name}", default, f"{group}.{WINS[item.name]} is given, which wins over it"
    if run.eval.every is not None:
        yield "eval.points", type(run.eval)().points, "eval.every is given, which wins over it"


def value_of(run: RunConfig, key: str) -> Any:
    """The value of a dotted key."""
    group, _, name = key.partition(".")
    return getattr(getattr(run, group), name)
