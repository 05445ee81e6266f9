"""What a run costs: time to compile, tokens a second, use of the device's peak, and its memory."""

from __future__ import annotations

from typing import Any

import jax

from jaxlaws.config import RunConfig
from jaxlaws.model.shape import flops_per_token

#: Part of a device's kind, lower case → dense bfloat16 peak in FLOP/s, as the makers publish it; the first that fits.
PEAKS: dict[str, float] = {
    "b200": 2250e12,
    "h200": 989e12,
    "h100": 989e12,
    "a100": 312e12,
    "l40s": 362e12,
    "a10": 125e12,
    "l4": 121e12,
    "v100": 125e12,
    "4090": 165e12,
    "tpu7x": 2307e12,
    "v6": 918e12,
    "v5p": 459e12,
    "v5e": 197e12,
    "v5 lite": 197e12,
    "v4": 275e12,
    "v3": 123e12,
    "v2": 45e12,
}

_COMPILING = [0.0]


def _count(event: str, duration_secs: float, **_: Any) -> None:
    if event.startswith("/jax/core/compile/"):
        _COMPILING[0] += duration_secs


jax.monitoring.register_event_duration_secs_listener(_count)


def compile_seconds() -> float:
    """Seconds that JAX has spent tracing, lowering and compiling in this process so far."""
    return _COMPILING[0]


def peak_flops(kind: str) -> float | None:
    """The dense bfloat16 peak of a device in FLOP/s, by its kind; None where it is not in `PEAKS`."""
    return next((peak for part, peak in PEAKS.items() if part in kind.lower()), None)


def peak_memory() -> int | None:
    """The most bytes that any local device has held so far; None where the backend does not say (a CPU)."""
    stats = [device.memory_stats() for device in jax.local_devices()]
    return max((part["peak_bytes_in_use"] for part in stats if part and "peak_bytes_in_use" in part), default=None)


def speed(run: RunConfig, batch_tokens: int, step_seconds: float) -> dict[str, Any]:
    """The columns of a run's record that say how fast it was trained.

    Args:
      run: its config.
      batch_tokens: tokens in a step.
      step_seconds: median wall clock of a step, the run's share where lanes were packed.

    MFU is exact training FLOPs a second over the bfloat16 peak of all the devices in use, whatever the precision of the
    run. Chowdhery et al. 2022, arXiv 2204.02311.
    """
    peak = peak_flops(jax.devices()[0].device_kind)
    flops = flops_per_token(run.model, run.data.seq_len)[1] * batch_tokens / step_seconds
    return {
        "step_seconds": step_seconds,
        "tokens_per_second": batch_tokens / step_seconds,
        "mfu": flops / (peak * jax.device_count()) if peak else None,
        "peak_memory_bytes": peak_memory(),
    }
