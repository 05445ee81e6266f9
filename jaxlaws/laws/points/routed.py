"""Clark's law of routed models: parameters of the dense model and number of experts."""

from __future__ import annotations

from jaxlaws.laws.law import Coordinates, Law, Parameter
from jaxlaws.laws.lazy import jnp


def effective_experts(params, inputs):
    """Ê of 1/Ê = 1/(experts − 1 + 1/(1/E_s − 1/E_m)) + 1/E_m, E_s if dense and E_m for very many.

    Args:
      params: `E_s`, `E_m`, numbers of experts, E_s < E_m.
      inputs: `experts`.
    """
    least, most = params["E_s"], params["E_m"]
    return 1 / (1 / (inputs["experts"] - 1 + least * most / (most - least)) + 1 / most)


def basis(params, inputs):
    """The terms of log10 L = a·log10 N + b·log10 Ê + c·log10 N·log10 Ê + d (Clark et al. 2022, arXiv 2202.01169).

    Args:
      params: `E_s`, `E_m`.
      inputs: `N`, parameters of the dense model, and `experts`.

    Returns:
      log10 N, log10 Ê, their product and 1, with coefficients a, b, c and d.
    """
    experts = jnp.log10(effective_experts(params, inputs))
    size = jnp.log10(inputs["N"])
    return size, experts, size * experts, jnp.ones_like(size * experts)


def _dimensional(p, scale):
    size = jnp.log10(scale["N"])
    return {**p, "b": p["b"] - p["c"] * size, "d": p["d"] - p["a"] * size, "E_m": p["E_s"] * (1 + p["E_m"])}


def _nondimensional(p, scale):
    size = jnp.log10(scale["N"])
    return {**p, "b": p["b"] + p["c"] * size, "d": p["d"] + p["a"] * size, "E_m": p["E_m"] / p["E_s"] - 1}


LAW = Law(
    name="routed",
    formula="log10 L = a log10 N + b log10 Ê + c log10 N log10 Ê + d,  "
    "1/Ê = 1/(experts - 1 + 1/(1/E_s - 1/E_m)) + 1/E_m",
    reference="Clark et al. 2022, arXiv 2202.01169",
    inputs=("N", "experts"),
    parameters=(
        Parameter("a", "exponent of parameters", (-0.15, -0.02), (-2.0, 0.0), "real"),
        Parameter("b", "exponent of experts at one parameter", (-0.1, 0.0), (-2.0, 2.0), "real"),
        Parameter("c", "change of the exponent of experts for ten times the parameters", (0.0, 0.02), (-1, 1), "real"),
        Parameter("d", "log10 of the loss of one parameter and one expert", (0.3, 0.6), (-5.0, 5.0), "real"),
        Parameter("E_s", "experts that a dense model counts as", (1.0, 8.0), (0.1, 1e3)),
        Parameter("E_m", "experts that infinitely many count as", (10.0, 1e3), (1e-2, 1e6)),
    ),
    basis=basis,
    linear=("a", "b", "c", "d"),
    link=lambda params, value: 10.0**value,
    unlink=lambda params, loss: jnp.log10(loss),
    coordinates=Coordinates(_dimensional, _nondimensional, of=("b", "d", "E_m")),
    convention={"params": "params_nonembedding", "loss": "nats"},
    noise="squared",
)
