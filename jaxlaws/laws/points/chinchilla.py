"""The Chinchilla law."""

from __future__ import annotations

from jaxlaws.laws.law import Law, Parameter, Preset
from jaxlaws.laws.lazy import jnp


def basis(params, inputs):
    """The terms of L = E + A / N^α + B / D^β (Hoffmann et al. 2022, arXiv 2203.15556).

    Args:
      params: `alpha`, `beta`, exponents of model and data.
      inputs: `N`, parameters, and `D`, training tokens.

    Returns:
      1, N^-α and D^-β, with coefficients E (irreducible loss, nats a token), A and B.
    """
    one = jnp.ones(jnp.broadcast_shapes(jnp.shape(inputs["N"]), jnp.shape(inputs["D"])))
    return one, one * inputs["N"] ** -params["alpha"], one * inputs["D"] ** -params["beta"]


_RANGE = "N 44M to 16B, D 5B to 1.4T"
_RANGES = {"params": (44e6, 16e9), "tokens": (5e9, 1.4e12)}
LAW = Law(
    name="chinchilla",
    formula="L = E + A/N^alpha + B/D^beta",
    reference="Hoffmann et al. 2022, arXiv 2203.15556",
    inputs=("N", "D"),
    parameters=(
        Parameter("E", "irreducible loss, nats a token"),
        Parameter("A", "loss of one parameter above E", units={"N": "alpha"}),
        Parameter("B", "loss of one token above E", units={"D": "beta"}),
        Parameter("alpha", "exponent of parameters", (0.1, 1.0), (0.01, 3.0)),
        Parameter("beta", "exponent of tokens", (0.1, 1.0), (0.01, 3.0)),
    ),
    basis=basis,
    linear=("E", "A", "B"),
    convention={"params": "params_total", "loss": "nats"},
    presets={
        "hoffmann": Preset(
            {"E": 1.6934, "A": 406.4, "B": 410.7, "alpha": 0.33917, "beta": 0.28491},
            "Hoffmann et al. 2022, approach 3, arXiv 2203.15556",
            _RANGE,
            ranges=_RANGES,
        ),
        "epoch": Preset(
            {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658},
            "Besiroglu et al. 2024, arXiv 2404.10102",
            _RANGE,
            ranges=_RANGES,
        ),
    },
)
