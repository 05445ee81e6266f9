"""jaxlaws: learning-rate-schedule and hyperparameter laws, from sweep to fit to recommendation to verification."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxlaws import laws
    from jaxlaws.api import design, fit, law, plot, recommend
    from jaxlaws.cli.train import train
    from jaxlaws.designs.bound import bound
    from jaxlaws.errors import BadInput, Untrusted
    from jaxlaws.fits import Fit
    from jaxlaws.fitting.compare import compare
    from jaxlaws.fitting.cross import cross
    from jaxlaws.fitting.optimum import optimum
    from jaxlaws.fitting.predict import predict
    from jaxlaws.records.run import collect
    from jaxlaws.records.source import open_runs
    from jaxlaws.records.table import Curve, Runs
    from jaxlaws.schedules.exchange import to_optax
    from jaxlaws.schedules.spec import schedule

__version__ = "0.1.0"

__all__ = [
    "BadInput",
    "Curve",
    "Fit",
    "Runs",
    "Untrusted",
    "bound",
    "collect",
    "compare",
    "cross",
    "design",
    "fit",
    "law",
    "laws",
    "open_runs",
    "optimum",
    "plot",
    "predict",
    "recommend",
    "schedule",
    "to_optax",
    "train",
]

#: Public name → module that holds it. Loaded on first use, so that `import jaxlaws` costs nothing.
_HOME = {
    **dict.fromkeys(("design", "fit", "law", "plot", "recommend"), "jaxlaws.api"),
    **dict.fromkeys(("BadInput", "Untrusted"), "jaxlaws.errors"),
    **dict.fromkeys(("Curve", "Runs"), "jaxlaws.records.table"),
    "Fit": "jaxlaws.fits",
    "bound": "jaxlaws.designs.bound",
    "collect": "jaxlaws.records.run",
    "compare": "jaxlaws.fitting.compare",
    "cross": "jaxlaws.fitting.cross",
    "open_runs": "jaxlaws.records.source",
    "optimum": "jaxlaws.fitting.optimum",
    "predict": "jaxlaws.fitting.predict",
    "schedule": "jaxlaws.schedules.spec",
    "to_optax": "jaxlaws.schedules.exchange",
    "train": "jaxlaws.cli.train",
}


def __getattr__(name: str) -> Any:
    if name == "laws":  # the package, which its own import puts here
        return import_module("jaxlaws.laws")
    if name not in _HOME:
        raise AttributeError(f"module 'jaxlaws' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
