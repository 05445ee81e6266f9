"""Every command and every kind of file, made hostile: exit code, one sentence, no raw character, no file touched.

`JAXLAWS_FUZZ=100000 pytest tests/fuzz -n 2` tries more, with a seed that its header names (`JAXLAWS_FUZZ_SEED` repeats
it).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import mutations
import pytest
import seeds
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from invariants import check
from lines import COMMANDS, FILES
from scale import EXAMPLES, SEED, SETTINGS

from jaxlaws import compose
from jaxlaws.cli import train
from jaxlaws.errors import BadInput

_MUTATE = {".json": mutations.json_file, ".csv": mutations.csv_file, ".yaml": mutations.yaml_file}


@pytest.fixture(scope="session")
def valid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every kind of file."""
    folder = tmp_path_factory.mktemp("valid") / "files"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAXLAWS_CACHE", str(folder.parent / "cache"))
        seeds.write_all(folder)
    run = next(path.parent for path in sorted(folder.glob("sweep/*/run.json")))
    run.rename(run.with_name("RUN"))
    return folder


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The cache; nothing trains, downloads, benchmarks or asks the network while it is there."""

    def refuse(*_: object, **__: object) -> None:
        raise BadInput("not in a test.")

    monkeypatch.setenv("JAXLAWS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("jaxlaws.sweep.lanes.train_sweep", refuse)
    monkeypatch.setattr("jaxlaws.quickstart.run", refuse)
    monkeypatch.setattr("jaxlaws.cli.bench.import_module", refuse)
    return tmp_path / "cache"


def _fuzz(examples: int, strategy: st.SearchStrategy, test) -> None:
    """Run a test on so many of 10,000 examples of a strategy."""
    run = settings(SETTINGS, max_examples=max(1, examples * EXAMPLES // 10_000))(given(strategy)(test))
    (run if SEED is None else seed(SEED)(run))()


@pytest.mark.parametrize("name", COMMANDS)
def test_command_lines(name: str, valid: Path, kept: Path, tmp_path: Path):
    lines, options, examples = COMMANDS[name]
    more = ["--dry-run", "-o", "pic.png"] if name == "train" else []

    _fuzz(
        examples,
        mutations.argv(lines, options),
        lambda argv: check([argv[0], *more, *argv[1:]], _folder(valid, tmp_path), kept),
    )


def test_grammar_of_overrides(valid: Path, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Overrides as far as their first config, which is composed and checked before Hydra is asked."""
    monkeypatch.setattr("jaxlaws.cli.train._under_hydra", lambda argv, asked, given, dry: 0)
    lines, options, _ = COMMANDS["train"]
    _fuzz(1000, mutations.argv(lines, options), lambda argv: check(argv, _folder(valid, tmp_path), kept))


def test_recipes(valid: Path, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A recipe of a sweep with other values."""
    folder = _folder(valid, tmp_path)
    shutil.copytree(compose.conf_dir(), folder / "conf")
    for module in (compose, train):
        monkeypatch.setattr(module, "conf_dir", lambda: folder / "conf")
    recipes = {path.stem: path.read_bytes() for path in sorted((folder / "conf" / "sweep").glob("*.yaml"))}
    changed = st.sampled_from(sorted(recipes)).flatmap(
        lambda name: st.tuples(st.just(name), mutations.yaml_file(recipes[name]))
    )

    def test(example: tuple[str, bytes]) -> None:
        name, content = example
        path = folder / "conf" / "sweep" / f"{name}.yaml"
        path.write_bytes(content)
        compose._own_composed.cache_clear()
        try:
            check(["train", f"sweep={name}", "data=language", "--dry-run", "-o", "pic.png"], folder, kept)
        finally:
            path.write_bytes(recipes[name])

    _fuzz(60, changed, test)


@pytest.mark.parametrize("kind", FILES)
def test_files(kind: str, valid: Path, kept: Path, tmp_path: Path):
    names, lines, examples = FILES[kind]
    contents = {name: (valid / name).read_bytes() for name in names if (valid / name).exists()}
    changed = st.sampled_from(sorted(contents)).flatmap(
        lambda name: st.tuples(st.just(name), _MUTATE.get(Path(name).suffix, mutations.raw_bytes)(contents[name]))
    )

    def test(example: tuple[tuple[str, bytes], list[str]]) -> None:
        (name, content), line = example
        folder = _folder(valid, tmp_path)
        (folder / name).write_bytes(content)
        try:
            check([name if word == "FILE" else word for word in line], folder, kept)
        finally:
            (folder / name).write_bytes(contents[name])

    _fuzz(examples, st.tuples(changed, st.sampled_from(lines)), test)


def _folder(valid: Path, tmp_path: Path) -> Path:
    """The working directory of a test, with a copy of the valid files."""
    folder = tmp_path / "work"
    if not folder.exists():
        shutil.copytree(valid, folder)
    return folder
