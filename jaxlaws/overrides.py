"""Overrides as typed, `key=value`, parsed, checked and set on a config: whatever the text is, a config or one sentence.

Hydra composes the choices of config groups; every other value is set on a copy of that, as Hydra itself does it.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from jaxlaws.config import RIVALS, SweepConfig, TrainConfig, keys
from jaxlaws.errors import BadInput, unknown
from jaxlaws.records.units import parse_number, parse_positive
from jaxlaws.sweep.space import parser
from jaxlaws.text import brief, in_quotes

#: Characters of one override, at most: Hydra's parser takes seconds for more.
MOST_CHARACTERS = 20_000
#: Every key of a run, groups included.
KEYS = frozenset(keys(TrainConfig))
#: Config groups of which every run has one choice: `model=25k` picks conf/model/25k.yaml.
GROUPS = ("model", "data", "schedule", "optimizer")
#: How the names of choices that are files begin.
FILE = "file-"
#: Keys whose value is any text, a path or a name.
_TEXTS = ("out", "data.path", "schedule.file", "sweep.name")
_QUOTING = (
    "text with characters that mean something to Hydra is quoted for Hydra, and that once more for the shell: "
    "\"KEY='TEXT'\""
)
#: How OmegaConf names a key that a schema does not have.
_NO_KEY = re.compile(r"Key '[^']*' (?:is )?not in '[^']*'\s+full_key: (\S+)")
_IN_FILE = re.compile(r"In '([^']*)'")


@contextmanager
def one_sentence(what: str) -> Iterator[None]:
    """Turns whatever Hydra, OmegaConf or the parser raise into `BadInput`, which says what was being done."""
    try:
        yield
    except BadInput:
        raise
    except RecursionError:
        raise BadInput(f"{what}: it is nested too deeply.") from None
    except Exception as error:  # three libraries, each with errors of its own and Python's besides
        chain: list[BaseException] = [error]
        while (cause := chain[-1].__cause__) is not None and not type(cause).__module__.startswith("antlr4"):
            if cause in chain:  # OmegaConf raises errors from themselves
                break
            chain.append(cause)
        if isinstance(chain[-1], BadInput):
            raise chain[-1] from None
        if match := _NO_KEY.search(str(chain[-1])):
            file = _IN_FILE.match(str(error))
            raise no_key(match[1], f"{file[1]}.yaml" if file else "") from None
        first = next(iter(str(chain[-1]).strip().splitlines()), type(error).__name__)
        raise BadInput(f"{what}: {brief(first, 200).rstrip('.')}.") from None


def most_runs(arguments: Sequence[str]) -> int:
    """How many runs a sweep may have: `sweep.max_runs`, which is needed before anything is parsed."""
    numbers = [match[1] for text in arguments if (match := re.fullmatch(r"\+*sweep\.max_runs=(\d{1,9})", text))]
    return int(numbers[-1]) if numbers else SweepConfig().max_runs


def parse(texts: Sequence[str], most: int) -> list[Any]:
    """Hydra's `Override` of every text, which knows `logspace(LOW,HIGH,COUNT)` beside Hydra's own functions.

    Args:
      texts: KEY=VALUE, or KEY=VALUE,VALUE,…
      most: values that a key may be swept over.

    Raises:
      BadInput: no override, or one of too many values.
    """
    reader, parsed = parser(most), []
    for text in texts:
        if len(text) > MOST_CHARACTERS:
            raise BadInput(f"'{brief(text)}' has {len(text)} characters, expected at most {MOST_CHARACTERS}.")
        if any(char == "\0" or "\ud800" <= char <= "\udfff" for char in text):
            raise BadInput(f"'{brief(text)}' has characters that no file name or config can hold.")
        parsed.append(_parsed(reader, text))
    return parsed


def _parsed(reader: Any, text: str) -> Any:
    """The override; a key that takes any text has its value quoted where Hydra's grammar does not read it as it is."""
    key, _, value = text.partition("=")
    sentence = f"'{brief(text)}' is not an override, expected KEY=VALUE or KEY=VALUE,VALUE"
    if key.lstrip("+") in _TEXTS and "," not in value:
        with suppress(Exception):  # of the parser: the text is read in quotes then
            return reader.parse_override(text)
        with one_sentence(sentence):
            return reader.parse_override(f"{key}={in_quotes(value)}")
    with one_sentence(sentence if key.lstrip("+~") not in KEYS else f"{sentence} ({_QUOTING})"):
        return reader.parse_override(text)


