"""shim"""

from dataclasses import dataclass


@dataclass(frozen=True)
class ComputeConfig:
    remat: str = "none"
    scan: bool | None = None
    attention: str = "auto"
