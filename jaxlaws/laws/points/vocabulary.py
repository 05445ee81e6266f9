"""The law of model size, vocabulary and data, of a loss that vocabularies of any size share."""

from __future__ import annotations

from jaxlaws.laws.law import Law, Parameter
from jaxlaws.laws.lazy import jnp


def basis(params, inputs):
    """The terms of L = −E + A1/N^α1 + A2/N_v^α2 + B/D^β (Tao et al. 2024, arXiv 2407.13623).

    The loss is normalised by that of the unigrams, ln p(token | context)/p(token), so that vocabularies compare; it is
    negative. The authors' own fit (sail-sg/scaling-with-vocab, approach3_isoloss.py) has this form with α1 = β.

    Args:
      params: `alpha1`, `alpha2`, `beta`, exponents of model, vocabulary and data.
      inputs: `N`, parameters besides the vocabulary's; `N_vocab`, vocabulary times width; `D`, training tokens.

    Returns:
      −1, N^-α1, N_v^-α2, D^-β with coefficients E (nats a token), A1, A2, B.
    """
    n, vocabulary, d = jnp.broadcast_arrays(*(jnp.asarray(inputs[name]) for name in ("N", "N_vocab", "D")))
    exponents = params["alpha1"], params["alpha2"], params["beta"]
    powers = (x**-power for x, power in zip((n, vocabulary, d), exponents, strict=True))
    return -jnp.ones_like(n), *powers


LAW = Law(
    name="vocabulary",
    formula="L = -E + A1/N^alpha1 + A2/N_vocab^alpha2 + B/D^beta",
    reference="Tao et al. 2024, arXiv 2407.13623",
    inputs=("N", "N_vocab", "D"),
    parameters=(
        Parameter("E", "by how much the best model beats unigrams, nats a token", (1.0, 10.0)),
        Parameter("A1", "loss of one parameter above -E", units={"N": "alpha1"}),
        Parameter("A2", "loss of one parameter of the vocabulary above -E", units={"N_vocab": "alpha2"}),
        Parameter("B", "loss of one token above -E", units={"D": "beta"}),
        Parameter("alpha1", "exponent of parameters", (0.1, 1.0), (0.01, 3.0)),
        Parameter("alpha2", "exponent of the vocabulary's parameters", (0.1, 1.0), (0.01, 3.0)),
        Parameter("beta", "exponent of tokens", (0.1, 1.0), (0.01, 3.0)),
    ),
    basis=basis,
    linear=("E", "A1", "A2", "B"),
    convention={"params": "params_nonembedding", "loss": "unigram_normalised"},
    noise="squared_loss",
    signed=True,
)
