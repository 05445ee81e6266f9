"""How many runs of one shape share a program, and how: measured once for each device and shape, then remembered."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from jaxlaws import config
from jaxlaws.config import EngineConfig
from jaxlaws.model.shape import count_params
from jaxlaws.records import files
from jaxlaws.sweep.plan import Planned

#: Parameters above which runs are trained one at a time.
LARGEST_PACKED = 20_000_000
#: Lanes of a pack in one batch that are tried, at most.
SIZES = (4, 16, 64)
#: FLOPs of a group from which a trial pays: about a minute of work on two CPU cores, or on an accelerator.
WORTH_A_TRIAL = {"cpu": 1e12, "gpu": 1e15, "tpu": 1e15}
#: Share of the memory that is free which a pack may fill.
_FILL = 0.8


def packing(item: Planned, runs: int, strategy: str, engine: EngineConfig) -> tuple[str, int]:
    """(strategy, lanes of a program) for a group of runs of one shape.

    Large models, and whatever asks for a mesh, are trained one at a time over all its devices. Small ones are packed as
    was fastest in a trial on this kind of device, which is made where the group has work for about a minute; otherwise
    over the host's devices on a CPU and into one batch on an accelerator. A strategy asked for by name is kept.
    """
    import jax

    devices, backend = jax.local_device_count(), jax.default_backend()
    over_mesh = jax.process_count() > 1 or (engine.data or 1, engine.fsdp, engine.tensor) != (1, 1, 1)
    large = count_params(item.run.model)[1] > LARGEST_PACKED
    if strategy == "auto":
        if over_mesh or (large and devices > 1 and backend != "cpu"):
            strategy = "mesh"
        elif runs == 1 or large:
            strategy = "map"
        else:
            usual = ("shard" if devices > 1 else "map") if backend == "cpu" else "vmap"
            work = item.work * runs
            known = remembered(item, runs) or (
                trial(item, runs, engine) if work > WORTH_A_TRIAL.get(backend, 1e15) else None
            )
            if known:
                return known
            strategy = usual
    return strategy, {"shard": devices, "vmap": min(runs, SIZES[1])}.get(strategy, 1)


def trial(item: Planned, runs: int, engine: EngineConfig) -> tuple[str, int]:
    """Measure tokens a second of every way to pack these runs that fits into memory, and remember the fastest."""
    import jax

    candidates = [("map", 1)]
    if jax.local_device_count() > 1 and runs > 1:
        candidates.append(("shard", jax.local_device_count()))
    candidates += [("vmap", size) for size in sorted({min(size, runs) for size in SIZES}) if size > 1]
    speeds: dict[tuple[str, int], float] = {}
    for how, size in candidates:
        try:
            speeds[how, size] = measure(item, how, size, engine)
        except Exception as error:
            if not out_of_memory(error):
                raise
            break
        if how == "vmap" and speeds[how, size] < max(speeds.values()):
            break
    best = max(speeds, key=lambda pair: speeds[pair])
    _remember(item, runs, {f"{how} {size}": value for (how, size), value in speeds.items()})
    return best


def measure(item: Planned, how: str, size: int, engine: EngineConfig) -> float:
    """Tokens a second of `size` lanes of this run side by side, from two chunks after a first one.

    Raises:
      MemoryError: the compiled program would not fit into the memory that is free.
    """
    import jax
    import numpy as np

    from jaxlaws.data.tokens import open_data
    from jaxlaws.training.optimizer import hyper
    from jaxlaws.training.program import CHUNK, program, stacked
    from jaxlaws.training.run import _on_device

    run, batch = item.run, config.batch_sequences(item.run)
    data = open_data(run.data)
    compiled = program(run, data, how, engine)
    hypers = stacked([hyper(run.optimizer)] * size)
    state = compiled.init(np.arange(size, dtype=np.uint32), hypers)
    picks = np.stack([data.picks(lane, 0, CHUNK, batch) for lane in range(size)])
    rates, active = np.full((size, CHUNK), 1e-4, np.float32), np.ones((size, CHUNK), bool)
    inputs = (hypers, rates, active, data.fetch(picks))
    store, first = _on_device(data, None), np.zeros(size, np.int32)
    need = compiled.advance.lower(store, first, state, *inputs).compile().memory_analysis()  # type: ignore[attr-defined]
    free = free_memory()
    if need and free and need.temp_size_in_bytes + need.argument_size_in_bytes > _FILL * free:
        raise MemoryError(f"{size} lanes need {need.temp_size_in_bytes:,} bytes")
    state, _ = compiled.advance(store, first, state, *inputs)
    jax.block_until_ready(state)
    began = time.perf_counter()
    for _ in range(2):
        state, _ = compiled.advance(store, first, state, *inputs)
    jax.block_until_ready(state)
    return 2 * CHUNK * size * batch * run.data.seq_len / (time.perf_counter() - began)


def free_memory() -> int | None:
    """Bytes that are free on the first local device; on a CPU, of the host; None where neither says."""
    import jax

    stats = jax.local_devices()[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return int(stats["bytes_limit"] - stats.get("bytes_in_use", 0))
    with suppress(OSError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024 * int(next(line.split()[1] for line in lines if line.startswith("MemAvailable:")))
    return None


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on the host or on a device."""
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error) or "out of memory" in str(error).lower()


def remembered(item: Planned, runs: int) -> tuple[str, int] | None:
    """The fastest way to pack such runs that a trial on this kind of device has found, of those with enough runs."""
    speeds = {tuple(name.split()): value for name, value in _table().get(_key(item, runs), {}).items()}
    if not speeds:
        return None
    how, size = max(speeds, key=lambda pair: speeds[pair])
    return how, int(size)


def _key(item: Planned, runs: int) -> str:
    import jax

    device, run = jax.local_devices()[0], item.run
    batch = config.batch_sequences(run)
    shape = f"{count_params(run.model)[1]} params {run.model.dtype} {batch}x{run.data.seq_len} {run.optimizer.name}"
    lanes = min((size for size in SIZES if size >= runs), default=SIZES[-1])
    return f"{device.device_kind} x{jax.local_device_count()} jax {jax.__version__}: {shape}, up to {lanes} lanes"


def _table() -> dict[str, dict[str, float]]:
    return files.remembered(files.cache_dir() / "packing.json", _are_speeds)


def _are_speeds(value: Any) -> bool:
    """Whether a value of the table is {"how size": tokens a second}."""
    return isinstance(value, dict) and all(
        re.fullmatch(r"(map|shard|vmap) [1-9]\d{0,8}", name) and isinstance(speed, int | float) and speed > 0
        for name, speed in value.items()
    )


def _remember(item: Planned, runs: int, speeds: dict[str, float]) -> None:
    files.remember(files.cache_dir() / "packing.json", {**_table(), _key(item, runs): speeds})
