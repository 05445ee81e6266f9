"""The names of the loss laws, for code that must not load JAX."""

from __future__ import annotations

LAW_NAMES = (
    "multi_power",
    "annealing",
    "annealing_size",
    "opl",
    "lldl",
    "bound",
    "chinchilla",
    "kaplan",
    "critical_batch",
    "farseer",
)
