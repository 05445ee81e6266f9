"""Runs to add to a sweep as the command that trains them: one of its runs again, with some settings changed."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from jaxlaws.compose import conf_dir
from jaxlaws.config import RunConfig, run_config
from jaxlaws.errors import BadInput
from jaxlaws.model.ladder import ladder
from jaxlaws.model.shape import count_params
from jaxlaws.nested import dotted
from jaxlaws.records.cells import SAME_TOKENS
from jaxlaws.records.run import RunDir
from jaxlaws.text import in_quotes, quoted

if TYPE_CHECKING:
    from jaxlaws.records.table import Runs

#: Keys of a run's config that state its length and its batch; a config has one key of each pair.
_PAIRS = {"tokens": "steps", "batch_sequences": "batch_tokens"}
#: Text that Hydra's grammar takes without quotes: words and paths, and counts such as 250k.
_PLAIN = re.compile(r"[A-Za-z./][\w./-]*|\d+(?:\.\d+)?[A-Za-z]")


def with_command(runs: Runs, entry: Mapping[str, Any], sweep: Path) -> dict[str, Any]:
    """The entry with its `command`, None where no run of the sweep can be read.

    Args:
      runs: of the sweep.
      entry: of `jaxlaws.recommender.survey.additions`; a new size becomes the nearest one that has a name.
      sweep: its directory.
    """
    table = runs.finished().table
    target = np.array([entry["params"], entry["tokens"]])
    away = np.abs(np.log(table[["params_nonembedding", "tokens"]].to_numpy(float) / target))
    distance = away.sum(1)
    near = np.flatnonzero(distance <= distance.min() + SAME_TOKENS)
    best = near[np.argmin(table[runs.loss_column].to_numpy(float)[near])]
    try:
        config = run_config(RunDir(sweep / str(table.index[best])).config())
    except (BadInput, OSError):
        return {**entry, "command": None}
    grid = {"optimizer.peak_lr": entry["peak_lr"]}
    grid["batch_sequences"] = [round(value / config.data.seq_len) for value in entry["batch_tokens"]]
    new_size, new_budget = away[best] > SAME_TOKENS
    if new_budget:
        grid["tokens"] = [int(entry["tokens"])]
    if not new_size:
        return {**entry, "command": command(config, grid, str(sweep))}
    sizes = {size: count_params(model)[0] for size, model in ladder(conf_dir() / "model").items()}
    size = min(sizes, key=lambda item: abs(math.log(sizes[item] / entry["params"])))
    return {**entry, "params": sizes[size], "command": command(config, grid, str(sweep), {"model": size})}


def command(
    config: RunConfig,
    grid: Mapping[str, Sequence[Any]],
    out: str,
    replacements: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """The command that trains a run once for each combination of the values of `grid`.

    Args:
      config: of the run.
      grid: key → its values, such as {"optimizer.peak_lr": [0.001, 0.002]}.
      out: directory of the sweep.
      replacements: config group → the choice that replaces what the run has of it.
    """
    settings = dict(dotted(asdict(config)))
    choices = {group: str(settings[f"{group}.name"]) for group in ("schedule", "optimizer")} | dict(replacements)
    for group, name in replacements.items():
        settings |= dict(dotted(_choice(group, name), f"{group}."))
    for key in grid:
        settings |= {key: None, **({_PAIRS[key]: None} if key in _PAIRS else {})}
    default = _defaults(choices)
    constants = [
        f"{key}={_hydra_value(value)}" for key, value in settings.items() if key not in grid and default[key] != value
    ]
    lists = [f"{key}={','.join(map(_hydra_value, values))}" for key, values in grid.items()]
    groups = [f"{group}={name}" for group, name in choices.items()]
    return " ".join(["jaxlaws train -m", *map(quoted, [*groups, *constants, *lists, f"out={_hydra_value(out)}"])])


def _defaults(choices: Mapping[str, str]) -> dict[str, Any]:
    """The settings that `jaxlaws train` uses for these choices alone: our config files on top of the schema."""
    settings = dict(dotted(asdict(RunConfig())))
    primary = yaml.safe_load((conf_dir() / "train.yaml").read_text())
    groups = {name: value for entry in primary["defaults"] if isinstance(entry, dict) for name, value in entry.items()}
    for group, name in {**groups, **choices}.items():
        if "override" not in group:
            settings |= dict(dotted(_choice(group, name), f"{group}."))
    return settings | {key: value for key, value in primary.items() if key in settings}


def _choice(group: str, name: str) -> dict[str, Any]:
    return yaml.safe_load((conf_dir() / group / f"{name}.yaml").read_text()) or {}


def _hydra_value(value: Any) -> str:
    """A value in Hydra's grammar: numbers, null, lists, and text in quotes where it is not plain."""
    if isinstance(value, float):
        return f"{value:.6g}" if float(f"{value:.6g}") == value else repr(value)
    if isinstance(value, str) and not _PLAIN.fullmatch(value):
        return in_quotes(value)
    return value if isinstance(value, str) else json.dumps(value)
