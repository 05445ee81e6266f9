"""The hyperparameters of an optimiser as a config, and which of them each optimiser reads. No JAX."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jaxlaws.errors import BadInput
from jaxlaws.plugins import Table


@dataclass
class OptimizerConfig:
    """An optimiser by name, after clipping the global gradient norm, with decoupled weight decay of matrices.

    Attributes:
      name: a name of `READS`.
      peak_lr: largest LR of the schedule.
      weight_decay: λ; a step shrinks matrices by LR · λ.
      beta1, beta2, eps: Adam's moments and its ε; Lion's two rates; Adafactor reads beta1, as momentum; to
        schedule_free_adamw beta1 is how much of the average is in the point where gradients are taken.
      momentum: of sgd, nesterov and muon.
      clip: largest global gradient norm; .inf: none.
      ema: decay a step of the moving average of the weights that is validated; 0: none.
      init_scale: multiplies the initial matrices.
    """

    name: str = "adamw"
    peak_lr: float = 3e-3
    weight_decay: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.95
    eps: float = 1e-8
    momentum: float = 0.9
    clip: float = 1.0
    ema: float = 0.0
    init_scale: float = 1.0

    def check(self) -> None:
        """Raises `BadInput` for an unknown name or a value that makes no sense."""
        reads(self.name)
        for name, high in (("beta1", 1), ("beta2", 1), ("momentum", 1), ("ema", 1), ("weight_decay", float("inf"))):
            if not 0 <= getattr(self, name) < high:
                raise BadInput(f"optimizer.{name} is {getattr(self, name)}, expected a number from 0 up to {high}.")
        for name in ("eps", "clip", "init_scale"):
            if not getattr(self, name) > 0:
                raise BadInput(f"optimizer.{name} is {getattr(self, name)}, expected more than zero.")

    def identity(self) -> dict[str, Any]:
        """What of the config decides a run: the fields that its optimiser reads."""
        return {name: getattr(self, name) for name in reads(self.name)}


#: Optimiser → the fields that it reads besides those that all read: those of others are no part of a run's identity.
_OURS: dict[str, tuple[str, ...]] = {
    "adamw": ("weight_decay", "beta1", "beta2", "eps"),
    "adam": ("beta1", "beta2", "eps"),
    "sgd": ("weight_decay", "momentum"),
    "nesterov": ("weight_decay", "momentum"),
    "lion": ("weight_decay", "beta1", "beta2"),
    "adafactor": ("weight_decay", "beta1"),
    "muon": ("weight_decay", "momentum", "beta1", "beta2", "eps"),
    "soap": ("weight_decay", "beta1", "beta2", "eps"),
    "schedule_free_adamw": ("weight_decay", "beta1", "beta2", "eps"),
}
READS = Table("optimizer.name", "jaxlaws.optimizers", _OURS)


def reads(name: str) -> tuple[str, ...]:
    """The fields that an optimiser reads; `BadInput` names the valid ones."""
    if name not in READS:
        raise READS.unknown(name)
    return ("name", "peak_lr", *READS[name], "clip", "ema", "init_scale")
