"""`jaxlaws train`: one run, or with -m a sweep, under Hydra; what can be wrong is found before Hydra starts."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxlaws.cli.launch import Dry, launch
from jaxlaws.config import EngineConfig, SweepConfig, TrainConfig, check, keys, run_config
from jaxlaws.errors import BadInput, unknown

#: Config groups: `model=25k` picks conf/model/25k.yaml. All but `sweep` are keys of the schema too.
GROUPS = ("model", "data", "schedule", "optimizer", "sweep")
#: Hydra's flags that are followed by a value.
_VALUED = ("--cfg", "-c", "--package", "-p", "--info", "-i", "--config-dir", "-cd")

#: Settings that make a sweep of one run.
_MULTIPLIES = ("sweep.replicates",)


def run(argv: Sequence[str]) -> int:
    """Train what the arguments ask for; exit code 1 where a run failed."""
    argv, dry = _dry(argv)
    flags, overrides = _split(argv)
    overrides = ["+" + text if text.startswith("sweep=") else text for text in overrides]
    parsed = _checked(overrides)
    overrides = [_without_logspace(item) for item in parsed]
    if not flags or set(flags) <= {"-m", "--multirun"}:
        recipe = next((text.removeprefix("+sweep=") for text in overrides if text.startswith("+sweep=")), None)
        swept = [item.key_or_group for item in parsed if item.is_sweep_override()]
        swept += [item.key_or_group for item in parsed if item.key_or_group in _MULTIPLIES and item.value() != 1]
        overrides += _destination(overrides, recipe, swept, bool(flags))
    return _under_hydra([*flags, *overrides], dry)


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
    for text in argv:
        value = bool(flags) and flags[-1] in _VALUED and "=" not in text
        (flags if value or text.startswith("-") else overrides).append(text)
    return flags, overrides


def conf_dir() -> Path:
    """The folder of configs: inside the installed package, or at the root of a checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


def _checked(overrides: Sequence[str]) -> list[Any]:
    """The parsed overrides, after a check of every key, group choice and value; `BadInput` names the valid ones."""
    from hydra.errors import OverrideParseException

    from jaxlaws.sweep.space import Interval, parser, values

    try:
        parsed = parser().parse_overrides(list(overrides))
    except OverrideParseException as error:
        raise BadInput(f"'{error.override}' is not an override, expected KEY=VALUE or KEY=VALUE,VALUE.") from None
    valid = set(keys(TrainConfig))
    for item in parsed:
        key = item.key_or_group
        if key.startswith(("hydra.", "hydra/")):
            continue
        if key in GROUPS:
            options = sorted(path.stem for path in (conf_dir() / key).glob("*.yaml"))
            swept = values(item)
            for value in [item.input_line] if isinstance(swept, Interval) else swept:
                if value not in options:
                    raise unknown(f"choice of {key}", value, options)
        elif not key:
            raise BadInput(f"'{item.input_line}' is not an override, expected KEY=VALUE or KEY=VALUE,VALUE.")
        elif key not in valid:
            parent = key.rpartition(".")[0]
            parent = parent if parent in valid else ""
            raise unknown("config key", key, (name for name in valid if name.rpartition(".")[0] == parent))
    _compose([_first_choice(item) for item in parsed if not item.key_or_group.startswith(("hydra.", "hydra/"))])
    return parsed


def _first_choice(item: Any) -> str:
    """The override with the first of its swept values."""
    from jaxlaws.sweep.space import Interval, values

    if not item.is_sweep_override():
        return item.input_line
    swept = values(item)
    return f"{item.get_key_element()}={swept.at(0.0) if isinstance(swept, Interval) else swept[0]}"


def _without_logspace(item: Any) -> str:
    """The override as Hydra's own grammar has it."""
    if item.is_choice_sweep() and "logspace(" in item.input_line:
        return f"{item.get_key_element()}={','.join(item.sweep_string_iterator())}"
    return item.input_line


def _compose(overrides: list[str]) -> None:
    """Compose and check the config once, so that what is wrong is met here and not inside Hydra."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    _store_schema()
    try:
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            composed = compose("train", overrides)
    except (HydraException, OmegaConfBaseException) as error:
        first = str(error.__cause__ or error).strip().splitlines()[0]
        raise BadInput(f"the config does not compose: {first}.") from None
    finally:
        GlobalHydra.instance().clear()
    if not any(override.startswith("+sweep=") for override in overrides):
        check(run_config(OmegaConf.to_container(composed, resolve=True)))  # type: ignore[arg-type]


def _store_schema() -> None:
    from hydra.core.config_store import ConfigStore

    ConfigStore.instance().store(name="schema", node=TrainConfig)


def _destination(overrides: Sequence[str], recipe: str | None, swept: Sequence[str], multirun: bool) -> list[str]:
    """`out=` where the user gave none: runs, or sweeps/<name of the sweep>, never after the clock."""
    given = {text.split("=", 1)[0]: text.split("=", 1)[1] for text in overrides if "=" in text}
    if "out" in given:
        return []
    if swept and not multirun and recipe is None:
        raise BadInput(f"{swept[0]} has several values, which makes a sweep: add -m.")
    if not multirun and recipe is None:
        return ["out=runs"]
    name = given.get("sweep.name") or recipe or "-".join(key.rpartition(".")[2] for key in swept) or "one"
    return [f"out=sweeps/{name}"]


def _under_hydra(argv: list[str], dry: Dry | None) -> int:
    import hydra
    from hydra.errors import HydraException
    from omegaconf import DictConfig

    failures: list[BaseException] = []
    codes: list[int] = []

    def many(configs: Sequence[DictConfig], cluster: Mapping[str, Any] | None) -> list[str]:
        codes.append(_train(configs, argv, dry, cluster))
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
    except HydraException as error:
        raise BadInput(f"{str(error).strip().splitlines()[0].rstrip('.')}.") from None
    finally:
        sys.argv = before
    if failures:
        raise failures[0]
    return max(codes, default=0)


def _train(configs: Sequence[Any], asked: Sequence[str], dry: Dry | None, cluster: Mapping[str, Any] | None) -> int:
    from omegaconf import OmegaConf

    values: list[Any] = [OmegaConf.to_container(config, resolve=True) for config in configs]
    runs = [run_config(value) for value in values]
    how, engine = SweepConfig(**values[0]["sweep"]), EngineConfig(**values[0]["engine"])
    return launch(runs, Path(values[0]["out"]), how, engine, asked, dry, cluster)
