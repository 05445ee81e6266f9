"""What trunks leave for their branches: the state after some step and the record until then, a file for each step."""

from __future__ import annotations

import io
import logging
import shutil
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxlaws import config
from jaxlaws.errors import BadInput, Failed
from jaxlaws.records.files import append, write_atomic
from jaxlaws.records.read import Unreadable, read_text
from jaxlaws.sweep.branch import Branch, branches, points
from jaxlaws.sweep.plan import Planned

if TYPE_CHECKING:
    from jaxlaws.training.lane import Lane

#: What reading a file that is no sound .npz raises.
_DAMAGES: tuple[type[Exception], ...] = (OSError, ValueError, TypeError, KeyError, AttributeError, EOFError)
_DAMAGES += (NotImplementedError, zipfile.BadZipFile, zlib.error)

log = logging.getLogger(__name__)


class Snapshots:
    """The trunks and branches among runs that are to be trained, and the snapshots that lie between them.

    A snapshot is kept in the directory of its trunk until its branches have ended, so that branches of a sweep that was
    interrupted start from it too. A branch without one is trained from its beginning.

    Args:
      planned: all the runs of the sweep.
      waiting: those that are to be trained; none of them branches where this is empty.
    """

    def __init__(self, planned: Sequence[Planned], waiting: Sequence[Planned]):
        left = {item.directory.name for item in waiting}
        kept = [item for item in branches(planned) if item.run.directory.name in left and _file(item).exists()]
        begun = {item.run.directory.name: item.step for item in kept}
        rest = [item for item in branches(waiting) if item.run.directory.name not in begun]
        self.found = [*kept, *(item for item in rest if item.step > begun.get(item.trunk.directory.name, 0))]
        self._branch = {item.run.directory.name: item for item in self.found}
        self._looks = points(self.found)
        self._steps: dict[str, set[int]] = {}
        self._values: dict[str, dict[int, float]] = {}
        self._other: dict[str, str] = {}
        for item in self.found:
            self._steps.setdefault(item.trunk.directory.name, set()).add(item.step)

    def ready(self, item: Planned, others: Iterable[str]) -> bool:
        """Whether a run can start: it is no branch, its snapshot is there, or its trunk is not among the others."""
        branch = self._branch.get(item.directory.name)
        return branch is None or _file(branch).exists() or branch.trunk.directory.name not in set(others)

    def lane(self, item: Planned, made_with: str) -> tuple[Lane, list[dict[str, float]]]:
        """The lane of a run, and the rows of its curve that its trunk has trained.

        Args:
          item: the run.
          made_with: how it is computed; where that differs from its trunk, it is said.
        """
        from jaxlaws.training.lane import Lane, curve_row

        name = item.directory.name
        steps, looks = frozenset(self._steps.get(name, ())), frozenset(self._looks.get(name, ()))
        self._values[name] = {}
        branch = self._branch.get(name)
        kept = _read(_file(branch)) if branch else None
        if branch is None or kept is None:
            return Lane(item.run, None, steps, looks), []
        values = dict(zip(kept["at"].tolist(), kept["values"].tolist(), strict=True))
        own = [step for step in config.eval_steps(item.run) if step <= branch.step]
        if not values.keys() >= set(own):
            return Lane(item.run, None, steps, looks), []
        before = str(kept["made_with"])
        if before != made_with:
            log.warning(
                "run %s branches off a trunk that was trained with %s and goes on with %s: not bit for bit",
                name,
                before,
                made_with,
            )
            self._other[name] = before
        self._values[name] = values
        lane = Lane(item.run, lambda state, trace: _start(kept, branch.step, state, trace), steps, looks)
        rows = [
            curve_row(lane, kept["trace"], since, step, values[step])
            for since, step in zip([0, *own], own, strict=False)
        ]
        return lane, rows

    def begun(self, item: Planned, done: int) -> None:
        """A run begins, or goes on from a checkpoint of its own after `done` steps."""
        self._values[item.directory.name] |= _read_points(item, done)

    def started(self, item: Planned, lane: Lane) -> int:
        """The steps of a run that its trunk has trained for it."""
        return self._branch[item.directory.name].step if lane.start else 0

    def trunk(self, item: Planned, lane: Lane) -> dict[str, Any]:
        """What a branch's record says of its trunk."""
        if not lane.start:
            return {}
        branch = self._branch[item.directory.name]
        told = {"trunk": branch.trunk.directory.name, "trunk_steps": branch.step}
        other = self._other.get(item.directory.name)
        return told | ({"trunk_made_with": other} if other else {})

    def look(self, item: Planned, step: int, value: float) -> None:
        """A run was validated; of a trunk it is kept beside the snapshots, for when it goes on from a checkpoint."""
        self._values.setdefault(item.directory.name, {})[step] = value
        if item.directory.name in self._steps:
            path = _points(item)
            path.parent.mkdir(exist_ok=True)
            append(path, f"{step},{value!r}\n")

    def save(self, item: Planned, step: int, state: Any, trace: np.ndarray, made_with: str) -> None:
        """Keep the state of a trunk, with leaves [1, …], and its trace so far.

        One that cannot be written is said, and its branches are trained from their beginning.
        """
        import jax

        path = item.directory.path / "snapshots" / f"{step}.npz"
        known = {at: value for at, value in self._values.get(item.directory.name, {}).items() if at <= step}
        arrays: dict[str, Any] = {f"leaf_{i}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(state))}
        arrays |= {"at": np.array(list(known), int), "values": np.array(list(known.values())), "made_with": made_with}
        content = io.BytesIO()
        np.savez(content, trace=trace, **arrays)
        try:
            write_atomic(path, content.getvalue())
        except Failed as error:
            log.warning("%s; runs that branch off there are trained from their beginning", error)

    def ended(self, item: Planned) -> None:
        """A run has ended: its snapshot goes with the last run that needs it."""
        branch = self._branch.pop(item.directory.name, None)
        if branch is None:
            return
        left = [other for other in self._branch.values() if other.trunk.directory == branch.trunk.directory]
        if all(other.step != branch.step for other in left):
            _file(branch).unlink(missing_ok=True)
        if not left:
            shutil.rmtree(_file(branch).parent, ignore_errors=True)


def _file(branch: Branch) -> Path:
    return branch.trunk.directory.path / "snapshots" / f"{branch.step}.npz"


def _points(item: Planned) -> Path:
    return item.directory.path / "snapshots" / "points.csv"


def _read_points(item: Planned, done: int) -> dict[int, float]:
    """Validations of a trunk up to the step that it goes on from, to which the file is cut back."""
    path = _points(item)
    if not path.exists():
        return {}
    kept: dict[int, float] = {}
    with suppress(ValueError, Unreadable):
        for row in read_text(path).splitlines(keepends=True):
            step, value = row.split(",")
            if not row.endswith("\n") or int(step) > done:
                break
            kept[int(step)] = float(value)
    write_atomic(path, "".join(f"{step},{value!r}\n" for step, value in kept.items()))
    return kept


def _read(path: Path) -> dict[str, np.ndarray] | None:
    """A snapshot; None where there is none, or none that is sound: its zip has a checksum for every array."""
    if not path.exists():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            return {name: kept[name] for name in (*kept.files, "made_with")}
    except _DAMAGES as error:
        log.warning("%s is damaged (%s): its branches are trained from their beginning", path, str(error)[:100])
        return None


def _start(kept: dict[str, np.ndarray], step: int, state: Any, trace: np.ndarray) -> tuple[int, Any, np.ndarray]:
    """(steps done, state, trace) of a branch; the seconds of its trunk are not its own."""
    import jax

    leaves, structure = jax.tree.flatten(state)
    begun = [kept.get(f"leaf_{i}") for i in range(len(leaves))]
    if any(x is None or (x.shape, x.dtype) != (y.shape, y.dtype) for x, y in zip(begun, leaves, strict=True)):
        raise BadInput(f"the snapshot after step {step} was made by another version of jaxlaws: remove it.")
    begun = [jax.device_put(x, leaf.sharding) for x, leaf in zip(begun, leaves, strict=True)]
    trace = trace.copy()
    trace[:3, :step] = kept["trace"][:3]
    return step, jax.tree.unflatten(structure, begun), trace
