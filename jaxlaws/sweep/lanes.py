"""Training the runs of a plan: packs of lanes over the local devices, each run claimed, recorded and never lost."""

from __future__ import annotations

import logging
import platform
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from jaxlaws.config import identity
from jaxlaws.model.shape import count_params, flops_per_token
from jaxlaws.records.run import RunDir
from jaxlaws.sweep.plan import Planned, groups

#: Parameters above which runs are trained one at a time.
LARGEST_PACKED = 20_000_000
#: Lanes of a pack on an accelerator.
ACCELERATOR_LANES = 16
#: Seconds between two checkpoints of a run that is trained alone; packed runs are short and start again.
CHECKPOINT_SECONDS = 300.0
_BEAT_EVERY = 10.0

log = logging.getLogger(__name__)


@dataclass
class Summary:
    """What became of the runs that were asked for, by run id.

    Attributes:
      trained: ended now; diverged ones among them.
      skipped: had ended before.
      busy: held by another process.
      failed: run id → the last line of its error, now or before.
    """

    trained: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    busy: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


#: Called with (FLOPs done since the last call, run ids that just ended).
OnProgress = Callable[[float, Sequence[str]], None]


def train_sweep(planned: Sequence[Planned], strategy: str = "auto", on_progress: OnProgress | None = None) -> Summary:
    """Train every run of a plan that has not ended, and say what became of each.

    Args:
      planned: from `jaxlaws.sweep.plan.plan`.
      strategy: how runs of one shape are packed: `auto`, or a name of `jaxlaws.train.program.STRATEGIES`.
      on_progress: see there.

    A run that raises ends as failed with its error.txt, and the others go on.
    """
    tell = on_progress or (lambda flops, ended: None)
    summary = Summary()
    waiting = []
    for item in planned:
        state = item.directory.state()
        if state == "failed":
            summary.failed[item.directory.name] = item.directory.reason()
        elif state in ("ok", "diverged"):
            summary.skipped.append(item.directory.name)
        else:
            waiting.append(item)
    for group in groups(waiting):
        _train_group(group, strategy, tell, summary)
    return summary


def _train_group(group: list[Planned], strategy: str, tell: OnProgress, summary: Summary) -> None:
    how, size = packing(group[0], len(group), strategy)
    waiting = list(group)
    while waiting:
        pack: list[Planned] = []
        while waiting and len(pack) < size:
            item = waiting.pop(0)
            if item.directory.claim():
                pack.append(item)
            else:
                summary.busy.append(item.directory.name)
        if pack:
            _train_pack(pack, how, size, tell, summary)


def _train_pack(pack: list[Planned], how: str, size: int, tell: OnProgress, summary: Summary) -> None:
    from jaxlaws.data.tokens import open_data
    from jaxlaws.train.checkpoint import Checkpoints
    from jaxlaws.train.program import program
    from jaxlaws.train.run import Lane, asked, train_lanes

    lanes = [Lane(item.run) for item in pack]
    step_flops = flops_per_token(pack[0].run.model, pack[0].run.data.seq_len)[1] * lanes[0].batch_tokens
    checkpoints = Checkpoints(pack[0].directory.path / "checkpoints", CHECKPOINT_SECONDS) if size == 1 else None
    try:
        data = open_data(pack[0].run.data)
        for item in pack:
            item.directory.start_curve(checkpoints.latest() if checkpoints else 0)
        with _heartbeat([item.directory for item in pack]):
            records = train_lanes(
                program(pack[0].run.model, data.read, how),
                data,
                lanes,
                size,
                lambda lane, point: pack[lane].directory.add_point(point),
                lambda count: tell(step_flops * count, ()),
                checkpoints,
            )
        for item, record in zip(pack, records, strict=True):
            about = {"identity": identity(item.run, data.digest), "corpus": data.digest, **versions()}
            item.directory.finish({**record, **about, "strategy": how, "lanes": len(pack)})
            summary.trained.append(item.directory.name)
        if checkpoints:
            checkpoints.remove()
    except Exception as error:
        if len(pack) > 1:
            log.warning("a pack of %d runs failed (%s); training its runs one at a time", len(pack), error)
            for item in pack:
                item.directory.release()
            _train_group(pack, "map", tell, summary)
            return
        pack[0].directory.fail(traceback.format_exc(), {**asked(lanes[0]), **versions()})
        summary.failed[pack[0].directory.name] = pack[0].directory.reason()
        log.error("run %s failed: %s", pack[0].directory.name, summary.failed[pack[0].directory.name])
    finally:
        if checkpoints:
            checkpoints.close()
        for item in pack:
            item.directory.release()
    tell(0.0, [item.directory.name for item in pack])


@contextmanager
def _heartbeat(directories: Sequence[RunDir]) -> Iterator[None]:
    """Renews the claims from a thread of its own: a long compile is no sign of death."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(_BEAT_EVERY):
            for directory in directories:
                directory.beat()

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def packing(item: Planned, runs: int, strategy: str) -> tuple[str, int]:
    """(strategy, lanes of a program) for a group of runs of one shape.

    `auto` packs small models only: over the host's devices on a CPU, where a single program gains nothing from more
    lanes, and into one batch on an accelerator. Asked for by name, a strategy is kept whatever the size.
    """
    import jax

    devices = jax.local_device_count()
    if strategy == "auto":
        if runs == 1 or count_params(item.run.model)[1] > LARGEST_PACKED:
            strategy = "map"
        elif jax.default_backend() == "cpu":
            strategy = "shard" if devices > 1 else "map"
        else:
            strategy = "vmap"
    return strategy, {"map": 1, "shard": devices, "vmap": min(runs, ACCELERATOR_LANES)}.get(strategy, 1)


def versions() -> dict[str, Any]:
    """What the run was made with: versions and devices."""
    import jax

    from jaxlaws import __version__

    device = jax.local_devices()[0]
    return {
        "versions": {"jaxlaws": __version__, "jax": jax.__version__, "python": platform.python_version()},
        "devices": {"kind": device.device_kind, "platform": device.platform, "count": jax.local_device_count()},
    }
