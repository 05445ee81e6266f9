"""The law of a model that computes several streams in parallel (ParScale)."""

from __future__ import annotations

from jaxlaws.laws.law import Parameter
from jaxlaws.laws.lazy import jnp
from jaxlaws.laws.points.power import OF_PARAMS as _OF_PARAMS
from jaxlaws.laws.variant import variant


def effective(params, inputs):
    """P streams are worth N·(k·ln P + 1) parameters (Chen et al. 2025, arXiv 2505.10475).

    Args:
      params: `k`, what the first e-fold of streams adds to the model, in models.
      inputs: `N`, parameters, and `streams` P.
    """
    return {"N": inputs["N"] * (params["k"] * jnp.log(inputs["streams"]) + 1)}


LAW = variant(
    _OF_PARAMS,
    name="parallel",
    formula="L = E + A/(N (k ln(streams) + 1))^alpha",
    reference="ParScale, Chen et al. 2025, arXiv 2505.10475, whose A is A^(1/alpha) here",
    inputs=("N", "streams"),
    parameters=(Parameter("k", "what an e-fold of streams adds to the model, in models", (0.1, 1.0), (1e-4, 100.0)),),
    effective=effective,
    convention={"params": "params_nonembedding", "loss": "nats"},
)
