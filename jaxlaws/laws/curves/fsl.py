"""The functional scaling law of a model of fixed size: what a drop of the LR gains depends on when it comes."""

from __future__ import annotations

from jaxlaws.laws.law import Law, Parameter
from jaxlaws.laws.lazy import jnp
from jaxlaws.laws.relaxation import power


def basis(params, inputs):
    """The terms of L = L0 + c1·T^-s − c2·Σ_k max(η_{k−1} − η_k, 0)·(c3 + T_k^-s)·(1 − (1 + c4·(T − T_k))^-γ).

    T is the LR sum up to the point and T_k = Σ_{i≤k} η_i that up to the drop, both with warm-up. Only drops count: a
    schedule whose LR rises after its warm-up is outside the form. The ansatz of Li et al. 2025, arXiv 2509.19189,
    App. B.2, as a third party has implemented it; the constants of that fit are no preset, since the unit of its LRs
    and its batch are not stated.

    Args:
      params: `s`, the exponent of difficulty; `c3`, `c4` and `gamma` of the gain.
      inputs: `S` [...], and the events `drop`, `sum_at`, `sum_after` T − T_k [..., events].

    Returns:
      1, T^-s and minus the sum, with coefficients L0 (nats a token), c1 and c2.
    """
    lr_sum_term = inputs["S"] ** -params["s"]
    drop = jnp.maximum(inputs["drop"], 0.0)
    sum_at = jnp.where(drop > 0, inputs["sum_at"], 1.0)
    gain = drop * (params["c3"] + sum_at ** -params["s"])
    gain_sum = power(gain, inputs["sum_after"], jnp.zeros_like(gain), params["c4"], params["gamma"], 0.0)
    return jnp.ones_like(lr_sum_term), lr_sum_term, -gain_sum


LAW = Law(
    name="fsl",
    formula="L = L0 + c1 T^-s - c2 sum_k max(lr_k-1 - lr_k, 0) (c3 + T_k^-s) [1 - (1 + c4 (T - T_k))^-gamma]",
    reference="Li et al., NeurIPS 2025, arXiv 2509.19189, App. B.2 through a third party's implementation",
    inputs=("S", "drop", "sum_at", "sum_after"),
    parameters=(
        Parameter("L0", "irreducible loss of this model, nats a token"),
        Parameter("c1", "size of the power law in the LR sum", units={"S": "s"}),
        Parameter("s", "exponent of the LR sum, the difficulty of the data", (0.2, 1.5), (0.02, 3.0)),
        Parameter("c2", "loss gained by a unit drop of the LR", units={"lr": -1, "S": "s"}),
        Parameter("c3", "share of the gain that does not fade", (0.1, 10.0), (1e-3, 1e5), units={"S": "-s"}),
        Parameter("c4", "rate at which a drop takes effect", (1.0, 1e3), (1e-3, 1e6), units={"S": -1}),
        Parameter("gamma", "exponent of the approach", (0.2, 1.5), (0.02, 10.0)),
    ),
    basis=basis,
    linear=("L0", "c1", "c2"),
    running=True,
    convention={"loss": "nats", "lr_sum": "lr_steps"},
)
