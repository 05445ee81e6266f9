"""What `jaxlaws train` does with its runs: it states their cost, trains them, or submits them to a cluster."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxlaws.config import EngineConfig, RunConfig, SweepConfig
from jaxlaws.data.config import DataConfig
from jaxlaws.records.files import cache_dir
from jaxlaws.text import printable

#: Arguments that decide how a sweep is trained and leave its runs as they are.
_NO_QUESTION = (
    "sweep.shard=",
    "sweep.wait=",
    "sweep.fail_fast=",
    "sweep.strategy=",
    "sweep.branch=",
    "engine.",
    "hydra/",
    "hydra.",
    "+hydra.",
)


class Dry(NamedTuple):
    """A dry run: the file of its picture; None stands for the sweep's directory."""

    picture: Path | None


def launch(
    runs: Sequence[RunConfig],
    out: Path,
    how: SweepConfig,
    engine: EngineConfig,
    question: Sequence[str],
    dry: Dry | None = None,
    cluster: Mapping[str, Any] | None = None,
) -> int:
    """Train runs into a directory and print what became of them; exit code 1 where one failed or is not there yet.

    Args:
      runs: what is asked for.
      out: directory of the sweep.
      how: settings of the sweep as a whole.
      engine: how runs are computed.
      question: the question in words.
      dry: say what it would cost instead.
      cluster: settings of the launcher that sends shards to a cluster.
    """
    from jaxlaws.training.devices import device_memory, join_processes, use_compile_cache, use_host_devices

    use_compile_cache(cache_dir() / "compiled")
    if engine.distributed:
        join_processes()
    elif len(runs) > 1 or max(engine.data or 1, engine.fsdp, engine.tensor) > 1:
        use_host_devices()
    from jaxlaws.cli.dry_run import dry_run
    from jaxlaws.cli.progress import FailFast, progress
    from jaxlaws.cli.status import print_ended
    from jaxlaws.data.tokens import open_data
    from jaxlaws.sweep.branch import summary
    from jaxlaws.sweep.cluster import train_on_cluster
    from jaxlaws.sweep.complete import complete, so_far
    from jaxlaws.sweep.cost import remember
    from jaxlaws.sweep.lanes import check_devices, train_sweep
    from jaxlaws.sweep.ledger import notes
    from jaxlaws.sweep.plan import lay_out, plan, repeats, shard
    from jaxlaws.sweep.process import is_first
    from jaxlaws.sweep.size import check_memory, host_memory
    from jaxlaws.sweep.snapshots import Snapshots

    def digest(config: DataConfig) -> str:
        return open_data(config).digest

    if not cluster:
        check_memory(runs, device_memory() or host_memory(), host_memory())
    items = lay_out(runs, out, digest)
    remarks = notes(out, items) if len(runs) > 1 else []
    remarks += repeats(items, lambda data: open_data(data).train_sequences)
    part = shard(items, how.shard) if how.shard and not cluster else items
    waiting = [item for item in part if item.directory.state() in ("pending", "running")]
    if not cluster:
        check_devices(waiting, how.strategy, engine)
    if how.branch == "auto" and (branching := summary(waiting, Snapshots(part, waiting).found)):
        remarks.append(f"{branching}.")
    if dry:
        dry_run(out, part, _device(), dry.picture, remarks)
        return 0
    for text in remarks:
        print(f"note: {printable(text)}", file=sys.stderr)
    plan(runs, out, digest, [text for text in question if not text.startswith(_NO_QUESTION)])
    if not is_first():
        return 1 if train_sweep(part, how.strategy, None, engine).failed else 0
    with progress(part, fail_fast=how.fail_fast) as tell:
        try:
            if cluster:
                outcome = train_on_cluster(
                    part, _for_shards(question), out / "submitit", tell=tell, **_split_settings(cluster)
                )
            else:
                outcome = complete(
                    part, lambda some: train_sweep(some, how.strategy, tell, engine, how.branch), how.wait
                )
                remember(part, outcome.trained, _device())
        except FailFast:
            outcome = so_far(part, {item.directory.name for item in waiting})
    print_ended(out, [item.directory for item in part], outcome)
    return 0 if len(outcome.trained) + len(outcome.skipped) == len(part) else 1


def _for_shards(question: Sequence[str]) -> list[str]:
    """The arguments of one shard: those of the sweep without the launcher."""
    return [
        text
        for text in question
        if not text.startswith(("hydra/launcher=", "hydra.launcher.", "+hydra.launcher.", "sweep.shard="))
    ]


def _split_settings(cluster: Mapping[str, Any]) -> dict[str, Any]:
    launcher = {name: cluster[name] for name in ("executor", "shards")}
    return {**launcher, "parameters": {name: value for name, value in cluster.items() if name not in launcher}}


def _device() -> str:
    """The kind of device that trains here."""
    import jax

    return "cpu" if jax.default_backend() == "cpu" else jax.local_devices()[0].device_kind
