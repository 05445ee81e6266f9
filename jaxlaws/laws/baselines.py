"""The two baselines of curve laws: a power law of the LR sum, and the same with a linear bonus for a lower LR."""

from __future__ import annotations

import jax.numpy as jnp

from jaxlaws.laws.base import Law, Parameter, linear_law


def power_columns(params, inputs):
    """The terms of L(t) = L0 + A·S^-α, the one-power law: 1 and S^-α with coefficients L0 and A.

    Args:
      params: `alpha`.
      inputs: `S` [...], the LR sum with warm-up.
    """
    power = inputs["S"] ** -params["alpha"]
    return jnp.ones_like(power), power


def linear_columns(params, inputs):
    """The terms of L(t) = L0 + A·S^-α − B·(η_peak − η_t): the one-power law with a loss that is linear in the LR.

    Args:
      params: `alpha`.
      inputs: `S`, `peak` and `lr` [...].
    """
    return (*power_columns(params, inputs), inputs["lr"] - inputs["peak"])


def _natural(p, scale):
    q = {**p, "A": p["A"] * scale["S"] ** p["alpha"]}
    return {**q, "B": p["B"] / scale["lr"]} if "B" in p else q


def _centred(p, scale):
    q = {**p, "A": p["A"] * scale["S"] ** -p["alpha"]}
    return {**q, "B": p["B"] * scale["lr"]} if "B" in p else q


_REFERENCE = "baseline of Luo et al., ICLR 2025, arXiv 2503.12811"
_CONVENTION = {"loss": "nats", "lr_sum": "lr_steps"}
_PARAMETERS = (
    Parameter("L0", "irreducible loss of this model, nats a token"),
    Parameter("A", "size of the power law in the LR sum"),
    Parameter("alpha", "exponent of the LR sum", (0.2, 1.0), (0.02, 3.0)),
)

OPL = Law(
    name="opl",
    formula="L(t) = L0 + A S^-alpha",
    reference=_REFERENCE,
    kind="curve",
    inputs=("S",),
    parameters=_PARAMETERS,
    predict=linear_law(power_columns, ("L0", "A")),
    columns=power_columns,
    linear=("L0", "A"),
    natural=_natural,
    centred=_centred,
    convention=_CONVENTION,
)

LLDL = Law(
    name="lldl",
    formula="L(t) = L0 + A S^-alpha - B (lr_peak - lr_t)",
    reference=_REFERENCE,
    kind="curve",
    inputs=("S", "lr", "peak"),
    parameters=(*_PARAMETERS, Parameter("B", "loss gained by a unit of LR below the peak")),
    predict=linear_law(linear_columns, ("L0", "A", "B")),
    columns=linear_columns,
    linear=("L0", "A", "B"),
    natural=_natural,
    centred=_centred,
    convention=_CONVENTION,
)
