"""Training runs of one shape side by side: the loop on the host around the compiled program."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from jaxlaws import config
from jaxlaws.data.tokens import Data
from jaxlaws.training import measure
from jaxlaws.training.checkpoint import Checkpoints
from jaxlaws.training.lane import Lane, Watch, asked, curve_row
from jaxlaws.training.mesh import Mesh, agreed, put, put_batch
from jaxlaws.training.optimizer import hyper
from jaxlaws.training.preemption import Preempted, stop_asked
from jaxlaws.training.program import CHUNK, Program, State, Trace, stacked

#: Sequences in one forward pass of a validation.
EVAL_BATCH = 32


@dataclass(eq=False)
class _Slot:
    """A place in the program, and the lane that it trains.

    `trace` is [4, steps]: loss, gradient norm, update norm and seconds (its share) of every step, NaN where not known.
    """

    lane: Lane
    trace: np.ndarray
    done: int = 0
    last: int = 0
    final: float = np.nan
    diverged: int = -1
    compiled: float = field(default_factory=measure.compile_seconds)
    ended: bool = False

    @property
    def stop(self) -> int:
        """Where the next chunk ends."""
        stops = self.lane.stops
        return min(self.done + CHUNK, stops[bisect_right(stops, self.done)])


@dataclass
class _Work:
    """One chunk: who takes part, each from `first` to `stop`, and what came out of it (still on its way)."""

    slots: list[_Slot | None]
    first: np.ndarray
    stop: np.ndarray
    at_point: np.ndarray
    trace: Trace | None = None
    values: Any = None


def train_lanes(
    program: Program,
    data: Data,
    lanes: Iterable[Lane],
    size: int,
    watch: Watch,
    checkpoints: Checkpoints | None = None,
) -> None:
    """Train every lane to its end: `size` of them side by side, the next one as soon as a place is free.

    Args:
      program: of the lanes' shape.
      data: what it reads.
      lanes: they may differ in everything but what makes a program; asked for the next one only when a place is free.
      size: places of the program; those that are not used stay idle.
      watch: what is told on the way.
      checkpoints: where a single lane is saved from time to time, and continues from.

    A lane that diverges stops where it is and changes nothing for the others. A signal to stop raises `Preempted` after
    the chunk that it meets, once the lane has been saved. The host works one chunk ahead of the
    device, and waits for it only where a lane ends or its state is asked for.
    """
    queue = iter(lanes)
    slots: list[_Slot | None] = [None] * size
    state, hypers, rows, store = None, None, None, _on_device(data, program.mesh)
    pending: _Work | None = None
    settled = time.perf_counter()
    while True:
        fresh = [i for i, slot in enumerate(slots) if slot is None and _fill(slots, i, queue)]
        if not any(slots):
            return
        if fresh:
            hypers = stacked([hyper((slot or _any(slots)).lane.run.optimizer) for slot in slots])
            state = _placed(program, state, slots, fresh, hypers, watch, checkpoints)
            if rows is None:
                rows = _validation(data, _any(slots).lane.run.eval.sequences, program.mesh)
        work = _next_work(slots)
        active, lr, fetched = _inputs(work, data, program)
        state, work.trace = program.advance(store, work.first, state, hypers, lr, active, fetched)
        if work.at_point.any():
            work.values = program.validate(store, state, work.at_point, rows)
        if pending:
            settled = _settle(pending, watch, settled)
        pending = work
        stopping, due = agreed(stop_asked(), checkpoints is not None and checkpoints.due(int(work.stop[0])))
        saved = checkpoints is not None and (stopping or due)
        asked_for = [(i, slot) for i, slot in enumerate(slots) if slot and slot.done in slot.lane.snapshots]
        if saved or stopping or asked_for or any(slot and slot.done == slot.lane.steps for slot in slots):
            settled = _settle(pending, watch, settled)
            pending = None
            for i, slot in asked_for:
                if not slot.ended:
                    one = jax.tree.map(lambda x, i=i: np.asarray(x[i : i + 1]), state)
                    watch.snapshot(slot.lane, slot.done, one, slot.trace[:, : slot.done])
            if checkpoints and saved and slots[0] and not slots[0].ended:
                checkpoints.save(slots[0].done, state, slots[0].trace)
        slots = [None if slot and slot.ended else slot for slot in slots]
        if stopping:
            raise Preempted


def _any(slots: list[_Slot | None]) -> _Slot:
    return next(slot for slot in slots if slot)


def _fill(slots: list[_Slot | None], i: int, queue: Any) -> bool:
    lane = next(queue, None)
    if lane is not None:
        slots[i] = _Slot(lane, np.full((4, lane.steps), np.nan))
    return lane is not None


def _placed(
    program: Program,
    state: State | None,
    slots: list[_Slot | None],
    fresh: list[int],
    hypers: Any,
    watch: Watch,
    checkpoints: Checkpoints | None,
) -> State:
    """The state with the lanes of fresh slots at their starts."""
    which = np.isin(np.arange(len(slots)), fresh)
    seeds = [slot.lane.run.seed if slot and new else 0 for slot, new in zip(slots, which, strict=True)]
    new = program.init(np.array(seeds, np.uint32), hypers)
    for i in fresh:
        slot = slots[i]
        assert slot
        own = 0
        for start in (checkpoints.restore if checkpoints else None, slot.lane.start):
            if start is None or slot.done:
                continue
            one = new if len(slots) == 1 else jax.tree.map(lambda x, i=i: x[i : i + 1], new)
            slot.done, one, slot.trace = start(one, slot.trace)
            if slot.done:
                new = one if len(slots) == 1 else jax.tree.map(lambda x, y, i=i: x.at[i].set(y[0]), new, one)
            own = slot.done if start is not slot.lane.start else 0
        watch.begin(slot.lane, own)
        slot.last = max((step for step in slot.lane.eval_steps if step <= slot.done), default=0)
    return new if state is None or len(fresh) == len(slots) else program.place(state, new, which)


def _next_work(slots: list[_Slot | None]) -> _Work:
    """The next chunk, counted as done."""
    first = np.array([slot.done if slot else 0 for slot in slots], np.int32)
    stop = np.array([slot.stop if slot else 0 for slot in slots], np.int32)
    for slot, end in zip(slots, stop, strict=True):
        if slot:
            slot.done = int(end)
    at_point = np.array([slot is not None and slot.done in slot.lane.eval_steps | slot.lane.looks for slot in slots])
    return _Work(list(slots), first, stop, at_point)


def _inputs(work: _Work, data: Data, program: Program) -> tuple[np.ndarray, np.ndarray, Any]:
    """(active [L, CHUNK], lr [L, CHUNK], fetched [L, CHUNK, B, …]) of a chunk."""
    active = np.arange(CHUNK) < (work.stop - work.first)[:, None]
    lr = np.zeros(active.shape, np.float32)
    picks: list[np.ndarray | None] = []
    for i, slot in enumerate(work.slots):
        if slot:
            part = slot.lane.lr[work.first[i] : work.stop[i]]
            lr[i, : len(part)] = part
            picks.append(data.picks(config.data_seed(slot.lane.run), int(work.first[i]), CHUNK, slot.lane.batch))
        else:
            picks.append(None)
    idle = np.zeros_like(next(some for some in picks if some is not None))
    every = np.stack([idle if some is None else some for some in picks])
    if program.mesh is None:
        return active, lr, data.fetch(every)
    return active, lr, put_batch(every, data.fetch, 2, program.mesh)


def _validation(data: Data, sequences: int, mesh: Mesh | None) -> Any:
    """What a validation reads, [E, B, …]: E forward passes over B sequences, B the largest divisor up to EVAL_BATCH."""
    picks = data.val_picks(sequences)
    batch = max(size for size in range(1, EVAL_BATCH + 1) if len(picks) % size == 0)
    rows = picks.reshape(-1, batch, *picks.shape[1:])
    if mesh is None:
        return data.fetch(rows)
    if batch % (mesh.shape["data"] * mesh.shape["fsdp"]) == 0:
        return put_batch(rows, data.fetch, 1, mesh)
    return put(data.fetch(rows), NamedSharding(mesh, PartitionSpec()))


def _settle(work: _Work, watch: Watch, since: float) -> float:
    """Wait for a chunk and record what it did; the seconds `since` the last one are shared by all who took part."""
    assert work.trace
    reports = np.stack([np.asarray(report) for report in work.trace[:3]])
    diverged = np.asarray(work.trace.diverged)
    values = None if work.values is None else np.asarray(work.values)
    now = time.perf_counter()
    share = (now - since) / max(1, sum(1 for slot in work.slots if slot and not slot.ended))
    taken = 0
    for i, slot in enumerate(work.slots):
        if slot is None or slot.ended:
            continue
        slot.ended = not watch.goes_on(slot.lane)
        if slot.ended:
            continue
        first, stop = int(work.first[i]), int(work.stop[i])
        slot.trace[:3, first:stop] = reports[:, i, : stop - first]
        slot.trace[3, first:stop] = share / (stop - first)
        taken += int((~np.isnan(reports[0, i, : stop - first])).sum())
        slot.diverged = int(diverged[i])
        if slot.diverged < 0 and values is not None and work.at_point[i]:
            if stop in slot.lane.looks:
                watch.look(slot.lane, stop, float(values[i]))
            if stop in slot.lane.eval_steps:
                slot.final = float(values[i])
                watch.point(slot.lane, curve_row(slot.lane, slot.trace, slot.last, stop, slot.final))
                slot.last = stop
        if slot.diverged >= 0 or stop == slot.lane.steps:
            slot.ended = True
            watch.end(slot.lane, _record(slot))
    watch.steps(taken)
    return now


_LAST: list[tuple[Data, Mesh | None, Any]] = []


def _on_device(data: Data, mesh: Mesh | None) -> Any:
    """The data's store on the device, put there once; only the last data set is kept.

    Known by the object, not by its digest: another split of the same content is another store.
    """
    if not _LAST or _LAST[0][0] is not data or _LAST[0][1] != mesh:
        if mesh is None:
            store = jax.device_put(data.store)
        else:
            whole = NamedSharding(mesh, PartitionSpec())
            store = jax.tree.map(lambda part: put(np.asarray(part), whole), data.store)
        _LAST[:] = [(data, mesh, store)]
    return _LAST[0][2]


def _record(slot: _Slot) -> dict[str, Any]:
    lane, losses = slot.lane, slot.trace[0]
    ok = slot.diverged < 0 and bool(np.isfinite(slot.final))
    return {
        "status": "ok" if ok else "diverged",
        "diverged_step": None if ok else (slot.diverged if slot.diverged >= 0 else lane.steps - 1),
        **asked(lane),
        "train_loss_nats": float(losses[-max(1, lane.steps // 10) :].mean()) if ok else None,
        "smooth_loss_nats": float(losses[-lane.smoothing :].mean()) if ok else None,
        "val_loss_nats": slot.final if ok else None,
        "seconds": float(np.nansum(slot.trace[3])),
        "compile_seconds": measure.compile_seconds() - slot.compiled,
        **measure.speed(lane.run, lane.batch_tokens, float(np.nanmedian(slot.trace[3]))),
    }
