"""`jaxlaws train`: one run, or with -m a sweep, under Hydra; errors of the arguments are found before Hydra starts."""

from __future__ import annotations

import argparse
import logging
import os
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from jaxlaws.cli.launch import Dry, launch
from jaxlaws.compose import PRIMARY, Sources, conf_dir, in_words, store_schema
from jaxlaws.config import EngineConfig, SweepConfig, check_values, run_config
from jaxlaws.errors import BadInput, Failed, unknown
from jaxlaws.meanings import meaning
from jaxlaws.overrides import KEYS, resolved
from jaxlaws.request import checked
from jaxlaws.text import brief, in_quotes
from jaxlaws.unread import refuse_unread

#: Hydra's flags that work here → the values that one may have, None for one without a value, () for any.
FLAGS: dict[str, tuple[str, ...] | None] = {
    **dict.fromkeys(("-m", "--multirun", "-r", "--run", "--help", "-h", "--hydra-help", "--resolve", "--version")),
    **dict.fromkeys(("--cfg", "-c"), ("job", "hydra", "all")),
    **dict.fromkeys(("--package", "-p", "--config-dir", "-cd", "--config-name", "-cn"), ()),
    **dict.fromkeys(("--info", "-i"), ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")),
}
#: Flags of Hydra's that do not work here → what to do instead.
INSTEAD = {
    **dict.fromkeys(("--config-path", "-cp"), "--config-dir DIR is searched beside jaxlaws's own configs"),
    "--experimental-rerun": "it reads a pickle, which may run code; the same command again trains what is missing",
    **dict.fromkeys(("--shell-completion", "-sc"), 'eval "$(jaxlaws completion bash)" installs completion'),
}
#: Flags of which a command has at most one, and flags that choose how and with which configs it trains.
_ONE_OF = ("-m", "--multirun", "-r", "--run", "--cfg", "-c", "--info", "-i")
_RUNS = {"-m", "--multirun", "-r", "--run", "--config-dir", "-cd", "--config-name", "-cn"}
#: First words of the errors of Hydra and of Python's logging about an invalid `hydra` block.
_OF_BLOCK = ("Hydra ", "Unable to ", "Unsupported version", "dictionary doesn't specify")
_PLACE = re.compile(r"\+*(out|hydra\.run\.dir|hydra\.sweep\.dir)=")
#: Flags that Hydra answers itself, after which it ends the process.
_ANSWERED = {"--help", "-h", "--hydra-help"}


def run(argv: Sequence[str]) -> int:
    """Train what the arguments ask for; exit code 1 where a run failed."""
    argv, dry = _dry(argv)
    flags, overrides = _split(argv)
    if ("--version", "") in flags:
        import hydra

        from jaxlaws import __version__

        print(f"jaxlaws {__version__}, Hydra {hydra.__version__}")
        return 0
    request = checked(overrides, _sources(flags))
    texts, hidden = request.arguments(), []
    if {name for name, _ in flags} <= _RUNS:
        recipe = next((text.partition("=")[2] for text in overrides if re.match(r"\+*sweep=", text)), None)
        out = request.destination(recipe and Path(recipe).stem, any(name in ("-m", "--multirun") for name, _ in flags))
        texts = [text for text in texts if not _PLACE.match(text)] + [f"out={in_quotes(out)}"]
        hidden = ["hydra.run.dir=."]  # Hydra would make this directory
    argv = [part for flag in flags for part in flag if part] + texts
    return _under_hydra([*argv, *hidden], [in_words(text) for text in argv], request.given, dry)


def train(*overrides: str) -> dict[str, Any]:
    """The record of one run, trained as `jaxlaws train` does it; a run that was trained before is not trained again.

        >>> import jaxlaws
        >>> record = jaxlaws.train("model=6k", "steps=20", "batch_tokens=512", "out=trained")
        >>> record["status"], record["steps"]
        ('ok', 20)

    Args:
      *overrides: KEY=VALUE each, as on the command line.

    Raises:
      BadInput: a key or a value that makes no sense, or several values of a key: a sweep is trained by `jaxlaws train`.
      Failed: the run failed.
    """
    from jaxlaws.data.tokens import open_data
    from jaxlaws.sweep.plan import lay_out

    request = checked(overrides)
    out = Path(request.destination(None, False))
    runs = [run_config(request.config)]
    refuse_unread(runs, request.given)
    with redirect_stdout(sys.stderr):
        code = launch(runs, out, SweepConfig(), EngineConfig(**request.config["engine"]), overrides)
    run = lay_out(runs, out, lambda data: open_data(data).digest)[0].directory
    if code:
        raise Failed(f"the run {run.path} has not ended well: jaxlaws status {out} says why.")
    return run.record()


def _dry(argv: Sequence[str]) -> tuple[list[str], Dry | None]:
    """(the arguments without --dry-run and -o FILE, the dry run that these two ask for)."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("-o", type=Path)
    try:
        flags, others = parser.parse_known_args(argv)
    except argparse.ArgumentError as error:
        raise BadInput(f"{error}.") from None
    if flags.o and not flags.dry_run:
        raise BadInput("-o names the picture of a --dry-run; the directory of runs is out=DIR.")
    return others, Dry(flags.o) if flags.dry_run else None


def _split(argv: Sequence[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """(Hydra's flags with their values, '' where they have none; overrides)."""
    flags: list[tuple[str, str]] = []
    overrides: list[str] = []
    waiting = list(argv)
    while waiting:
        text = waiting.pop(0)
        if not text.startswith("-"):
            overrides.append(text)
            continue
        name, equals, value = text.partition("=")
        if name not in FLAGS:
            raise _no_flag(name)
        values = FLAGS[name]
        if values is None:
            if equals:
                raise BadInput(f"{name} takes no value, got '{brief(value)}'.")
        elif not equals:
            alone = name in ("--info", "-i") and (not waiting or waiting[0] not in values)
            value = "all" if alone else waiting.pop(0) if waiting else ""
        if values is not None and (not value or (values and value not in values)):
            raise BadInput(f"{name} is '{brief(value)}', expected {' or '.join(values) or 'a name or a directory'}.")
        flags.append((name, value))
    names = [name for name, _ in flags]
    if len(several := list(dict.fromkeys(name for name in names if name in _ONE_OF))) > 1:
        raise BadInput(f"{several[1]} cannot go together with {several[0]}.")
    if not {"--cfg", "-c", *_ANSWERED} & set(names):
        for name in ("--resolve", "--package", "-p"):
            if name in names:
                raise BadInput(f"{name} belongs to --cfg, which prints the config: add --cfg job.")
    return flags, overrides


def _no_flag(name: str) -> BadInput:
    if name in INSTEAD:
        return BadInput(f"{name} is not offered here: {INSTEAD[name]}.")
    key = name.lstrip("-").replace("-", "_")
    key = key if key in KEYS else meaning("config key", key) or ""
    hint = f"did you mean '{key}=…'?" if key and " " not in key else ""
    return unknown("option of train", brief(name), (*FLAGS, "--dry-run", "-o"), hint)


def _sources(flags: Sequence[tuple[str, str]]) -> Sources:
    """Where the flags say that configs come from."""
    values = dict(flags)
    folder = values.get("--config-dir", values.get("-cd", ""))
    name = values.get("--config-name", values.get("-cn", PRIMARY))
    return Sources(name.removesuffix(".yaml"), os.path.abspath(folder) if folder else "")


def _under_hydra(argv: list[str], question: Sequence[str], keys: Collection[str], dry: Dry | None) -> int:
    """Train what Hydra composes of its arguments, and return the exit code; `question` has the arguments in words."""
    import hydra
    from hydra.errors import HydraException
    from omegaconf import DictConfig

    failures: list[BaseException] = []
    codes: list[int] = []

    def many(configs: Sequence[DictConfig], cluster: Mapping[str, Any] | None) -> list[str]:
        codes.append(_train(configs, question, keys, dry, cluster))
        return ["done"] * len(configs)

    def task(config: DictConfig) -> None:
        try:
            many([config], None)
        except BadInput as error:
            failures.append(error)

    task.many = many  # type: ignore[attr-defined]
    store_schema()
    before, sys.argv = sys.argv, ["jaxlaws train", *argv]
    handlers, level = list(logging.root.handlers), logging.root.level
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra would print a sweep's exception and exit
    try:
        hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=PRIMARY)(task)()
    except SystemExit as end:
        if end.code or not _ANSWERED & set(argv):
            raise
    except HydraException as error:
        raise BadInput(f"{brief(str(error).strip().splitlines()[0], 300).rstrip('.')}.") from None
    except (RuntimeError, ValueError) as error:
        if isinstance(error, BadInput) or not str(error).startswith(_OF_BLOCK):
            raise
        raise BadInput(f"{error}: Hydra cannot use its hydra block, leave that as it was.") from None
    finally:
        sys.argv = before
        logging.root.handlers[:] = handlers  # Hydra's handlers write to the streams of this command
        logging.root.setLevel(level)
    if failures:
        raise failures[0]
    return max(codes, default=0)


def _train(
    configs: Sequence[Any],
    question: Sequence[str],
    keys: Collection[str],
    dry: Dry | None,
    cluster: Mapping[str, Any] | None,
) -> int:
    settings = [resolved(config) for config in configs]
    for key in ("sweep", "engine", "out"):
        if any(config[key] != settings[0][key] for config in settings):
            raise BadInput(f"{key} is not the same for all runs of the sweep, expected one value: do not sweep it.")
    runs = [run_config(config) for config in settings]
    refuse_unread(runs, keys)
    how, engine = SweepConfig(**settings[0]["sweep"]), EngineConfig(**settings[0]["engine"])
    return launch(runs, _directory(settings[0]["out"]), how, engine, question, dry, cluster)


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
