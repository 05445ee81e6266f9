"""Configs composed by Hydra: jaxlaws's own, and beside them the directories, files and primary configs of the user.

A file is read as plain YAML and no Python package is searched, so that composing a config runs no code.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from jaxlaws.config import TrainConfig
from jaxlaws.data.config import READS as SOURCES
from jaxlaws.errors import BadInput, unknown
from jaxlaws.hydra_block import check_block
from jaxlaws.hyper import READS as OPTIMIZERS
from jaxlaws.model.shape import ARCHITECTURES
from jaxlaws.overrides import FILE, GROUPS, KEYS, one_sentence
from jaxlaws.plugins import Table
from jaxlaws.records.read import read_text
from jaxlaws.schedules.config import FAMILIES
from jaxlaws.text import brief, in_quotes

#: The primary config.
PRIMARY = "train"
#: Config group → (table that plug-ins add rows to, key that names a row).
_ROWS: dict[str, tuple[Table[Any], str]] = {
    "schedule": (FAMILIES, "name"),
    "optimizer": (OPTIMIZERS, "name"),
    "data": (SOURCES, "source"),
    "model": (ARCHITECTURES, "architecture"),
}
#: Name of a choice that is a file → its path.
_PATHS: dict[str, Path] = {}
_HEADER = re.compile(r"^#\s*@package\s+(\S+)", re.M)


@dataclass(frozen=True)
class Sources:
    """Where configs come from beside jaxlaws's own directory.

    Attributes:
      name: of the primary config.
      folder: --config-dir, empty where it is not given.
      searchpath: hydra.searchpath as on the command line; None: as in the primary config.
    """

    name: str = PRIMARY
    folder: str = ""
    searchpath: tuple[str, ...] | None = None

    def check(self) -> Sources:
        """Itself, if all of it is there; `BadInput` also for a Python package, which Hydra would import."""
        if self.folder and not Path(self.folder).is_dir():
            raise BadInput(f"--config-dir is '{brief(self.folder)}', expected a directory of configs.")
        if self.name != PRIMARY and not self._primary():
            names = {
                path.stem for folder in (conf_dir(), self.folder or conf_dir()) for path in Path(folder).glob("*.yaml")
            }
            raise unknown("config", brief(self.name), names, "" if self.folder else "--config-dir DIR adds yours;")
        for place in self._places():
            scheme, _, path = place.rpartition("://")
            if scheme not in ("", "file") or not Path(path).is_dir():
                raise BadInput(f"hydra.searchpath has '{brief(place)}', expected file://DIR, a directory of configs.")
        return self

    def folders(self) -> list[Path]:
        """The directories of the user, in the order in which they are searched, after jaxlaws's own."""
        return [Path(place.rpartition("://")[2]) for place in (self.folder, *self._places()) if place]

    def overrides(self) -> list[str]:
        """The search path as an argument for Hydra."""
        return [] if self.searchpath is None else [f"hydra.searchpath=[{','.join(map(in_quotes, self.searchpath))}]"]

    def _places(self) -> tuple[str, ...]:
        path = self._primary()
        if self.searchpath is not None or path is None:
            return self.searchpath or ()
        from omegaconf import OmegaConf

        with one_sentence(f"{brief(path)} is no config"):
            folders = OmegaConf.select(OmegaConf.create(read_text(path)), "hydra.searchpath")
            return tuple(map(str, folders or ()))

    def _primary(self) -> Path | None:
        path = Path(self.folder or conf_dir()) / f"{self.name}.yaml"
        return path if self.name != PRIMARY and path.is_file() else None


#: Nothing of the user.
OURS = Sources()


def conf_dir() -> Path:
    """The folder of jaxlaws's configs: inside the installed package, or at the root of a checkout."""
    package = Path(__file__).resolve().parent
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


def store_schema() -> None:
    """Make the schema of a run known to Hydra, and the rows of plug-ins as choices of their groups."""
    from hydra.core.config_store import ConfigStore

    store = ConfigStore.instance()
    store.store(name="schema", node=TrainConfig)
    for group, name in _rows():
        more = {"vocab": "${data.vocab}"} if group == "model" else {}
        store.store(name=name, node={_ROWS[group][1]: name, **more}, group=group)


def _rows() -> tuple[tuple[str, str], ...]:
    """(config group, name) of every row of a plug-in."""
    return tuple((group, name) for group, (table, _) in _ROWS.items() for name in table.added())


