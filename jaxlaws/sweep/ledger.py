"""What a sweep's directory says of its past: runs that nobody asks for any more, and versions that differ. No JAX."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from jaxlaws.nested import dotted
from jaxlaws.records.read import Unreadable
from jaxlaws.records.run import RunDir, run_dirs
from jaxlaws.sweep.plan import Planned

#: Of the runs that nobody asks for, how many are read to say what differs.
_READ = 100


def notes(sweep: Path, planned: Sequence[Planned]) -> list[str]:
    """What whoever starts a sweep again should know first: one sentence each, nothing where there is nothing to say."""
    if not sweep.is_dir():
        return []
    runs = run_dirs(sweep)
    asked = {item.directory.name for item in planned}
    others = [item for item in runs if item.name not in asked]
    said = []
    if others:
        before = []
        for item in others[:_READ]:
            with suppress(FileNotFoundError, Unreadable):
                before.append(item.config())
        differs = drift(before, [asdict(item.run) for item in planned])
        what = "; ".join(f"{key} was {_some(old)}, is {_some(new)}" for key, (old, new) in differs.items())
        said.append(
            f"{sweep} also holds {len(others)} runs that this command does not ask for and leaves as they are"
            + (f": {what}." if what else ".")
        )
    return said + [f"{sweep}: {text}." for text in mixed(runs, now=True)]


def drift(
    before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]
) -> dict[str, tuple[list[Any], list[Any]]]:
    """The dotted keys whose values before and now have nothing in common: key → (values before, values now)."""
    old, new = _values(before), _values(now)
    return {
        key: (list(old[key].values()), list(new[key].values()))
        for key in old
        if key in new and not old[key].keys() & new[key].keys()
    }


def mixed(runs: Iterable[RunDir], now: bool = False) -> list[str]:
    """What the ended runs of a sweep were made with, where that is not one and the same thing for all.

    Args:
      runs: of the sweep.
      now: whether what is installed now is compared too.
    """
    found: dict[str, Counter[str]] = {}
    for item in runs:
        state, record, _ = item.look()
        if state not in ("ok", "diverged"):
            continue
        made = {name: value for name, value in record.get("versions", {}).items() if name != "python"}
        made |= {"corpus": record.get("corpus"), "device": record.get("devices", {}).get("kind")}
        for name, value in made.items():
            if value is not None:
                found.setdefault(name, Counter())[str(value)] += 1
    said = []
    for name, counts in found.items():
        here = _installed(name) if now else None
        if len(counts) > 1 or (here is not None and here not in counts):
            told = ", ".join(f"{value} ({count} runs)" for value, count in counts.most_common())
            said.append(f"{name} differs between runs: {told}" + (f", now {here}" if here is not None else ""))
    return said


def _installed(name: str) -> str | None:
    try:
        return version(name) if name in ("jax", "jaxlaws") else None
    except PackageNotFoundError:
        return None


def _values(configs: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Dotted key → its values by their text."""
    found: dict[str, dict[str, Any]] = {}
    for item in configs:
        for key, value in dotted(item):
            found.setdefault(key, {})[repr(value)] = value
    return found


def _some(values: Sequence[Any]) -> str:
    return ", ".join(map(str, values[:3])) + (", …" if len(values) > 3 else "")
