"""A law of the final loss with an input of its own, the layers of the model: one file, one row of `INPUTS`."""

from jaxlaws.inputs import INPUTS, Input
from jaxlaws.laws.law import Law, Parameter

INPUTS["layers"] = Input("layers of the model", column="n_layers", unit="layers", falls=True)


def basis(params, inputs):
    """The terms of L = E + A/N^α + G/layers^γ: 1, N^-α and layers^-γ with coefficients E, A and G."""
    size = inputs["N"] ** -params["alpha"]
    return 1.0 + 0.0 * size, size, inputs["layers"] ** -params["gamma"]


LAW = Law(
    name="depth",
    formula="L = E + A/N^alpha + G/layers^gamma",
    reference="an example of docs/laws.md",
    inputs=("N", "layers"),
    parameters=(
        Parameter("E", "irreducible loss, nats a token", (0.5, 3.0)),
        Parameter("A", "size of the term in N", units={"N": "alpha"}),
        Parameter("alpha", "exponent of N", (0.1, 0.6), (0.02, 3.0)),
        Parameter("G", "size of the term in layers", units={"layers": "gamma"}),
        Parameter("gamma", "exponent of layers", (0.3, 2.0), (0.02, 5.0)),
    ),
    basis=basis,
    linear=("E", "A", "G"),
    convention={"params": "params_nonembedding", "loss": "nats"},
)
