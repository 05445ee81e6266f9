"""`jaxlaws train`: one run, or with -m a sweep, under Hydra; what can be wrong is found before Hydra starts."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from jaxlaws.cli.launch import Dry, launch
from jaxlaws.config import EngineConfig, SweepConfig, TrainConfig, check, check_settings, check_values, run_config
from jaxlaws.errors import BadInput, unknown
from jaxlaws.overrides import check_key, is_plain, most_runs, on_copy, one_sentence, parse, resolved
from jaxlaws.sweep.space import Interval, Values, values
from jaxlaws.text import brief
from jaxlaws.unread import refuse_unread

#: Config groups: `model=25k` picks conf/model/25k.yaml. All but `sweep` are keys of the schema too.
GROUPS = ("model", "data", "schedule", "optimizer", "sweep")
#: Hydra's flags that work here → the values that one may have, None for one without a value, () for any.
FLAGS: dict[str, tuple[str, ...] | None] = {
    **dict.fromkeys(("-m", "--multirun", "--help", "-h", "--hydra-help", "--resolve"), None),
    **dict.fromkeys(("--cfg", "-c"), ("job", "hydra", "all")),
    **dict.fromkeys(("--package", "-p"), ()),
    **dict.fromkeys(("--info", "-i"), ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")),
}
#: Those that Hydra answers, and ends the process.
_ANSWERED = {"--help", "-h", "--hydra-help"}
#: Launchers that are part of jaxlaws; those of conf/hydra/launcher are choices too.
LAUNCHERS = ("lanes", "lanes_submitit")
#: Settings that make a sweep of one run, and others that only a sweep has.
_MULTIPLIES = ("sweep.replicates", "sweep.samples", "sweep.zip")
_OF_SWEEPS = ("sweep.name", "sweep.method", "sweep.sample_seed")


def run(argv: Sequence[str]) -> int:
    """Train what the arguments ask for; exit code 1 where a run failed."""
    argv, dry = _dry(argv)
    flags, overrides = _split(argv)
    overrides = ["+" + text if text.startswith("sweep=") else text for text in overrides]
    parsed = checked(overrides)
    overrides = [_without_logspace(item) for item in parsed]
    if set(flags) <= {"-m", "--multirun"}:
        recipe = next((text.removeprefix("+sweep=") for text in overrides if text.startswith("+sweep=")), None)
        overrides += _destination(parsed, recipe, bool(flags))
    given = frozenset(item.key_or_group for item in parsed)
    return _under_hydra([*flags, *overrides], given, dry)


def _dry(argv: Sequence[str]) -> tuple[list[str], Dry | None]:
    """(the arguments without --dry-run and -o FILE, what they asked for)."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("-o", type=Path)
    try:
        given, rest = parser.parse_known_args(argv)
    except argparse.ArgumentError as error:
        raise BadInput(f"{error}.") from None
    if given.o and not given.dry_run:
        raise BadInput("-o names the picture of a --dry-run; the directory of runs is out=DIR.")
    return rest, Dry(given.o) if given.dry_run else None


def _split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """(Hydra's flags with their values, overrides)."""
    flags: list[str] = []
    overrides: list[str] = []
    waiting = list(argv)
    while waiting:
        text = waiting.pop(0)
        if not text.startswith("-"):
            overrides.append(text)
            continue
        name, joined, value = text.partition("=")
        if name not in FLAGS:
            raise unknown("option of train", brief(name), (*FLAGS, "--dry-run", "-o"))
        values = FLAGS[name]
        if values is None:
            if joined:
                raise BadInput(f"{name} takes no value, got '{brief(value)}'.")
            flags.append(name)
            continue
        if not joined:
            value = waiting.pop(0) if waiting else ""
        if not value or (values and value not in values):
            raise BadInput(f"{name} is '{brief(value)}', expected {' or '.join(values) or 'a package of the config'}.")
        flags += [name, value]
    return flags, overrides


def conf_dir() -> Path:
    """The folder of configs: inside the installed package, or at the root of a checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


def checked(texts: Sequence[str]) -> list[Any]:
    """The parsed overrides, after a check of every key, choice and value; `BadInput` says what is wrong, if anything.

    The first value of every swept key is composed into a config and that run is checked; the others are checked in
    their turn, before anything is written.
    """
    most = most_runs(texts)
    parsed = parse(texts, most)
    recipe = False
    first: list[Any] = []
    for item in parsed:
        with one_sentence(f"'{brief(item.input_line)}' cannot be swept over, expected values, range() or interval()"):
            swept = values(item)
        check_key(item, options, [item.input_line] if isinstance(swept, Interval) else swept)
        recipe = recipe or item.key_or_group == "sweep"
        if not item.key_or_group.startswith(("hydra.", "hydra/")):
            first.append(item if not item.is_sweep_override() else parse([_first_choice(item, swept)], most)[0])
    plain = [item for item in first if is_plain(item, options)]
    with one_sentence("the config does not compose"):
        base = _base(tuple(item.input_line for item in first if item not in plain))
    config = resolved(on_copy(base, plain))
    check_settings(SweepConfig(**config["sweep"]), EngineConfig(**config["engine"]))
    if not recipe:
        check(run_config(config))
    return parsed


def options(group: str) -> list[str]:
    """The names in a config group, none for what is no group."""
    if group not in (*GROUPS, "hydra/launcher"):
        return []
    own = LAUNCHERS if group == "hydra/launcher" else ()
    return sorted({*own, *(path.stem for path in (conf_dir() / group).glob("*.yaml"))})


def _first_choice(item: Any, swept: Values) -> str:
    """The override with the first of its swept values."""
    return f"{item.get_key_element()}={swept.at(0.0) if isinstance(swept, Interval) else swept[0]}"


def _without_logspace(item: Any) -> str:
    """The override as Hydra's own grammar has it."""
    if item.is_choice_sweep() and "logspace(" in item.input_line:
        return f"{item.get_key_element()}={','.join(item.sweep_string_iterator())}"
    return item.input_line


