"""Runs that are trained side by side: claimed one by one, kept alive, recorded as they end, given back otherwise."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from jaxlaws.config import EngineConfig, eval_steps, identity
from jaxlaws.errors import Failed
from jaxlaws.model.shape import flops_per_token
from jaxlaws.records.claim import ClaimLost
from jaxlaws.sweep.packed import described
from jaxlaws.sweep.plan import Planned
from jaxlaws.sweep.process import first_says, is_first, versions
from jaxlaws.sweep.profile import Profile
from jaxlaws.sweep.snapshots import Snapshots

if TYPE_CHECKING:
    from jaxlaws.data.tokens import Data
    from jaxlaws.training.checkpoint import Checkpoints
    from jaxlaws.training.lane import Lane, Watch
    from jaxlaws.training.loggers import Logger

_BEAT_EVERY = 10.0

log = logging.getLogger(__name__)


class Training(Protocol):
    """What a pack needs to know of the sweep that it belongs to, and tells it."""

    engine: EngineConfig
    profiled: bool
    snapshots: Snapshots

    def tell(self, flops: float, ended: Sequence[str], /) -> None:
        """FLOPs done since the last call, and the runs that just ended."""

    def trained(self, item: Planned) -> None:
        """A run has ended."""

    def busy(self, item: Planned) -> None:
        """A run is held by another process."""

    def unwritable(self, item: Planned, error: Exception) -> None:
        """A run's files cannot be written."""


class Pack:
    """Runs of one shape that are trained side by side.

    Args:
      sweep: that they belong to.
      waiting: the runs; those that are claimed are taken out, each as a place for it becomes free.
      how, size: packing strategy and lanes.
      checkpoints: of the one run of a pack of one.
    """

    def __init__(
        self, sweep: Training, waiting: deque[Planned], how: str, size: int, checkpoints: Checkpoints | None = None
    ):
        self.sweep, self.waiting, self.how, self.size, self.checkpoints = sweep, waiting, how, size, checkpoints
        self.held: dict[Lane, Planned] = {}
        self.lost: set[Lane] = set()
        self.loggers: dict[Lane, list[Logger]] = {}
        self.rows: dict[str, list[dict[str, float]]] = {}

    def train(self) -> None:
        from jaxlaws.data.tokens import open_data
        from jaxlaws.training.preemption import preemptible
        from jaxlaws.training.program import program
        from jaxlaws.training.run import train_lanes

        run = self.waiting[0].run
        queue = _Queue(self)
        if queue.first is None:
            return
        data = open_data(run.data)
        profile = Profile(self.sweep, next(iter(self.held.values())).directory.path / "profile")
        with _heartbeat(self.held) as self.lost, profile, preemptible():
            train_lanes(
                program(run, data, self.how, self.sweep.engine),
                data,
                queue,
                self.size,
                self.watch(data, profile),
                self.checkpoints,
            )

    def next_lane(self) -> Lane | None:
        """The lane of the next run that can start now and could be claimed."""
        from jaxlaws.training.loggers import open_loggers

        snapshots = self.sweep.snapshots
        while True:
            others = [item.directory.name for item in (*self.held.values(), *self.waiting)]
            item = next((item for item in self.waiting if snapshots.ready(item, others)), None)
            if item is None:
                return None
            self.waiting.remove(item)
            if not first_says(partial(self.claim, item)):
                continue
            done = self.checkpoints.latest() if self.checkpoints else 0
            if self.checkpoints and done and not first_says(partial(_has_curve, item, done)):
                log.warning("run %s begins anew: its curve.csv lacks rows before its checkpoint.", item.directory.name)
                self.checkpoints.remove()
            lane, self.rows[item.directory.name] = snapshots.lane(item, self.made_with())
            self.held[lane] = item
            if is_first():
                self.loggers[lane] = open_loggers(self.sweep.engine, item.directory.path, asdict(item.run))
            self.sweep.tell(item.work * snapshots.started(item, lane) / lane.steps, ())
            return lane

    def claim(self, item: Planned) -> bool:
        """Claim a run; one that cannot be is told to the sweep."""
        try:
            if item.directory.claim():
                return True
        except (Failed, OSError) as error:
            self.sweep.unwritable(item, error)
        else:
            self.sweep.busy(item)
        return False

    def made_with(self) -> str:
        """What decides the last bits of the lanes."""
        made = versions()
        return (
            f"{described(self.how, self.size)} on {made['devices']['count']} × {made['devices']['kind']}, jax "
            f"{made['versions']['jax']}, jaxlaws {made['versions']['jaxlaws']}"
        )

    def record(self, lane: Lane, row: dict[str, float]) -> None:
        """Write a row of a run's curve, on the process that keeps the records."""
        if not is_first():
            return
        self.held[lane].directory.add_point(row)
        for logger in self.loggers[lane]:
            logger.point(row)

    def watch(self, data: Data, profile: Profile) -> Watch:
        """What is written as the lanes go."""
        from jaxlaws.training.lane import Watch

        run = next(iter(self.held)).run
        step_flops = flops_per_token(run.model, run.data.seq_len)[1] * next(iter(self.held)).batch_tokens

        snapshots = self.sweep.snapshots

        def begin(lane: Lane, done: int) -> None:
            def write(item: Planned) -> None:
                rows = self.rows.pop(item.directory.name)
                snapshots.begun(item, done)
                if is_first():
                    item.directory.start_curve(done)
                for row in rows if not done else []:
                    self.record(lane, row)

            self.write(lane, write)

        def point(lane: Lane, row: dict[str, float]) -> None:
            def write(item: Planned) -> None:
                self.record(lane, row)
                snapshots.look(item, int(row["step"]), row["val_loss"])

            self.write(lane, write)

        def look(lane: Lane, step: int, val_loss: float) -> None:
            self.write(lane, lambda item: snapshots.look(item, step, val_loss))

        def snapshot(lane: Lane, step: int, state: Any, trace: Any) -> None:
            self.write(lane, lambda item: snapshots.save(item, step, state, trace, self.made_with()))

        def end(lane: Lane, record: dict[str, Any]) -> None:
            def write(item: Planned) -> None:
                if is_first():
                    about = {"identity": identity(item.run, data.digest), "corpus": data.digest, **versions()}
                    about |= snapshots.trunk(item, lane)
                    item.directory.finish({**record, **about, "strategy": self.how, "lanes": self.size})
                self.close(lane)
                del self.held[lane]
                snapshots.ended(item)
                self.sweep.trained(item)

            self.write(lane, write)

        def goes_on(lane: Lane) -> bool:
            if lane in self.lost:
                self.lose(lane)
            return lane in self.held

        def steps(count: int) -> None:
            profile.chunk()
            self.sweep.tell(step_flops * count, ())

        return Watch(point, steps, end, look, snapshot, goes_on, begin)

    def write(self, lane: Lane, what: Callable[[Planned], None]) -> None:
        """Let something of a run be written while its claim is held; nothing where it turns out to be lost."""
        item = self.held.get(lane)
        if item is None:
            return
        try:
            if is_first() and not item.directory.holds():
                raise item.directory.lost()
            what(item)
        except ClaimLost:
            self.lose(lane)

    def lose(self, lane: Lane) -> None:
        """Stop the work on a run that another process has taken over: the result is the other's to make.

        Processes that share one mesh stop together, as after a signal: none of them can leave the others' step.
        """
        import jax

        from jaxlaws.training.preemption import ask_to_stop

        if lane not in self.held:
            return
        log.warning("%s", self.held[lane].directory.lost())
        if jax.process_count() > 1:
            ask_to_stop()
            return
        self.close(lane)
        self.sweep.busy(self.held.pop(lane))

    def release(self) -> list[Planned]:
        """Give back the claims of the runs that have not ended, and return those runs."""
        torn = list(self.held.values())
        for lane in self.held:
            self.close(lane)
        self.held.clear()
        if is_first():
            for item in torn:
                with suppress(OSError):
                    item.directory.release()
        return torn

    def close(self, lane: Lane) -> None:
        for logger in self.loggers.pop(lane, ()):
            logger.close()