@contextmanager
def _loader(sources: Sources) -> Iterator[Any]:
    """Hydra's loader of configs."""
    from hydra import version
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra._internal.utils import create_config_search_path
    from hydra.core.config_search_path import SearchPathQuery
    from hydra.core.utils import JobRuntime, setup_globals

    version.setbase("1.3")
    JobRuntime.instance().set("name", PRIMARY)
    setup_globals()
    store_schema()
    search = create_config_search_path(str(conf_dir()))
    if sources.folder:
        search.prepend("command-line", f"file://{sources.folder}", SearchPathQuery(provider="schema"))
    with one_sentence("the config does not compose"):
        yield ConfigLoaderImpl(search)


def options(group: str, sources: Sources = OURS) -> tuple[str, ...]:
    """The names in a config group, none for what is no group."""
    return (_own_options if sources == OURS else _options)(group, sources, _rows())


def groups(sources: Sources = OURS) -> list[str]:
    """The config groups, but for Hydra's own."""
    from hydra.core.object_type import ObjectType

    with _loader(sources) as loader:
        names = loader.get_group_options("", ObjectType.GROUP, sources.name, sources.overrides())
    return sorted(set(names) - {"hydra"})


def composed(choices: tuple[str, ...] = (), sources: Sources = OURS) -> Any:
    """The config that Hydra composes from choices of groups and settings of Hydra's own, its `hydra` block included.

    Raises:
      BadInput: it does not compose, has no schema, or has a setting of Hydra's that is refused.
    """
    return (_own_composed if sources == OURS else _composed)(choices, sources)


def _options(group: str, sources: Sources, rows: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """`options`; `rows` are those of plug-ins, so that those of other rows are not taken for them."""
    from hydra.core.object_type import ObjectType

    with _loader(sources) as loader:
        names = loader.get_group_options(group, ObjectType.CONFIG, sources.name, sources.overrides())
    return tuple(sorted(set(names) - {"basic"}))


def _composed(choices: tuple[str, ...], sources: Sources) -> Any:
    from hydra.types import RunMode
    from omegaconf import OmegaConf

    with _loader(sources) as loader:
        overrides = [*sources.overrides(), *choices]
        config = loader.load_configuration(sources.name, overrides, RunMode.MULTIRUN, False, False)
    if OmegaConf.get_type(config) is not TrainConfig:
        raise BadInput(f"the config {brief(sources.name)} lacks jaxlaws's own: its defaults begin with '- {PRIMARY}'.")
    block: Any = OmegaConf.to_container(config.hydra, resolve=False)
    if choices or sources != OURS:
        check_block(block, OmegaConf.to_container(composed().hydra, resolve=False))  # type: ignore[arg-type]
    return config


_own_options = lru_cache(maxsize=256)(_options)
_own_composed = lru_cache(maxsize=16)(_composed)


def check_hidden(choices: Mapping[str, Any], sources: Sources) -> None:
    """Raises `BadInput` for a file of the user that Hydra does not read, since jaxlaws has another of that name."""
    for name in [f"{group}/{name}.yaml" for group, name in choices.items() if isinstance(name, str)]:
        ours = conf_dir() / name
        for folder in sources.folders() if ours.is_file() else ():
            if (folder / name).is_file() and (folder / name).read_bytes() != ours.read_bytes():
                raise BadInput(f"{brief(folder / name)} is hidden by jaxlaws's own {name}: give it another name.")


def named_files(text: str) -> str:
    """`GROUP=FILE.yaml` with a name in place of the file, whose content becomes a choice of that group."""
    key, _, value = text.partition("=")
    group = key.lstrip("+")
    if group.startswith("hydra") or group in KEYS - {*GROUPS, "sweep"}:
        return text
    return f"{key}={','.join(_as_choice(group, part) for part in value.split(','))}" if value else text


def _as_choice(group: str, value: str) -> str:
    from hydra.core.config_store import ConfigStore
    from omegaconf import OmegaConf

    if not value.endswith((".yaml", ".yml")):
        return value
    path = Path(value).expanduser()
    if not path.exists():
        raise BadInput(f"{brief(value)} does not exist, expected a YAML file, or the name of a choice of {group}.")
    content = read_text(path)
    with one_sentence(f"{brief(value)} is no config"):
        node = OmegaConf.create(content)
    header = _HEADER.search(content)
    name = FILE + hashlib.sha256(content.encode()).hexdigest()[:12]
    ConfigStore.instance().store(name, node, group, header[1] if header else "_global_" if group == "sweep" else None)
    _own_options.cache_clear()
    _PATHS[name] = path.absolute()
    return name


def in_words(text: str) -> str:
    """An override with the files that `named_files` took out of it: the same in another process."""
    return re.sub(rf"{FILE}[0-9a-f]{{12}}", lambda match: str(_PATHS.get(match[0], match[0])), text)