@lru_cache(maxsize=16)
def _base(choices: tuple[str, ...]) -> Any:
    """The config that Hydra composes from choices of groups."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    _store_schema()
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            return compose("train", list(choices))
    finally:
        GlobalHydra.instance().clear()


def _store_schema() -> None:
    from hydra.core.config_store import ConfigStore

    ConfigStore.instance().store(name="schema", node=TrainConfig)


def _destination(parsed: Sequence[Any], recipe: str | None, multirun: bool) -> list[str]:
    """`out=` where the user gave none: runs, or sweeps/<name of the sweep>, never after the clock."""
    swept = [item.key_or_group for item in parsed if item.is_sweep_override()]
    swept += [item.key_or_group for item in parsed if item.key_or_group in _MULTIPLIES and item.value() not in (1, [])]
    given = {item.key_or_group: item.get_value_element_as_str() for item in parsed if not item.is_sweep_override()}
    sweep = multirun or recipe is not None
    if swept and not sweep:
        raise BadInput(f"{swept[0]} has several values, which makes a sweep: add -m.")
    for key in _OF_SWEEPS if not sweep else ():
        if key in given:
            raise BadInput(f"{key} is of a sweep, and this is a single run: add -m, or leave it out.")
    if any(item.key_or_group == "out" for item in parsed):
        if "sweep.name" in given and given.get("out") != f"sweeps/{given['sweep.name']}":
            raise BadInput("sweep.name names a directory in sweeps, and out=DIR is given too: leave one out.")
        return []
    if not sweep:
        return ["out=runs"]
    name = given.get("sweep.name") or recipe or "-".join(key.rpartition(".")[2] for key in swept) or "one"
    return [f"out=sweeps/{name}"]


def _under_hydra(argv: list[str], given: Collection[str], dry: Dry | None) -> int:
    import hydra
    from hydra.errors import HydraException
    from omegaconf import DictConfig

    failures: list[BaseException] = []
    codes: list[int] = []

    def many(configs: Sequence[DictConfig], cluster: Mapping[str, Any] | None) -> list[str]:
        codes.append(_train(configs, argv, given, dry, cluster))
        return ["done"] * len(configs)

    def task(config: DictConfig) -> None:
        try:
            many([config], None)
        except BadInput as error:
            failures.append(error)

    task.many = many  # type: ignore[attr-defined]
    _store_schema()
    before, sys.argv = sys.argv, ["jaxlaws train", *argv]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra would print a sweep's exception and exit
    try:
        hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="train")(task)()
    except SystemExit as ended:
        if ended.code or not _ANSWERED & set(argv):
            raise
    except HydraException as error:
        raise BadInput(f"{brief(str(error).strip().splitlines()[0], 300).rstrip('.')}.") from None
    except RuntimeError as error:
        if not str(error).startswith("Hydra "):
            raise
        raise BadInput(f"{error}: the recipe takes away what Hydra needs, leave its hydra block as it was.") from None
    finally:
        sys.argv = before
    if failures:
        raise failures[0]
    return max(codes, default=0)


def _train(
    configs: Sequence[Any],
    asked: Sequence[str],
    given: Collection[str],
    dry: Dry | None,
    cluster: Mapping[str, Any] | None,
) -> int:
    composed = [resolved(config) for config in configs]
    for key in ("sweep", "engine", "out"):
        if any(one[key] != composed[0][key] for one in composed):
            raise BadInput(f"{key} is not the same for all runs of the sweep, expected one value: do not sweep it.")
    runs = [run_config(one) for one in composed]
    refuse_unread(runs, given)
    how, engine = SweepConfig(**composed[0]["sweep"]), EngineConfig(**composed[0]["engine"])
    return launch(runs, _directory(composed[0]["out"]), how, engine, asked, dry, cluster)


def _directory(out: str | None) -> Path:
    """The directory of a sweep, if there can be one of that name."""
    if not out:
        raise BadInput("out is empty, expected a directory.")
    check_values("out", out)
    path = Path(out)
    for part in (path, *path.parents):
        if part.exists() and not part.is_dir():
            raise BadInput(f"out is '{brief(out)}', and '{part}' is not a directory.")
    return path
