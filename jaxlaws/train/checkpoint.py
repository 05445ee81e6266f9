"""Checkpoints of a run, through orbax: saved in the background, whole or absent, and restored bit for bit."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxlaws.errors import BadInput

log = logging.getLogger(__name__)


class Checkpoints:
    """The latest checkpoints of one run: its state and what is known of its steps, after some number of steps.

    A checkpoint is written beside the others under a name of its own and renamed when it is whole, so whatever ends the
    process leaves the ones before. Orbax is loaded only when there is something to save or to restore.

    Args:
      folder: where they are kept; for a job of several processes a folder that all of them see.
      every: seconds between two of them.
      every_steps: steps between two of them as well.
      keep: how many are kept.
      identity: what decides the run's result; a checkpoint of another one is refused.
      made_with: what decides its last bits, such as versions and the mesh; where that has changed, it is said.
      holds: whether the run is still this process's own; nothing is saved where it is not.
    """

    def __init__(
        self,
        folder: Path,
        every: float,
        every_steps: int | None = None,
        keep: int = 1,
        identity: Mapping[str, Any] | None = None,
        made_with: Mapping[str, Any] | None = None,
        holds: Callable[[], bool] = lambda: True,
    ):
        self._folder, self._every, self._every_steps, self._keep = folder.absolute(), every, every_steps, keep
        self._about = {"identity": _flat(identity or {}), "made_with": _flat(made_with or {})}
        self._time, self._step, self._holds = time.monotonic(), 0, holds

    def latest(self) -> int:
        """Steps done at the latest checkpoint, 0 where there is none."""
        names = [path.name for path in self._folder.iterdir()] if self._folder.is_dir() else []
        return max((int(name) for name in names if name.isdigit()), default=0)

    def restore(self, state: Any, trace: np.ndarray) -> tuple[int, Any, np.ndarray]:
        """(steps done, state, trace) of the latest checkpoint; (0, state, trace) as given where there is none.

        Args:
          state: the state at step 0, whose structure, shapes, dtypes and shardings the restored one has; the mesh may
            be another one than it was saved from.
          trace: [4, steps], what is known of every step, NaN where it is not known yet.

        Raises:
          BadInput: the checkpoint is of another run, or cannot be read.
        """
        step = self.latest()
        if not step:
            return 0, state, trace
        from orbax.checkpoint import args

        where = self._folder / str(step)
        wanted = {"state": _named(state), "trace": trace}
        try:
            about = self._manager.restore(step, args=args.Composite(about=args.JsonRestore()))["about"]
            self._compare(about, where)
            kept = self._manager.restore(step, args=args.Composite(run=args.StandardRestore(wanted)))["run"]
        except BadInput:
            raise
        except Exception as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise BadInput(
                f"the checkpoint {where} cannot be read ({reason}): remove it to continue from the one before, or from "
                "the beginning where there is none."
            ) from error
        self._step = step
        leaves = [kept["state"][name] for name in _named(state)]
        return step, jax.tree.unflatten(jax.tree.structure(state), leaves), np.array(kept["trace"])

    def due(self, step: int) -> bool:
        """Whether it is time for the next one."""
        steps = self._every_steps
        return time.monotonic() - self._time >= self._every or bool(steps and step // steps > self._step // steps)

    def save(self, step: int, state: Any, trace: np.ndarray) -> None:
        """Save in the background, after the save before has ended."""
        from orbax.checkpoint import args

        self._time, self._step = time.monotonic(), step
        if not self._holds():
            return
        self._manager.wait_until_finished()
        run = args.StandardSave({"state": _named(state), "trace": trace.copy()})
        if not self._manager.save(step, args=args.Composite(run=run, about=args.JsonSave(self._about))):
            raise RuntimeError(f"orbax did not save step {step} into {self._folder}, which has step {self.latest()}")

    def close(self) -> None:
        """Wait for a save that is under way."""
        if "_manager" in self.__dict__:
            self._manager.close()

    def remove(self) -> None:
        """Delete what was kept, once the run has ended."""
        self.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _compare(self, about: dict[str, dict[str, Any]], where: Path) -> None:
        differ = {part: list(_differences(about[part], now)) for part, now in self._about.items()}
        if differ["identity"]:
            raise BadInput(
                f"the checkpoint {where} is of another run, {'; '.join(differ['identity'])}: remove it, or restore the "
                "config that it was made with."
            )
        if differ["made_with"]:
            log.warning("%s is continued not bit for bit: %s", where, "; ".join(differ["made_with"]))

    @cached_property
    def _manager(self) -> Any:
        from orbax.checkpoint import CheckpointManager, CheckpointManagerOptions

        options = CheckpointManagerOptions(max_to_keep=self._keep, create=True, cleanup_tmp_directories=True)
        return CheckpointManager(self._folder, options=options)


def _named(state: Any) -> dict[str, Any]:
    """The leaves of a tree by their paths, in order: plain names outlive a change of container types."""
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(state)}


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values by dotted keys, as JSON holds them."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = list(value) if isinstance(value, tuple) else value
    return flat


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            yield f"{name} was {before.get(name)}, is {now.get(name)}"
