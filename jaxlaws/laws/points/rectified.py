"""The rectified law of fine-tuning: the loss by the number of examples, none included."""

from __future__ import annotations

from jaxlaws.laws.law import Law, Parameter
from jaxlaws.laws.lazy import jnp


def basis(params, inputs):
    """The terms of L = B/(D_l + D^β) + E (form from memory; Lin et al. 2024, arXiv 2402.02314).

    D_l stands for what pre-training taught of the task: the loss starts to fall once D^β is as large.

    Args:
      params: `D_l`, in the unit of D^β, and the exponent `beta`.
      inputs: `examples`, D ≥ 0.

    Returns:
      1/(D_l + D^β) and 1, with coefficients B and E (nats a token).
    """
    positive = inputs["examples"] > 0
    power = jnp.where(positive, jnp.where(positive, inputs["examples"], 1.0) ** params["beta"], 0.0)
    return 1 / (params["D_l"] + power), jnp.ones_like(power)


LAW = Law(
    name="rectified",
    formula="L = B/(D_l + D^beta) + E",
    reference="Lin et al. 2024, arXiv 2402.02314 (form from memory)",
    inputs=("examples",),
    parameters=(
        Parameter("B", "loss of one example above E without pre-training", units={"examples": "beta"}),
        Parameter("D_l", "examples to the power beta that pre-training is worth", units={"examples": "beta"}),
        Parameter("beta", "exponent of examples", (0.1, 1.5), (0.01, 5.0)),
        Parameter("E", "irreducible loss, nats a token"),
    ),
    basis=basis,
    linear=("B", "E"),
    convention={"loss": "nats"},
)
