"""jaxlaws: learning-rate-schedule and hyperparameter laws, from sweep to fit to recommendation to verification."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

#: Public name → module that holds it. Loaded on first use, so that `import jaxlaws` costs nothing.
_PUBLIC = {
    "BadInput": "jaxlaws.errors",
    "Untrusted": "jaxlaws.errors",
    "Curve": "jaxlaws.records.table",
    "Runs": "jaxlaws.records.table",
    "open_runs": "jaxlaws.records.source",
    "fit": "jaxlaws.api",
    "law": "jaxlaws.api",
    "predict": "jaxlaws.fitting.predict",
    "recommend": "jaxlaws.api",
}
__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'jaxlaws' has no attribute '{name}'")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
