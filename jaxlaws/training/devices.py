"""Devices of this process and of the others, and the cache of what was compiled for them."""

from __future__ import annotations

import os
from pathlib import Path

import jax

from jaxlaws.errors import BadInput

#: Environment variables that tell each of several processes of one job where the others are; TPU pods and SLURM jobs
#: say it in their own way.
_JOB = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")


def use_host_devices() -> None:
    """Give the CPU backend one device a core; does nothing once a backend is up, or where XLA_FLAGS says otherwise."""
    if "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", ""):
        return
    try:
        jax.config.update("jax_num_cpu_devices", len(os.sched_getaffinity(0)))
    except RuntimeError:
        return


def use_compile_cache(folder: Path) -> None:
    """Keep compiled programs in a folder, unless JAX_COMPILATION_CACHE_DIR names another one."""
    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        jax.config.update("jax_compilation_cache_dir", str(folder))


def device_memory() -> float | None:
    """Bytes of the memory of all devices together; None where the backend does not say (a CPU)."""
    stats = [device.memory_stats() for device in jax.local_devices()]
    each = [part["bytes_limit"] for part in stats if part and "bytes_limit" in part]
    return float(min(each) * jax.device_count()) if each else None


def join_processes() -> None:
    """Make the processes of a job one, before anything touches a device: all their devices are one mesh then.

    Reads JAX_COORDINATOR_ADDRESS (HOST:PORT of the first process), JAX_NUM_PROCESSES and JAX_PROCESS_ID; where none of
    them is set, `jax.distributed` finds out by itself, which works on TPU pods and under SLURM and Open MPI.

    Raises:
      BadInput: some of the three are set and some are not, or no job can be recognised.
    """
    given = {name: os.environ[name] for name in _JOB if name in os.environ}
    if not given:
        try:
            jax.distributed.initialize()
        except ValueError as error:
            raise BadInput(
                f"engine.distributed finds no job to join ({str(error).splitlines()[0].rstrip('.')}): set "
                f"{', '.join(_JOB)} for every process."
            ) from None
        return
    if len(given) < len(_JOB):
        missing = ", ".join(name for name in _JOB if name not in given)
        raise BadInput(f"{', '.join(given)} is set but {missing} is not: set all three for every process of the job.")
    address, count, index = (given[name] for name in _JOB)
    try:
        jax.distributed.initialize(address, int(count), int(index))
    except ValueError as error:
        raise BadInput(f"the processes of the job cannot be joined: {error}.") from None
