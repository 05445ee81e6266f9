"""Where the points of a run's curve go besides its curve.csv: TensorBoard and Weights & Biases, where asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from jaxlaws.config import EngineConfig
from jaxlaws.errors import BadInput


class Logger(Protocol):
    """Receives the points of one run."""

    def point(self, row: Mapping[str, float]) -> None:
        """One row of curve.csv."""

    def close(self) -> None:
        """The run has ended, or will go on another time."""


def open_loggers(engine: EngineConfig, folder: Path, config: Mapping[str, Any]) -> list[Logger]:
    """The loggers that an engine asks for.

    Args:
      engine: of the sweep.
      folder: of the run; its name is the run's.
      config: of the run, as it is shown there.

    Raises:
      BadInput: a package is missing.
    """
    made: list[Logger] = []
    if engine.tensorboard:
        made.append(_TensorBoard(folder))
    if engine.wandb:
        made.append(_Wandb(folder, config))
    return made


def check_loggers(engine: EngineConfig) -> None:
    """Raises `BadInput` where a package that is asked for is not installed."""
    for asked, package in ((engine.tensorboard, "tensorboardX"), (engine.wandb, "wandb")):
        if asked:
            _package(package)


def _package(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise BadInput(f"{name} is not installed, which engine asks for: pip install 'jaxlaws[log]'.") from None


class _TensorBoard:
    """Event files in the run's folder `tensorboard`."""

    def __init__(self, folder: Path):
        self._writer = _package("tensorboardX").SummaryWriter(str(folder / "tensorboard"))

    def point(self, row: Mapping[str, float]) -> None:
        for name, value in row.items():
            if name != "step":
                self._writer.add_scalar(name, value, int(row["step"]))

    def close(self) -> None:
        self._writer.close()


class _Wandb:
    """A W&B run named after the run's folder, in the project `jaxlaws` or what WANDB_PROJECT says."""

    def __init__(self, folder: Path, config: Mapping[str, Any]):
        settings = {"name": folder.name, "id": folder.name, "resume": "allow", "dir": str(folder)}
        self._run = _package("wandb").init(
            project=None, config=dict(config), group=folder.parent.name, reinit="create_new", **settings
        )

    def point(self, row: Mapping[str, float]) -> None:
        self._run.log({name: value for name, value in row.items() if name != "step"}, step=int(row["step"]))

    def close(self) -> None:
        self._run.finish()
