"""How a model is computed, never what: none of this is part of a run's identity. No JAX."""

from __future__ import annotations

from dataclasses import dataclass

from jaxlaws.errors import unknown

#: What the backward pass keeps of a layer: everything, the results of its matrix products, or its input only.
REMAT = ("none", "dots", "full")
ATTENTION = ("auto", "xla", "cudnn")
#: Layers from which a scan over them compiles and runs faster than a Python loop.
SCAN_FROM = 12


@dataclass(frozen=True)
class ComputeConfig:
    """How to compute a transformer.

    Attributes:
      remat: what the backward pass computes again: none, dots (all but matrix products) or full (whole layers).
      scan: one compiled layer for all of them; by default from `SCAN_FROM` layers.
      attention: xla, cudnn (flash attention: a GPU, bfloat16, no document boundaries), or auto, cudnn where it can be.
    """

    remat: str = "none"
    scan: bool | None = None
    attention: str = "auto"

    def check(self) -> ComputeConfig:
        """Itself, if it can be computed so."""
        if self.remat not in REMAT:
            raise unknown("engine.remat", self.remat, REMAT)
        if self.attention not in ATTENTION:
            raise unknown("engine.attention", self.attention, ATTENTION)
        return self

    def scans(self, depth: int) -> bool:
        """Whether a model of `depth` layers is scanned."""
        return depth >= SCAN_FROM if self.scan is None else self.scan
