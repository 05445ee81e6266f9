"""The implicit law of model size, batch and steps with a critical batch size."""

from __future__ import annotations

from jaxlaws.laws.law import Coordinates, Law, Parameter
from jaxlaws.laws.lazy import jax, jnp

#: Halvings of the bracket in ln L: they leave an error of 1e-8, which the Newton step squares.
_HALVINGS = 32
_LARGEST = 1e4


def _excess(loss, params, inputs):
    """How far the right-hand side lies above `loss`."""
    critical = params["B_star"] * loss ** (-1 / params["alpha_B"])
    least_steps = inputs["steps"] / (1 + critical / inputs["B"])
    return (
        (params["N_c"] / inputs["N"]) ** params["alpha_N"] + (params["S_c"] / least_steps) ** params["alpha_S"] - loss
    )


def loss(params, inputs):
    """The root L of L = (N_c/N)^α_N + (S_c/S_min)^α_S, S_min = S/(1 + B_crit(L)/B), B_crit = B*/L^(1/α_B).

    The right-hand side falls in L, so the root is unique: bisection in ln L, then one Newton step F/F' with F' held
    constant, which gives the derivative of the implicit-function theorem, dL/dp = −(∂F/∂p)/(∂F/∂L). McCandlish et al.
    2018 (arXiv 1812.06162), Kaplan et al. 2020 (2001.08361), "Unraveling" 2024 (2403.06563).

    Args:
      params: `N_c`, `alpha_N`, `S_c`, `alpha_S`, `B_star` (tokens at one nat), `alpha_B`.
      inputs: `N`, non-embedding parameters, `B`, tokens a step, `steps` S.
    """
    constants, at = jax.tree.map(jax.lax.stop_gradient, (dict(params), dict(inputs)))
    floor = (constants["N_c"] / at["N"]) ** constants["alpha_N"] + (constants["S_c"] / at["steps"]) ** constants[
        "alpha_S"
    ]

    def halve(_, bracket):
        low, high = bracket
        middle = 0.5 * (low + high)
        above = _excess(jnp.exp(middle), constants, at) > 0
        return jnp.where(above, middle, low), jnp.where(above, high, middle)

    low = jnp.log(floor)
    low, high = jax.lax.fori_loop(0, _HALVINGS, halve, (low, jnp.maximum(low, jnp.log(_LARGEST))))
    root = jnp.exp(0.5 * (low + high))
    slope = jax.jvp(lambda loss: _excess(loss, constants, at), (root,), (jnp.ones_like(root),))[1]
    return root - _excess(root, params, inputs) / slope


def _dimensional(p, scale):
    return {
        **p,
        "N_c": scale["N"] * p["N_c"] ** (1 / p["alpha_N"]),
        "S_c": scale["steps"] * p["S_c"] ** (1 / p["alpha_S"]),
        "B_star": scale["B"] * p["B_star"] * jnp.exp(1 / p["alpha_B"]),
    }


def _nondimensional(p, scale):
    return {
        **p,
        "N_c": (p["N_c"] / scale["N"]) ** p["alpha_N"],
        "S_c": (p["S_c"] / scale["steps"]) ** p["alpha_S"],
        "B_star": p["B_star"] / scale["B"] * jnp.exp(-1 / p["alpha_B"]),
    }


LAW = Law(
    name="critical_batch",
    formula="L = (N_c/N)^alpha_N + (S_c/S_min)^alpha_S,  S_min = S/(1 + B_crit/B),  B_crit = B_star/L^(1/alpha_B)",
    reference="Kaplan et al. 2020, arXiv 2001.08361; implicit in L as in arXiv 2403.06563",
    inputs=("N", "B", "steps"),
    parameters=(
        Parameter("N_c", "parameters at which the size term is one nat", (0.5, 4.0), (1e-4, 1e4)),
        Parameter("alpha_N", "exponent of parameters", (0.03, 0.5), (0.005, 3.0)),
        Parameter("S_c", "steps at which the step term is one nat", (0.1, 2.0), (1e-4, 1e4)),
        Parameter("alpha_S", "exponent of steps", (0.2, 1.0), (0.01, 3.0)),
        Parameter("B_star", "critical batch at a loss of one nat, tokens", (0.1, 10.0), (1e-4, 1e4)),
        Parameter("alpha_B", "exponent of the loss in the critical batch", (0.1, 0.6), (0.03, 10.0)),
    ),
    function=loss,
    coordinates=Coordinates(_dimensional, _nondimensional, of=("N_c", "S_c", "B_star")),
    convention={"params": "params_nonembedding", "loss": "nats", "batch": "batch_tokens"},
)
