"""The Chinchilla law of a model whose active parameters change during training (pruning, growing, up-cycling)."""

from __future__ import annotations

from jaxlaws.laws.points.chinchilla import LAW as _CHINCHILLA
from jaxlaws.laws.variant import variant


def effective(params, inputs):
    """N is the mean over the training of the parameters that are active (arXiv 2501.12486).

    Args:
      params: none are read.
      inputs: `N_mean`, that mean.
    """
    return {"N": inputs["N_mean"]}


LAW = variant(
    _CHINCHILLA,
    name="mean_params",
    formula="L = E + A/N_mean^alpha + B/D^beta",
    reference="Jin et al. 2025, arXiv 2501.12486",
    inputs=("N_mean", "D"),
    effective=effective,
    convention={"loss": "nats"},
)