def rivals(given: Mapping[str, bool]) -> list[str]:
    """The keys that no longer count, since others that are given say the same: `tokens` where `steps` is given.

    Args:
      given: the keys that are given in one place, on the command line or in a cell of a sweep → whether as null.
    """
    null = {key.lstrip("+"): nothing for key, nothing in given.items()}
    pairs = [pair for names in RIVALS for pair in (names, names[::-1])]
    return [old for new, old in pairs if not null.get(new, True) and old not in null]


def typed(settings: Any) -> list[str]:
    """The settings of a sweep's cell, or what it has for all cells, as overrides."""
    if not isinstance(settings, Mapping):
        raise BadInput(f"a cell of the sweep is '{brief(settings)}', expected settings such as seed: 0,1.")
    return [f"{key}={value}" for key, value in settings.items()]


def check_key(item: Any, options: Callable[[str], Sequence[str]], choices: Sequence[str]) -> None:
    """Raises `BadInput` for a key that there is not, or that cannot be used so.

    Args:
      item: a parsed override.
      options: config group → the names in it, empty for what is no group.
      choices: the names that the override gives, where its key is a group.
    """
    key, text = item.key_or_group, brief(item.input_line)
    if item.is_delete():
        raise BadInput(f"'{text}' takes a key away, expected KEY=VALUE: every key has a default, null where it may be.")
    if not key or item.package not in (None, "_global_"):
        raise BadInput(f"'{text}' is not an override, expected KEY=VALUE or KEY=VALUE,VALUE.")
    every = options(key)
    names = [name for name in every if not name.startswith(FILE)]
    wrong = [choice for choice in choices if choice not in every]
    if wrong and names:
        raise no_choice(key, wrong[0], names)
    if wrong and key not in KEYS and not key.startswith(("hydra.", "hydra/")):
        raise no_key(key)


def no_key(key: str, file: str = "") -> BadInput:
    """`BadInput` for a key that there is not, on the command line or in a file, with those that stand beside it."""
    where = f" in {brief(file)}" if file else ""
    if key.startswith("hydra."):
        return BadInput(
            f"unknown key of Hydra '{brief(key)}'{where}: jaxlaws train --cfg hydra prints those there are."
        )
    if file.startswith(f"{key}/"):
        return BadInput(
            f"{brief(file)} sets a block {brief(key)}, which no run has: begin it with '# @package _global_'."
        )
    parent = key.rpartition(".")[0]
    parent = parent if parent in KEYS else ""
    return unknown("config key", brief(key), (name for name in KEYS if name.rpartition(".")[0] == parent), where=where)


def no_choice(group: str, choice: str, names: Sequence[str]) -> BadInput:
    """`BadInput` for a choice that there is not; of model sizes with the two nearest."""
    hint = ""
    with suppress(BadInput):
        size = parse_positive(choice, group)
        sizes = {name: parse_number(name) for name in names if re.fullmatch(r"[\d.]+[kmbt]?", name)}
        near = sorted(sorted(sizes, key=lambda name: abs(math.log(sizes[name] / size)))[:2], key=sizes.__getitem__)
        if group == "model" and len(near) == 2:
            shape = " ".join(f"model.{name}=…" for name in ("width", "depth", "heads", "mlp_width"))
            hint = f"the nearest are '{near[0]}' and '{near[1]}', and any other shape is {shape};"
    return unknown(f"choice of {group}", brief(choice), names, hint)


def changed(config: Any, override: Any) -> None:
    """Set one plain override on a composed config."""
    from omegaconf import OmegaConf

    with one_sentence(f"'{brief(override.input_line)}' does not fit the config, which does not compose"):
        OmegaConf.update(config, override.key_or_group, override.value(), merge=True)


def is_plain(override: Any) -> bool:
    """Whether an override only sets the value of a key, so that nothing has to be composed again."""
    key = override.key_or_group
    plain = override.get_key_element() == key and key in KEYS and key not in GROUPS
    return plain and not isinstance(override.value(), dict)


def on_copy(base: Any, overrides: Sequence[Any]) -> Any:
    """A copy of a composed config with plain overrides set, in their order."""
    config = copy.deepcopy(base)
    for override in overrides:
        changed(config, override)
    return config


def resolved(config: Any) -> dict[str, Any]:
    """A composed config as plain values, every interpolation resolved and nothing missing."""
    from omegaconf import OmegaConf

    with one_sentence("the config does not resolve"):
        return OmegaConf.to_container(config, resolve=True, throw_on_missing=True)  # type: ignore[return-value]
