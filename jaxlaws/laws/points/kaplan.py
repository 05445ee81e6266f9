"""Kaplan's law of model size and data."""

from __future__ import annotations

from jaxlaws.laws.law import Coordinates, Law, Parameter, Preset


def loss(params, inputs):
    """L = [(N_c/N)^(α_N/α_D) + D_c/D]^α_D (Kaplan et al. 2020, arXiv 2001.08361, equation 1.5).

    Args:
      params: `N_c`, `D_c` (parameters and tokens at which one term alone is one nat), `alpha_N`, `alpha_D`.
      inputs: `N`, non-embedding parameters, and `D`, tokens.
    """
    by_size = (params["N_c"] / inputs["N"]) ** (params["alpha_N"] / params["alpha_D"])
    return (by_size + params["D_c"] / inputs["D"]) ** params["alpha_D"]


def _dimensional(p, scale):
    return {
        **p,
        "N_c": scale["N"] * p["N_c"] ** (1 / p["alpha_N"]),
        "D_c": scale["D"] * p["D_c"] ** (1 / p["alpha_D"]),
    }


def _nondimensional(p, scale):
    return {**p, "N_c": (p["N_c"] / scale["N"]) ** p["alpha_N"], "D_c": (p["D_c"] / scale["D"]) ** p["alpha_D"]}


LAW = Law(
    name="kaplan",
    formula="L = [(N_c/N)^(alpha_N/alpha_D) + D_c/D]^alpha_D",
    reference="Kaplan et al. 2020, arXiv 2001.08361",
    inputs=("N", "D"),
    parameters=(
        Parameter("N_c", "parameters at which the size term is one nat", (0.5, 4.0)),
        Parameter("D_c", "tokens at which the data term is one nat", (0.5, 4.0)),
        Parameter("alpha_N", "exponent of parameters", (0.03, 0.5), (0.005, 3.0)),
        Parameter("alpha_D", "exponent of tokens", (0.03, 0.5), (0.005, 3.0)),
    ),
    function=loss,
    coordinates=Coordinates(_dimensional, _nondimensional, of=("N_c", "D_c")),
    convention={"params": "params_nonembedding", "loss": "nats"},
    presets={
        "published": Preset(
            {"N_c": 6.4e13, "D_c": 1.8e13, "alpha_N": 0.076, "alpha_D": 0.103},
            "Kaplan et al. 2020, arXiv 2001.08361, table 2: the joint fit",
            "N 768 to 1.5B, D 22M to 23B, WebText2",
            ranges={"params": (768, 1.5e9), "tokens": (22e6, 23e9)},
        )
    },
)
