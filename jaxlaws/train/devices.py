"""Local devices: on a CPU, one for each core, so that lanes run side by side."""

from __future__ import annotations

import os

import jax


def use_host_devices() -> None:
    """Give the CPU backend one device a core; does nothing once a backend is up, or where XLA_FLAGS says otherwise."""
    if "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", ""):
        return
    try:
        jax.config.update("jax_num_cpu_devices", len(os.sched_getaffinity(0)))
    except RuntimeError:
        return
