"""The two baselines of curve laws: a power law of the LR sum, and the same with a linear bonus for a lower LR."""

from __future__ import annotations

from jaxlaws.laws.law import Law, Parameter
from jaxlaws.laws.lazy import jnp


def power_basis(params, inputs):
    """The terms of L(t) = L0 + A·S^-α, the one-power law: 1 and S^-α with coefficients L0 and A.

    Args:
      params: `alpha`.
      inputs: `S` [...], the LR sum with warm-up.
    """
    power = inputs["S"] ** -params["alpha"]
    return jnp.ones_like(power), power


def linear_basis(params, inputs):
    """The terms of L(t) = L0 + A·S^-α − B·(η_peak − η_t): the one-power law with a loss that is linear in the LR.

    Args:
      params: `alpha`.
      inputs: `S`, `peak` and `lr` [...].
    """
    return (*power_basis(params, inputs), inputs["lr"] - inputs["peak"])


_REFERENCE = "baseline of Luo et al., ICLR 2025, arXiv 2503.12811"
_CONVENTION = {"loss": "nats", "lr_sum": "lr_steps"}
_PARAMETERS = (
    Parameter("L0", "irreducible loss of this model, nats a token"),
    Parameter("A", "size of the power law in the LR sum", units={"S": "alpha"}),
    Parameter("alpha", "exponent of the LR sum", (0.2, 1.0), (0.02, 3.0)),
)

OPL = Law(
    name="opl",
    formula="L(t) = L0 + A S^-alpha",
    reference=_REFERENCE,
    inputs=("S",),
    parameters=_PARAMETERS,
    basis=power_basis,
    linear=("L0", "A"),
    running=True,
    convention=_CONVENTION,
)

LLDL = Law(
    name="lldl",
    formula="L(t) = L0 + A S^-alpha - B (lr_peak - lr_t)",
    reference=_REFERENCE,
    inputs=("S", "lr", "peak"),
    parameters=(*_PARAMETERS, Parameter("B", "loss gained by a unit of LR below the peak", units={"lr": -1})),
    basis=linear_basis,
    linear=("L0", "A", "B"),
    running=True,
    convention=_CONVENTION,
)
