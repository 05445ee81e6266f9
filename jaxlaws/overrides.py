"""Overrides as typed, `key=value`, parsed, checked and set on a config: whatever the text is, a config or one sentence.

Hydra composes the choices of config groups; every other value is set on a copy of that, as Hydra itself does it.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from jaxlaws.config import SweepConfig, TrainConfig, keys
from jaxlaws.errors import BadInput, unknown
from jaxlaws.sweep.space import parser
from jaxlaws.text import brief

#: Characters of one override, at most: Hydra's parser takes seconds for more.
MOST_CHARACTERS = 20_000


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
        while chain[-1].__cause__ is not None and not type(chain[-1].__cause__).__module__.startswith("antlr4"):
            chain.append(chain[-1].__cause__)
        if isinstance(chain[-1], BadInput):
            raise chain[-1] from None
        first = next(iter(str(chain[-1]).strip().splitlines()), type(error).__name__)
        raise BadInput(f"{what}: {brief(first, 200).rstrip('.')}.") from None


def most_runs(arguments: Sequence[str]) -> int:
    """How many runs a sweep may have: `sweep.max_runs`, which is needed before anything is parsed."""
    given = [match[1] for text in arguments if (match := re.fullmatch(r"\+*sweep\.max_runs=(\d{1,9})", text))]
    return int(given[-1]) if given else SweepConfig().max_runs


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
        with one_sentence(f"'{brief(text)}' is not an override, expected KEY=VALUE or KEY=VALUE,VALUE"):
            parsed.append(reader.parse_override(text))
    return parsed


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
    if not key or item.package is not None:
        raise BadInput(f"'{text}' is not an override, expected KEY=VALUE or KEY=VALUE,VALUE.")
    if names := options(key):
        for choice in choices:
            if choice not in names:
                raise unknown(f"choice of {key}", brief(choice), names)
        return
    if key.startswith(("hydra.", "hydra/")):
        _check_hydra(key)
        return
    valid = set(keys(TrainConfig))
    if key not in valid:
        parent = key.rpartition(".")[0]
        parent = parent if parent in valid else ""
        raise unknown("config key", brief(key), (name for name in valid if name.rpartition(".")[0] == parent))


#: Keys of Hydra's own → what to say instead.
_INSTEAD = {
    "hydra.run.dir": "the directory of runs is out=DIR",
    "hydra.sweep.dir": "the directory of a sweep is out=DIR",
    "hydra.sweep.subdir": "every run has a directory of its own in out=DIR",
    "hydra.mode": "a sweep is asked for with -m",
}


def _check_hydra(key: str) -> None:
    if not key.startswith("hydra.launcher."):
        told = _INSTEAD.get(key, "expected hydra/launcher=NAME or hydra.launcher.KEY=VALUE, or a key without hydra")
        raise BadInput(f"{brief(key)} has no effect here: {told}.")


def changed(config: Any, override: Any) -> None:
    """Set one plain override on a composed config."""
    from omegaconf import OmegaConf

    with one_sentence(f"'{brief(override.input_line)}' does not fit the config, which does not compose"):
        OmegaConf.update(config, override.key_or_group, override.value(), merge=True)


def is_plain(override: Any, is_group: Callable[[str], Any]) -> bool:
    """Whether an override only sets the value of a key, so that nothing has to be composed again."""
    key = override.key_or_group
    sets = override.get_key_element() == key and not override.is_hydra_override()
    return sets and not isinstance(override.value(), dict) and not is_group(key)


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
