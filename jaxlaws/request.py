"""What the arguments of `jaxlaws train` ask for, composed and checked before Hydra starts, and where runs go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from jaxlaws.compose import OURS, PRIMARY, Sources, check_hidden, composed, named_files, options
from jaxlaws.config import EngineConfig, SweepConfig, check, check_settings, run_config
from jaxlaws.errors import BadInput
from jaxlaws.overrides import (
    check_key,
    is_plain,
    most_runs,
    on_copy,
    one_sentence,
    parse,
    resolved,
    rivals,
    typed,
)
from jaxlaws.sweep.space import Interval, Values, values
from jaxlaws.text import brief, in_quotes

#: Settings that make a sweep of one run, and others that only a sweep has.
_MULTIPLIES = ("sweep.replicates", "sweep.samples", "sweep.zip")
_OF_SWEEPS = ("sweep.name", "sweep.method", "sweep.sample_seed")
#: Hydra's directories → of what they are.
_PLACES = {"hydra.run.dir": "a single run", "hydra.sweep.dir": "a sweep"}


class Request(NamedTuple):
    """What is asked for.

    Attributes:
      parsed: the overrides.
      config: of the first run, resolved.
      places: Hydra's directories of runs and of sweeps, '.' where nobody asks for another.
      params: keys that a config sweeps in all of its runs, by `hydra.sweeper.params`.
      multirun: whether a config or an override makes it a sweep.
    """

    parsed: list[Any]
    config: dict[str, Any]
    places: dict[str, str]
    params: list[str]
    multirun: bool

    @property
    def given(self) -> frozenset[str]:
        """The keys that were given by name for all the runs."""
        return frozenset([*(item.key_or_group for item in self.parsed), *self.params])

    def arguments(self) -> list[str]:
        """The overrides for Hydra, with what they replace."""
        return [_for_hydra(item) for item in self.parsed] + _replaced(self.parsed)

    def destination(self, recipe: str | None, multirun: bool) -> str:
        """The directory of the runs: as named, or else runs, or sweeps/<name of the sweep>, never after the clock.

        Args:
          recipe: the name of the sweep's recipe, if it has one.
          multirun: whether a flag makes it a sweep.
        """
        swept = [item.key_or_group for item in self.parsed if item.is_sweep_override()]
        swept += [
            item.key_or_group
            for item in self.parsed
            if item.key_or_group in _MULTIPLIES and item.value() not in (1, [])
        ]
        names = {item.key_or_group for item in self.parsed if not item.is_sweep_override()}
        sweep = multirun or self.multirun
        if swept and not sweep:
            raise BadInput(f"{swept[0]} has several values, which makes a sweep: add -m.")
        if several := {"out", "sweep"} & set(swept):
            fault = "is not the same for all runs of the sweep, expected one value: do not sweep it"
            raise BadInput(f"{several.pop()} {fault}.")
        for key in _OF_SWEEPS if not sweep else ():
            if key in names:
                raise BadInput(f"{key} is of a sweep, and this is a single run: add -m, or leave it out.")
        ours, other = ("hydra.sweep.dir", "hydra.run.dir") if sweep else ("hydra.run.dir", "hydra.sweep.dir")
        if other in names:
            raise BadInput(f"{other} is of {_PLACES[other]}, and this is {_PLACES[ours]}: give out=DIR.")
        folders = {"out": self.config["out"], ours: self.places[ours] if self.places[ours] != "." else None}
        if name := self.config["sweep"]["name"] if sweep else None:
            folders["sweep.name"] = f"sweeps/{name}"
        first = [key for key in folders if key in names] or [key for key in folders if folders[key] is not None]
        if len({folders[key] for key in first}) > 1:
            raise BadInput(f"{' and '.join(first)} name different directories: leave one out.")
        if first:
            return folders[first[0]] or ""
        keys = [key.rpartition(".")[2].lstrip("+") for key in (*swept, *self.params)]
        return f"sweeps/{recipe or '-'.join(dict.fromkeys(keys)) or 'one'}" if sweep else "runs"


def checked(texts: Sequence[str], sources: Sources = OURS) -> Request:
    """What overrides ask for, after a check of every key, choice and value; `BadInput` says what is wrong, if anything.

    The first value of every swept key is composed into a config and that run is checked; the others are checked in
    their turn, before anything is written.

    Args:
      texts: the overrides.
      sources: where configs come from.
    """
    from hydra.types import RunMode
    from omegaconf import OmegaConf, open_dict

    most = most_runs(texts)
    parsed = parse([named_files(text) for text in texts], most)
    sources = _with_search_path(parsed, sources).check()
    default = composed((), sources if sources.name != PRIMARY else OURS).hydra.runtime.choices
    parsed = [_added(item, default, sources, most) for item in parsed]
    first = [_checked_first(item, sources, most) for item in parsed if item.key_or_group != "hydra.searchpath"]
    plain = [item for item in first if is_plain(item)]
    base = composed(tuple(item.input_line for item in first if item not in plain), sources)
    check_hidden(base.hydra.runtime.choices, sources)
    whole = on_copy(base, parse(_replaced(first), most) + plain)
    with one_sentence("Hydra's settings do not resolve"):
        places = {key: str(OmegaConf.select(whole, key)) for key in _PLACES}
        sweeper: Any = OmegaConf.to_container(whole.hydra.sweeper, resolve=True)
        params, cells = sweeper["params"] or {}, sweeper["cells"] or []
        multirun = whole.hydra.mode == RunMode.MULTIRUN
    for block in [params, *cells]:
        for item in parse(typed(block), most):
            _checked_first(item, sources, most)
    with open_dict(whole):
        del whole["hydra"]
    config = resolved(whole)
    check_settings(SweepConfig(**config["sweep"]), EngineConfig(**config["engine"]))
    if not (params or cells):
        check(run_config(config))
    return Request(parsed, config, places, list(params), multirun)


def _replaced(items: Sequence[Any]) -> list[str]:
    """`key=null` of what the overrides replace."""
    return [f"{key}=null" for key in rivals({item.key_or_group: _is_null(item) for item in items})]


def _is_null(item: Any) -> bool:
    return not item.is_sweep_override() and item.value() is None


def _with_search_path(parsed: Sequence[Any], sources: Sources) -> Sources:
    for item in parsed:
        if item.key_or_group == "hydra.searchpath":
            if not isinstance(item.value(), list):
                raise BadInput("hydra.searchpath is no list, expected 'hydra.searchpath=[file://DIR]'.")
            sources = replace(sources, searchpath=tuple(map(str, item.value())))
    return sources


def _added(item: Any, default: Mapping[str, Any], sources: Sources, most: int) -> Any:
    """The override, with a + before a choice of a group of which no run has one by default, and what a glob matches."""
    from hydra.core.override_parser.types import ValueType

    group = item.key_or_group
    if f"{group}.".startswith("hydra.sweeper.params.") and not item.is_delete():
        value = item.input_line.partition("=")[2]
        return parse([f"++{group}={in_quotes(value) if item.is_sweep_override() else value}"], most)[0]
    if item.value_type == ValueType.GLOB_CHOICE_SWEEP and (names := item.value().filter(options(group, sources))):
        item = parse([f"{item.get_key_element()}={','.join(names)}"], most)[0]
    if group in default or item.get_key_element() != group or not options(group, sources):
        return item
    return parse([f"+{item.input_line}"], most)[0]


def _checked_first(item: Any, sources: Sources, most: int) -> Any:
    """The override with the first of its swept values, after a check of its key and of every choice."""
    with one_sentence(f"'{brief(item.input_line)}' cannot be swept over, expected values, range() or interval()"):
        swept: Values = values(item)
    check_key(item, lambda group: options(group, sources), [item.input_line] if isinstance(swept, Interval) else swept)
    if not item.is_sweep_override():
        return item
    return parse([f"{item.get_key_element()}={swept.at(0.0) if isinstance(swept, Interval) else swept[0]}"], most)[0]


def _for_hydra(item: Any) -> str:
    """The override as Hydra's own grammar has it, which lacks `logspace`."""
    if item.is_choice_sweep() and "logspace(" in item.input_line:
        return f"{item.get_key_element()}={','.join(item.sweep_string_iterator())}"
    return item.input_line
