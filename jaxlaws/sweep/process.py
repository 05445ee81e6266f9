"""One of the processes that share a mesh: the first keeps the records and answers for all, and what it is made of."""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any


def is_first() -> bool:
    """Whether this process keeps the records."""
    import jax

    return jax.process_index() == 0


def first_says(question: Callable[[], Any]) -> Any:
    """The first process's answer to a question that touches files, on every process."""
    import jax

    if jax.process_count() == 1:
        return question()
    import numpy as np
    from jax.experimental.multihost_utils import broadcast_one_to_all

    said = str(question() if is_first() else "").encode().ljust(32)
    text = bytes(np.asarray(broadcast_one_to_all(np.frombuffer(said, np.uint8)))).decode().strip()
    return {"True": True, "False": False}.get(text, text)


def versions() -> dict[str, Any]:
    """What the run was made with: versions and devices."""
    import jax

    from jaxlaws import __version__

    device = jax.local_devices()[0]
    return {
        "versions": {"jaxlaws": __version__, "jax": jax.__version__, "python": platform.python_version()},
        "devices": {"kind": device.device_kind, "platform": device.platform, "count": jax.device_count()},
    }
