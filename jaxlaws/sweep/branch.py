"""Trunks and branches: runs that share the first part of their schedule share its training. Planning only, no JAX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from jaxlaws import config
from jaxlaws.sweep.plan import Planned

#: The smallest share of a run's steps that is worth a branch.
LEAST_SHARE = 0.2


@dataclass(frozen=True)
class Branch:
    """A run that starts from another's state.

    Attributes:
      run: the one that branches off.
      trunk: the one that it shares its first steps with; it may be a branch itself, of an earlier step.
      step: finished steps at which it starts.
    """

    run: Planned
    trunk: Planned
    step: int

    @property
    def saved(self) -> float:
        """Training FLOPs that the branch does not repeat."""
        return self.run.work * self.step / config.steps(self.run.run)


def branches(planned: Sequence[Planned]) -> list[Branch]:
    """Which runs of a plan branch off which, every trunk before its branches.

    Two runs share their first k steps where they are equal in everything but schedule, peak LR and length, and where
    the LR of those steps is the same float32 number by number. Then the whole of it is a tree of LR prefixes, each
    edge of which is trained once, in whatever order the runs come: the longest first, each off the first run before it
    with which it shares most.
    """
    by_start: dict[tuple[str, bytes], list[tuple[Planned, np.ndarray]]] = {}
    for item in sorted(planned, key=lambda item: -config.steps(item.run)):
        curve = item.lr.astype(np.float32)
        by_start.setdefault((repr(_start(item)), curve[:1].tobytes()), []).append((item, curve))
    found = []
    for same in by_start.values():
        group, curves = zip(*same, strict=True)
        for i in range(1, len(group)):
            shared = [_shared(curves[i], curve) for curve in curves[:i]]
            trunk = int(np.argmax(shared))
            step = min(shared[trunk], len(curves[i]) - 1)
            if step >= LEAST_SHARE * len(curves[i]):
                found.append(Branch(group[i], group[trunk], step))
    return found


def points(found: Sequence[Branch]) -> dict[str, set[int]]:
    """Name of a trunk → the steps at which its branches, and theirs, need it to be validated."""
    needed: dict[str, set[int]] = {}
    for item in reversed(found):
        own = set(config.eval_steps(item.run.run)) | needed.get(item.run.directory.name, set())
        needed.setdefault(item.trunk.directory.name, set()).update(step for step in own if step <= item.step)
    return needed


def summary(planned: Sequence[Planned], found: Sequence[Branch]) -> str:
    """What the branches save, in one sentence; empty where there are none."""
    if not found:
        return ""
    trunks = {item.trunk.directory.name for item in found} - {item.run.directory.name for item in found}
    saved, whole = sum(item.saved for item in found), sum(item.work for item in planned)
    return (
        f"{len(found)} of {len(planned)} runs branch off {len(trunks)} trunk{'s' if len(trunks) > 1 else ''}: "
        f"{sum(item.step for item in found)} steps and {saved:.2g} FLOPs are not repeated, {saved / whole:.0%} of all"
    )


def _start(item: Planned) -> dict[str, Any]:
    """All that decides the first steps of a run, but for its LR."""
    run = item.run
    optimizer = {name: value for name, value in asdict(run.optimizer).items() if name != "peak_lr"}
    rest = {
        name: value
        for name, value in asdict(run).items()
        if name not in ("optimizer", "schedule", "tokens", "steps", "batch_sequences", "batch_tokens", "eval")
    }
    batch, sequences = config.batch_sequences(run), run.eval.sequences
    return rest | {"optimizer": optimizer, "batch": batch, "validation": sequences}


def _shared(a: np.ndarray, b: np.ndarray) -> int:
    """How many of the first values are equal."""
    length = min(len(a), len(b))
    differs = np.flatnonzero(a[:length] != b[:length])
    return int(differs[0]) if len(differs) else length
