"""Training the runs of a plan, shape by shape: side by side while they are small, otherwise one by one."""

from __future__ import annotations

import logging
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from jaxlaws.config import EngineConfig, SweepConfig, batch_sequences, check_settings, identity
from jaxlaws.errors import Failed, unknown
from jaxlaws.model.compute import ComputeConfig
from jaxlaws.model.shape import count_params
from jaxlaws.records.claim import ClaimLost
from jaxlaws.sweep.pack import Pack
from jaxlaws.sweep.packed import keep_packing, kept_packing
from jaxlaws.sweep.packing import out_of_memory
from jaxlaws.sweep.plan import Planned, groups
from jaxlaws.sweep.process import first_says, is_first, versions
from jaxlaws.sweep.snapshots import Snapshots

#: Settings of the engine that decide the last bits of a result.
_LAST_BITS = ("data", "fsdp", "tensor", "accumulate", "remat", "scan", "attention")

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


def train_sweep(
    planned: Sequence[Planned],
    strategy: str = "auto",
    on_progress: OnProgress | None = None,
    engine: EngineConfig | None = None,
    branch: str = "off",
) -> Summary:
    """Train every run of a plan that has not ended, and say what became of each.

    Args:
      planned: from `jaxlaws.sweep.plan.plan`.
      strategy: how runs of one shape are packed: `auto`, or a name of `jaxlaws.training.program.STRATEGIES`.
      on_progress: see there.
      engine: how runs are computed.
      branch: `auto` trains the first part that runs share once (`jaxlaws.sweep.branch`), `off` every run by itself.

    A run that raises ends as failed with its error.txt, and the others go on. Where several processes share one mesh,
    all of them call this with the same plan, and the first one keeps the records.
    """
    import jax

    check_settings(SweepConfig(strategy=strategy, branch=branch), engine or EngineConfig())
    sweep = _Sweep(strategy, engine or EngineConfig(), on_progress or (lambda flops, ended: None))
    waiting = []
    for item in planned:
        state = first_says(item.directory.state)
        if state == "failed":
            sweep.summary.failed[item.directory.name] = item.directory.reason()
        elif state in ("ok", "diverged"):
            sweep.summary.skipped.append(item.directory.name)
        else:
            waiting.append(item)
    if branch == "auto" and jax.process_count() == 1:
        sweep.snapshots = Snapshots(planned, waiting)
    check_devices(waiting, strategy, sweep.engine)
    for group in groups(waiting):
        sweep.train_group(group)
    return sweep.summary


def check_devices(planned: Sequence[Planned], strategy: str, engine: EngineConfig) -> None:
    """Raises `BadInput` for what is impossible with these devices, before anything is claimed."""
    from jaxlaws.model.transformer import check_attention
    from jaxlaws.training.loggers import check_loggers
    from jaxlaws.training.mesh import check_batch, make_mesh
    from jaxlaws.training.program import STRATEGIES

    if strategy not in ("auto", *STRATEGIES):
        raise unknown("sweep.strategy", strategy, ("auto", *STRATEGIES))
    mesh, compute = make_mesh(engine), ComputeConfig(engine.remat, engine.scan, engine.attention)
    for item in planned:
        check_attention(item.run.model, compute)
        check_batch(batch_sequences(item.run), engine.accumulate, mesh if mesh.size > 1 else None)
    check_loggers(engine)


class _Sweep:
    """What the groups of a sweep share: how they are trained, and the account of what became of them."""

    def __init__(self, strategy: str, engine: EngineConfig, tell: OnProgress):
        self.strategy, self.engine, self.tell, self.summary = strategy, engine, tell, Summary()
        self.profiled = False
        self.snapshots = Snapshots([], [])

    def trained(self, item: Planned) -> None:
        """A run has ended."""
        self.summary.trained.append(item.directory.name)
        self.tell(0.0, [item.directory.name])

    def busy(self, item: Planned) -> None:
        """A run is held by another process."""
        self.summary.busy.append(item.directory.name)

    def unwritable(self, item: Planned, error: Exception) -> None:
        """A run's files cannot be written: it stays as it was."""
        self.summary.failed[item.directory.name] = f"{error}"
        log.error("run %s is left as it is: %s", item.directory.name, error)

    def train_group(self, group: Sequence[Planned]) -> None:
        """Train runs of one shape: in packs whose places are refilled, smaller ones where memory is short."""
        how, size = kept_packing(group[0], len(group), self.strategy, self.engine)
        waiting = deque(group)
        while waiting:
            if size == 1:
                self.train_alone(waiting.popleft(), how)
                continue
            pack = Pack(self, waiting, how, size)
            try:
                pack.train()
            except Exception as error:
                torn = pack.release()
                if out_of_memory(error):
                    log.warning("%d runs side by side do not fit into memory: going on with %d", size, size // 2)
                    waiting.extendleft(reversed(torn))
                    how, size = (how if how == "vmap" and size > 3 else "map"), (size // 2 if how == "vmap" else 1)
                    keep_packing(group[0], len(group), how, size)
                else:
                    log.warning("a pack of %d runs failed (%s); training its runs one at a time", len(torn), error)
                    for item in torn:
                        self.train_alone(item, "map")
            finally:
                pack.release()

    def train_alone(self, item: Planned, how: str) -> None:
        """Train one run, from its latest checkpoint on; what it raises is its failure."""
        from jaxlaws.data.tokens import open_data
        from jaxlaws.training.checkpoint import Checkpoints

        engine = self.engine
        checkpoints = Checkpoints(
            item.directory.path / "checkpoints",
            engine.checkpoint_seconds,
            engine.checkpoint_steps,
            engine.keep,
            identity(item.run, open_data(item.run.data).digest),
            {**versions(), "strategy": how, "engine": {name: getattr(engine, name) for name in _LAST_BITS}},
            lambda: first_says(item.directory.holds),
        )
        pack = Pack(self, deque([item]), how, 1, checkpoints)
        try:
            pack.train()
        except Exception as error:
            if item in pack.held.values():
                self.fail(item, error)
            elif item.directory.name not in self.summary.busy:
                raise
        finally:
            checkpoints.close()
            if item.directory.name in self.summary.trained and is_first():
                checkpoints.remove()
            pack.release()

    def fail(self, item: Planned, error: Exception) -> None:
        """Record that a run cannot be trained."""
        from jaxlaws.training.lane import Lane, asked

        reason = traceback.format_exc()
        if out_of_memory(error):
            run = item.run
            reason += (
                f"out of memory with {count_params(run.model)[1]:,} parameters and {Lane(run).batch_tokens:,} tokens a "
                "step: raise engine.accumulate, set engine.remat=full, lower the batch, or spread the run over more "
                "devices with engine.fsdp.\n"
            )
        try:
            if is_first():
                item.directory.fail(reason, {**asked(Lane(item.run)), **versions()})
        except ClaimLost as lost:
            log.warning("%s", lost)
            return self.busy(item)
        except (Failed, OSError) as unwritable:
            return self.unwritable(item, unwritable)
        self.summary.failed[item.directory.name] = reason.strip().splitlines()[-1]
        log.error("run %s failed: %s", item.directory.name, self.summary.failed[item.directory.name])
        self.tell(0.0, [item.directory.name])
