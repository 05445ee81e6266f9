"""Metrics of tasks: bits a byte of the right answers by model and data, accuracy by those, error by the loss."""

from __future__ import annotations

from dataclasses import replace

from jaxlaws.laws.law import Law, Parameter
from jaxlaws.laws.lazy import jax, jnp
from jaxlaws.laws.points import chinchilla


def sigmoid(params, inputs):
    """The terms of accuracy = a/(1 + exp(−k·(x − x_0))) + b, x the bits a byte of the right answers of the task.

    The second step of the OLMo ladder (Bhagia et al. 2024, arXiv 2412.04403). k < 0: fewer bits, more right answers.
    The terms are the sigmoid and 1, with coefficients a (what is gained over guessing) and b (what guessing reaches).
    """
    value = jax.nn.sigmoid(params["k"] * (inputs["bpb"] - params["x_0"]))
    return value, jnp.ones_like(value)


def saturation(params, inputs):
    """error = ε − k·exp(−γ·L), L a validation loss, nats a token (form from memory; Gadre et al. 2024, 2403.08540)."""
    return params["epsilon"] - params["k"] * jnp.exp(-params["gamma"] * inputs["L"])


BITS = replace(
    chinchilla.LAW,
    name="task_bits",
    formula="bits a byte = E + A/N^alpha + B/D^beta",
    reference="Bhagia et al. 2024, arXiv 2412.04403: the first of two steps",
    convention={"params": "params_nonembedding", "loss": "bits_per_byte"},
    presets={},
)
ACCURACY = Law(
    name="task_accuracy",
    formula="accuracy = a/(1 + exp(-k (x - x_0))) + b",
    reference="Bhagia et al. 2024, arXiv 2412.04403: the second of two steps",
    inputs=("bpb",),
    parameters=(
        Parameter("a", "accuracy that is gained over guessing", (0.1, 1.0), (1e-6, 2.0)),
        Parameter(
            "k", "steepness, 1/(bits a byte); negative where fewer bits are better", (-10.0, -1.0), (-200, 200), "real"
        ),
        Parameter("x_0", "bits a byte where half of it is gained", (0.1, 3.0), (-10.0, 20.0), "real"),
        Parameter("b", "accuracy of guessing", (0.1, 0.6), (1e-6, 1.0)),
    ),
    basis=sigmoid,
    linear=("a", "b"),
    convention={"loss": "accuracy"},
    noise="squared_loss",
)
ERROR = Law(
    name="task_error",
    formula="error = epsilon - k exp(-gamma L)",
    reference="Gadre et al. 2024, arXiv 2403.08540 (form from memory)",
    inputs=("L",),
    parameters=(
        Parameter("epsilon", "error of guessing", (0.5, 1.0), (1e-3, 2.0)),
        Parameter("k", "by how much the error would lie below that at a loss of 0", (0.1, 10.0), (1e-6, 1e6)),
        Parameter("gamma", "rate at which the loss tells, 1/nats", (0.2, 3.0), (1e-2, 20.0)),
    ),
    function=saturation,
    convention={"loss": "error"},
    noise="squared_loss",
)
