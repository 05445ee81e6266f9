"""Checkpoints of a run, through orbax: saved in the background, whole or absent, and restored bit for bit."""

from __future__ import annotations

import shutil
import time
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import numpy as np


class Checkpoints:
    """The latest checkpoint of one run: its state and training losses after some number of steps.

    Orbax is loaded only when there is something to save or to restore.

    Args:
      folder: where it is kept.
      every: seconds between two of them.
    """

    def __init__(self, folder: Path, every: float, every_steps: int | None = None, keep: int = 1):
        self._folder, self._every, self._last = folder.absolute(), every, time.monotonic()
        self._every_steps, self._keep = every_steps, keep

    def latest(self) -> int:
        """Steps done at the latest checkpoint, 0 where there is none."""
        return (self._manager.latest_step() or 0) if self._folder.is_dir() else 0

    def restore(self, state: Any, trace: np.ndarray) -> tuple[int, Any, np.ndarray]:
        """(steps done, state, trace) of the latest checkpoint; (0, state, trace) as given where there is none.

        Args:
          state: the state at step 0, whose structure, shapes, dtypes and shardings the restored one has.
          trace: [4, steps], what is known of every step, NaN where it is not known yet.
        """
        step = self.latest()
        if not step:
            return 0, state, trace
        from orbax.checkpoint import args

        kept = self._manager.restore(step, args=args.StandardRestore({"state": _named(state), "trace": trace}))
        leaves = [kept["state"][name] for name in _named(state)]
        return step, jax.tree.unflatten(jax.tree.structure(state), leaves), np.array(kept["trace"])

    def due(self, step: int) -> bool:
        """Whether it is time for the next one."""
        return time.monotonic() - self._last >= self._every

    def save(self, step: int, state: Any, trace: np.ndarray) -> None:
        """Save in the background."""
        from orbax.checkpoint import args

        self._last = time.monotonic()
        self._manager.save(step, args=args.StandardSave({"state": _named(state), "trace": trace.copy()}))

    def close(self) -> None:
        """Wait for a save that is under way."""
        if "_manager" in self.__dict__:
            self._manager.close()

    def remove(self) -> None:
        """Delete what was kept, once the run has ended."""
        self.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    @cached_property
    def _manager(self) -> Any:
        from orbax.checkpoint import CheckpointManager, CheckpointManagerOptions

        return CheckpointManager(self._folder, options=CheckpointManagerOptions(max_to_keep=1, create=True))


def _named(state: Any) -> dict[str, Any]:
    """The leaves of a tree by their paths, in order: plain names outlive a change of container types."""
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(state)}