class _Queue:
    """The lanes of a pack. There may be one later where there is none now: a branch waits for its trunk."""

    def __init__(self, pack: Pack):
        self.pack, self.first = pack, pack.next_lane()

    def __iter__(self) -> Iterator[Lane]:
        return self

    def __next__(self) -> Lane:
        lane, self.first = self.first or self.pack.next_lane(), None
        if lane is None:
            raise StopIteration
        return lane


def _has_curve(item: Planned, done: int) -> bool:
    """Whether curve.csv has every row of the first steps of a run."""
    return set(item.directory.curve_steps()) >= {step for step in eval_steps(item.run) if step <= done}


@contextmanager
def _heartbeat(held: dict[Any, Planned]) -> Iterator[set[Any]]:
    """Renews the claims of the runs that are held, from a thread of its own: a long compile is no sign of death.

    Args:
      held: the runs by their lanes.

    Yields:
      The lanes whose claims are found to be another process's.
    """
    ended, lost = threading.Event(), set[Any]()

    def beat() -> None:
        while not ended.wait(_BEAT_EVERY):
            # A run that ends meanwhile, or a file system that is away for a moment: the next beat is soon enough.
            with suppress(RuntimeError, OSError):
                lost.update(lane for lane, item in list(held.items()) if not item.directory.beat() and lane in held)

    thread = threading.Thread(target=beat, daemon=True)
    if is_first():
        thread.start()
    try:
        yield lost
    finally:
        ended.set()
        if is_first():
            thread.join()
