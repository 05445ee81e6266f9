"""Hydra's own settings, the `hydra` block of a config: what works, and what is said of the rest. None runs code."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from jaxlaws.errors import BadInput
from jaxlaws.text import brief

#: Settings by the longest beginning that is here → what to say where a config changes one; None where it works as
#: Hydra's pages say.
SETTINGS: dict[str, str | None] = {
    "": "Hydra has no such setting",
    **dict.fromkeys(("mode", "searchpath", "launcher", "sweeper", "run.dir", "sweep.dir", "verbose", "help")),
    **dict.fromkeys(("job_logging", "hydra_logging", "hydra_help", "job", "runtime", "overrides")),
    "sweep.subdir": "every run has a directory of its own in out=DIR, named after what decides its result",
    "output_subdir": "every run keeps its config.yaml in its directory in out=DIR",
    "job.chdir": "no run changes the working directory",
    "job.env_set": "no config sets environment variables: put them before the command",
    "job.env_copy": "every job has the environment of the command",
    "callbacks": "no config runs code",
}
_OF_ONE_RUN = re.compile(r"hydra[.:]job\.(override_dirname|num|id)|hydra[.:]runtime\.output_dir")
_PLUGINS = "hydra_plugins.jaxlaws_lanes"
#: Python objects that the block may name.
_HARMLESS = {
    *(f"{_PLUGINS}.launcher.{name}" for name in ("LanesLauncher", "SubmititLauncher")),
    f"{_PLUGINS}.sweeper.JaxlawsSweeper",
    *("logging.StreamHandler", "logging.NullHandler", "colorlog.ColoredFormatter"),
    *("ext://sys.stdout", "ext://sys.stderr"),
}
#: What to say of another one, by the part of the block that names it.
_INSTEAD = {
    "launcher": "hydra/launcher is lanes, lanes_submitit or slurm",
    "sweeper": "hydra/sweeper is jaxlaws, which has grids, ranges, samples and cells",
    "job_logging": "a run keeps its curve.csv and error.txt, and hydra/job_logging=stdout prints the log",
    "hydra_logging": "hydra/hydra_logging=default prints Hydra's log",
}


def check_block(block: Mapping[str, Any], usual: Mapping[str, Any]) -> None:
    """Raises `BadInput` for a setting that has no effect here or that would run code, wherever it was made.

    Args:
      block: as composed, interpolations as they are.
      usual: the same without anything of the user.
    """
    settings, before = dict(_flat(block)), dict(_flat(usual))
    for part in ("launcher", "sweeper"):
        if settings.get(f"{part}._target_") not in _HARMLESS:
            raise _foreign(part, settings.get(f"{part}._target_", settings.get(part)))
    for key, value in settings.items():
        name = key.rpartition(".")[2]
        part = key.partition(".")[0]
        imported = name in ("_target_", "class", "()") or str(value).startswith(("ext://", "cfg://"))
        hidden = part in ("job_logging", "hydra_logging") and "${" in str(value)
        if (imported or hidden) and value not in _HARMLESS and value != before.get(key):
            raise _foreign(key, value)
        if value != before.get(key) and (reason := SETTINGS[_beginning(key)]):
            raise BadInput(f"hydra.{brief(key)} has no effect here: {reason}.")
        if key in ("run.dir", "sweep.dir") and _OF_ONE_RUN.search(str(value)):
            raise BadInput(f"hydra.{key} is '{brief(value)}', another for every run: {SETTINGS['sweep.subdir']}.")


def _foreign(key: str, value: Any) -> BadInput:
    reason = _INSTEAD.get(key.partition(".")[0], "no config names code to run")
    return BadInput(f"hydra.{brief(key)} is '{brief(value)}', which is not run here: {reason}.")


def _beginning(key: str) -> str:
    return max((name for name in SETTINGS if not name or f"{key}.".startswith(f"{name}.")), key=len)


def _flat(block: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of everything that is no mapping, lists by their places."""
    for key, value in block.items():
        if isinstance(value, list) and value:
            value = dict(enumerate(value))
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
