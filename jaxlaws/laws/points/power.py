"""The law of one variable: the loss against model size, tokens or compute alone."""

from __future__ import annotations

from jaxlaws.inputs import INPUTS
from jaxlaws.laws.law import Law, Parameter
from jaxlaws.laws.lazy import jnp


def power_law(name: str, symbol: str) -> Law:
    """The law L = E + A/x^α of one input x, where everything else is fixed (Hestness et al. 2017, arXiv 1712.00409).

    Their (a, b, c) are (A, α, E). Another architecture moves A and hardly α.

    Args:
      name: of the law.
      symbol: of x in `jaxlaws.inputs.INPUTS`.
    """
    row = INPUTS[symbol]

    def basis(params, inputs):
        power = jnp.asarray(inputs[symbol]) ** -params["alpha"]
        return jnp.ones_like(power), power

    return Law(
        name=name,
        formula=f"L = E + A/{symbol}^alpha",
        reference="Hestness et al. 2017, arXiv 1712.00409",
        inputs=(symbol,),
        parameters=(
            Parameter("E", "irreducible loss, nats a token"),
            Parameter("A", f"loss above E at one unit of {row.column}", units={row.unit: "alpha"}),
            Parameter("alpha", f"exponent of {row.column}", (0.1, 1.0), (0.01, 3.0)),
        ),
        basis=basis,
        linear=("E", "A"),
        convention={"params": "params_total", "loss": "nats"} if symbol == "N" else {"loss": "nats"},
    )


OF_PARAMS = power_law("power_of_params", "N")
OF_TOKENS = power_law("power_of_tokens", "D")
OF_FLOPS = power_law("power_of_flops", "C")
