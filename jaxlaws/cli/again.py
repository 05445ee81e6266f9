"""A run of a sweep as arguments of `jaxlaws train` that train it again, with some of its settings changed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import yaml

from jaxlaws.compose import conf_dir
from jaxlaws.config import RunConfig
from jaxlaws.text import quoted

#: Keys of a run's config that say its length and its batch: of each pair one is given.
_PAIRS = {"tokens": "steps", "batch_sequences": "batch_tokens"}


def command(config: RunConfig, swept: Mapping[str, Sequence[Any]], out: str) -> str:
    """The sweep over `swept` of a run.

    Args:
      config: of the run.
      swept: key → its values, such as {"optimizer.peak_lr": [0.001, 0.002]}.
      out: directory of the sweep.
    """
    wanted = dict(_leaves(asdict(config)))
    choices = {group: str(wanted[f"{group}.name"]) for group in ("schedule", "optimizer")}
    for key in swept:
        wanted |= {key: None, **({_PAIRS[key]: None} if key in _PAIRS else {})}
    default = _defaults(choices)
    fixed = [f"{key}={_written(value)}" for key, value in wanted.items() if key not in swept and default[key] != value]
    lists = [f"{key}={','.join(map(_written, values))}" for key, values in swept.items()]
    chosen = [f"{group}={name}" for group, name in choices.items()]
    return " ".join(["jaxlaws train -m", *map(quoted, [*chosen, *fixed, *lists, f"out={_written(out)}"])])


def _defaults(choices: Mapping[str, str]) -> dict[str, Any]:
    """What `jaxlaws train` takes where nothing is said but these choices: of our config files, on top of the schema."""
    settings = dict(_leaves(asdict(RunConfig())))
    primary = yaml.safe_load((conf_dir() / "train.yaml").read_text())
    groups = {name: value for entry in primary["defaults"] if isinstance(entry, dict) for name, value in entry.items()}
    for group, name in {**groups, **choices}.items():
        if "override" not in group:
            chosen = yaml.safe_load((conf_dir() / group / f"{name}.yaml").read_text()) or {}
            settings |= dict(_leaves(chosen, f"{group}."))
    return settings | {key: value for key, value in primary.items() if key in settings}


def _leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _written(value: Any) -> str:
    """A value in Hydra's grammar: numbers, null, lists, and text in quotes where it is not plain."""
    if isinstance(value, float):
        return f"{value:.6g}" if float(f"{value:.6g}") == value else repr(value)
    if isinstance(value, str) and not re.fullmatch(r"[A-Za-z][\w./-]*", value):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return value if isinstance(value, str) else json.dumps(value)
