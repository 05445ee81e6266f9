"""The three-term law: model size, batch size and steps."""

from __future__ import annotations

from jaxlaws.laws.law import Law, Parameter
from jaxlaws.laws.lazy import jnp


def basis(params, inputs):
    """The terms of L = E + A/N^α + B/M^β + C/K^γ, losses being the best over the LR (Schaipp 2026, arXiv 2607.01487).

    At fixed tokens D = M·K the best batch is M*(D) = (βB/(γC))^(1/(β+γ))·D^(γ/(β+γ)), which is `best_batch`. Runs of
    one model size show E + A/N^α as one number only.

    Args:
      params: `alpha`, `beta`, `gamma`, exponents of model, batch and steps.
      inputs: `N`, parameters, `B`, tokens in a step M, and `steps`, K.

    Returns:
      1, N^-α, M^-β and K^-γ, with coefficients E (irreducible loss, nats a token), A, B and C.
    """
    one = jnp.ones(jnp.broadcast_shapes(*(jnp.shape(inputs[name]) for name in ("N", "B", "steps"))))
    powers = (("N", "alpha"), ("B", "beta"), ("steps", "gamma"))
    return one, *(one * inputs[name] ** -params[power] for name, power in powers)


def best_batch(params, tokens):
    """M*(D) = (βB/(γC))^(1/(β+γ))·D^(γ/(β+γ)), the best tokens in a step for a budget of `tokens`."""
    beta, gamma = params["beta"], params["gamma"]
    ratio = beta * params["B"] / (gamma * params["C"])
    return ratio ** (1 / (beta + gamma)) * tokens ** (gamma / (beta + gamma))


LAW = Law(
    name="three_term",
    formula="L = E + A/N^alpha + B/M^beta + C/K^gamma,  M tokens in a step, K steps",
    reference="Schaipp 2026, arXiv 2607.01487",
    inputs=("N", "B", "steps"),
    parameters=(
        Parameter("E", "irreducible loss, nats a token"),
        Parameter("A", "loss of one parameter above E", units={"N": "alpha"}),
        Parameter("B", "loss of a batch of one token above E", units={"B": "beta"}),
        Parameter("C", "loss of one step above E", units={"steps": "gamma"}),
        Parameter("alpha", "exponent of parameters", (0.1, 1.0), (0.01, 3.0)),
        Parameter("beta", "exponent of the batch", (0.1, 1.0), (0.01, 3.0)),
        Parameter("gamma", "exponent of steps", (0.1, 1.0), (0.01, 3.0)),
    ),
    basis=basis,
    linear=("E", "A", "B", "C"),
    convention={"params": "params_nonembedding", "loss": "nats", "batch": "batch_tokens"},
)
