"""Checkpoints of a run, through orbax: saved in the background, whole or absent, restored bit for bit or not at all."""

from __future__ import annotations

import gc
import inspect
import json
import logging
import os
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxlaws.errors import BadInput
from jaxlaws.nested import dotted
from jaxlaws.training.checksum import checksums, sha256
from jaxlaws.training.mesh import agreed

log = logging.getLogger(__name__)


class Checkpoints:
    """The latest checkpoints of one run: its state and what is known of its steps, after some number of steps.

    A checkpoint is written beside the others under a name of its own and renamed when it is whole, so whatever ends the
    process leaves the ones before. It holds checksums of all that is in it, which are compared when it is restored.
    Orbax is loaded only when there is something to save or to restore.

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
        self._under_way, self._failing = 0, False

    def latest(self) -> int:
        """Steps done at the latest checkpoint, 0 where there is none."""
        return max(self._steps(), default=0)

    def restore(self, state: Any, trace: np.ndarray) -> tuple[int, Any, np.ndarray]:
        """(steps done, state, trace) of the latest checkpoint that is sound; (0, state, trace) as given where none is.

        One that cannot be read or whose checksums differ is renamed to `corrupt-STEP`, and the one before it is taken.

        Args:
          state: the state at step 0, whose structure, shapes, dtypes and shardings the restored one has; the mesh may
            be another one than it was saved from.
          trace: [4, steps], what is known of every step, NaN where it is not known yet.

        Raises:
          BadInput: the checkpoint is sound and of another run, or was made by another version that wrote it otherwise.
        """
        for step in sorted(self._steps(), reverse=True):
            kept = None
            with _caught() as reasons:
                kept = self._read(step, _named(state), trace)
            if agreed(bool(reasons))[0]:
                self._set_aside(step, *reasons or ["another process could not read it"])
            elif kept:
                self._step = step
                leaves = [kept["state"][name] for name in _named(state)]
                return step, jax.tree.unflatten(jax.tree.structure(state), leaves), np.array(kept["trace"])
        return 0, state, trace

    def due(self, step: int) -> bool:
        """Whether it is time for the next one."""
        steps = self._every_steps
        return time.monotonic() - self._time >= self._every or bool(steps and step // steps > self._step // steps)

    def save(self, step: int, state: Any, trace: np.ndarray) -> None:
        """Save in the background, after the save before has ended. One that fails is said, and the run goes on."""
        from orbax.checkpoint import args

        self._time, self._step = time.monotonic(), step
        if not self._holds():
            return
        leaves = _named(state)
        content = {**self._about, "step": step, "leaves": checksums(leaves), "trace": sha256(trace.tobytes())}
        about = {**content, "sha256": _seal(content)}
        run = args.StandardSave({"state": leaves, "trace": trace.copy()})
        self._finish()
        accepted = True
        with self._said(step):
            accepted = self._manager.save(step, args=args.Composite(run=run, about=args.JsonSave(about)))
            self._under_way = step
        if not accepted:
            raise RuntimeError(f"orbax did not save step {step} into {self._folder}, which has step {self.latest()}")

    def close(self) -> None:
        """Wait for a save that is under way."""
        self._finish()
        self._forget()

    def remove(self) -> None:
        """Delete what was kept, once the run has ended."""
        self.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _steps(self) -> list[int]:
        names = [path.name for path in self._folder.iterdir()] if self._folder.is_dir() else []
        return [int(name) for name in names if name.isdecimal() and int(name)]

    def _read(self, step: int, leaves: dict[str, Any], trace: np.ndarray) -> dict[str, Any]:
        """State and trace after some step.

        Raises:
          BadInput: as `restore`.
          Exception: of any kind where it is damaged.
        """
        from orbax.checkpoint import args

        about = self._manager.restore(step, args=args.Composite(about=args.JsonRestore()))["about"]
        content = {name: value for name, value in about.items() if name != "sha256"}
        if about.get("sha256") != _seal(content) or content["step"] != step:
            raise ValueError("its description has changed")
        self._compare(content, step)
        wanted = args.StandardRestore({"state": leaves, "trace": trace})
        kept = self._manager.restore(step, args=args.Composite(run=wanted))["run"]
        sums = checksums({name: kept["state"][name] for name in leaves})
        changed = [name for name in leaves if sums[name] != content["leaves"].get(name)]
        if sha256(np.asarray(kept["trace"]).tobytes()) != content["trace"]:
            changed.append("its record of steps")
        if changed:
            raise ValueError(f"the checksum of {changed[0]} differs")
        return kept

    def _set_aside(self, step: int, reason: str) -> None:
        self._forget()
        if jax.process_index() == 0:
            aside = self._folder / f"corrupt-{step}"
            with suppress(OSError):
                shutil.rmtree(aside, ignore_errors=True)
                os.replace(self._folder / str(step), aside)
            before = max((other for other in self._steps() if other < step), default=0)
            log.warning(
                "the checkpoint %s is damaged (%s) and kept as %s: going on from %s",
                self._folder / str(step),
                reason,
                aside.name,
                f"the one before, step {before}" if before else "the beginning of the run, there is no other",
            )
        agreed(True)

    @contextmanager
    def _said(self, step: int) -> Iterator[None]:
        """What keeps a checkpoint from being saved as one warning, until one could be saved again."""
        with _caught() as reasons:
            yield
        if not reasons:
            return
        self._forget()
        if not self._failing:
            log.warning(
                "the checkpoint after step %d cannot be saved in %s (%s): the run goes on, and would be continued from "
                "step %d",
                step,
                self._folder,
                reasons[0],
                max((other for other in self._steps() if other < step), default=0),
            )
        self._failing = True

    def _finish(self) -> None:
        if self._under_way:
            step, self._under_way = self._under_way, 0
            with self._said(step):
                self._manager.wait_until_finished()
                self._failing = False

    def _forget(self) -> None:
        """Give up the manager; the next use makes a new one, which sees the folder as it is."""
        manager = self.__dict__.pop("_manager", None)
        if manager is not None:
            with suppress(Exception):
                manager.close()

    def _compare(self, about: dict[str, Any], step: int) -> None:
        differ = {part: list(_differences(about[part], now)) for part, now in self._about.items()}
        if differ["identity"]:
            raise BadInput(
                f"the checkpoint {self._folder / str(step)} is of another run, {'; '.join(differ['identity'])}: remove "
                "it, or restore the config that it was made with."
            )
        if differ["made_with"]:
            log.warning("%s is continued not bit for bit: %s", self._folder / str(step), "; ".join(differ["made_with"]))

    @cached_property
    def _manager(self) -> Any:
        from orbax.checkpoint import CheckpointManager, CheckpointManagerOptions

        _quiet()
        options = CheckpointManagerOptions(max_to_keep=self._keep, create=True, cleanup_tmp_directories=True)
        return CheckpointManager(self._folder, options=options)


@cache
def _quiet() -> None:
    """What orbax raises is said in a sentence here: neither it nor the event loop that it closed print it as well."""
    for name in ("absl", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    before = sys.unraisablehook

    def hook(what: Any) -> None:
        if str(what.exc_value) != "Event loop is closed" and not inspect.iscoroutine(what.object):
            before(what)

    sys.unraisablehook = hook


@contextmanager
def _caught() -> Iterator[list[str]]:
    """Why what is inside failed, in a list, empty where it did not; coroutines that it left are collected silently."""
    reasons: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield reasons
        except (BadInput, MemoryError):
            raise
        except Exception as error:
            reasons.append((str(error).strip() or type(error).__name__).splitlines()[0][:200])
        if reasons:
            gc.collect()


def _seal(content: Mapping[str, Any]) -> str:
    return sha256(json.dumps(content, sort_keys=True).encode())


def _named(state: Any) -> dict[str, Any]:
    """The leaves of a tree by their paths, in order: plain names outlive a change of container types."""
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(state)}


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Nested values by dotted keys, as JSON holds them."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in dotted(values)}


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            yield f"{name} was {before.get(name)}, is {now.get(name)}"
