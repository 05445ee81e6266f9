"""Whether a request can fit into the memory there is, said before it is served. No JAX."""

from __future__ import annotations

import os
from collections.abc import Sequence

from jaxlaws import config
from jaxlaws.config import RunConfig
from jaxlaws.errors import BadInput
from jaxlaws.model.shape import count_params
from jaxlaws.records.units import short, short_bytes


def host_memory() -> float:
    """Bytes of this machine's memory."""
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def least_memory(run: RunConfig) -> float:
    """Bytes that a run holds however it is computed.

    8·N for weights and gradients in float32, 4·(B + E)·(S + 1) for the tokens of a batch and of a validation, 4·S·V for
    the logits of one sequence.
    """
    sequences = config.batch_sequences(run) + run.eval.sequences
    tokens, logits = sequences * (run.data.seq_len + 1), run.data.seq_len * run.model.vocab
    return 8.0 * count_params(run.model)[1] + 4.0 * (tokens + logits)


def check_memory(runs: Sequence[RunConfig], devices: float, host: float) -> None:
    """Raises `BadInput` for a run that cannot fit into the devices, or LR curves that cannot fit into the host.

    Args:
      runs: of a sweep.
      devices: bytes of the memory of all devices together.
      host: bytes of this machine's memory.
    """
    curves = 0.0
    for run in runs:
        curves += 8.0 * config.steps(run)
        if (needs := least_memory(run)) > devices:
            raise BadInput(
                f"a run of {short(count_params(run.model)[1])} parameters in batches of {config.batch_sequences(run)} "
                f"and validations of {run.eval.sequences} sequences of {run.data.seq_len} tokens needs "
                f"{short_bytes(needs)} of memory at least, and the devices have {short_bytes(devices)}: ask for less."
            )
    if curves > host / 2:
        raise BadInput(
            f"the LR of every step of {len(runs)} runs needs {short_bytes(curves)} of memory, and the machine has "
            f"{short_bytes(host)}: ask for fewer runs or steps."
        )
