"""The Chinchilla law of models trained, and quantised after training, at low precision."""

from __future__ import annotations

from jaxlaws.laws.law import Parameter
from jaxlaws.laws.lazy import jnp
from jaxlaws.laws.points.chinchilla import LAW as _CHINCHILLA
from jaxlaws.laws.variant import variant

#: Parts of a model with a precision in training: weights, activations, key–value cache.
_PARTS = ("w", "a", "kv")


def effective(params, inputs):
    """N → N·Π_x (1 − e^(−P_x/γ_x)) over weights, activations and cache (Kumar et al. 2024, arXiv 2411.04330).

    Args:
      params: `gamma_w`, `gamma_a`, `gamma_kv`, bits.
      inputs: `N`, parameters; `bits_w`, `bits_a`, `bits_kv`, P_x.
    """
    size = inputs["N"]
    for part in _PARTS:
        size = size * -jnp.expm1(-inputs[f"bits_{part}"] / params[f"gamma_{part}"])
    return {"N": size}


def quantisation_loss(params, inputs):
    """δ = C_T·D^γ_D/N^γ_N·e^(−P_post/γ_post)·Π_x [1 − e^(−C_x·(P_x − P_post))]: the cost of quantising after training.

    It is 0 where P_post is no less than the P_x of a part: no part is then quantised further.

    Args:
      params: `C_T`, `gamma_D`, `gamma_N`, `gamma_post` (bits), `C_w`, `C_a`, `C_kv` (1/bits).
      inputs: `N`, `D`; `bits_post`, P_post; `bits_w`, `bits_a`, `bits_kv`, P_x.
    """
    size = params["C_T"] * inputs["D"] ** params["gamma_D"] * inputs["N"] ** -params["gamma_N"]
    loss = size * jnp.exp(-inputs["bits_post"] / params["gamma_post"])
    for part in _PARTS:
        lost_bits = jnp.maximum(inputs[f"bits_{part}"] - inputs["bits_post"], 0.0)
        loss = loss * -jnp.expm1(-params[f"C_{part}"] * lost_bits)
    return loss


def _bits(name: str, meaning: str) -> Parameter:
    return Parameter(name, meaning, (0.5, 4.0), (0.01, 100.0))


LAW = variant(
    _CHINCHILLA,
    name="precision",
    formula="L = E + A/N'^alpha + B/D^beta + C_T D^gamma_D/N^gamma_N exp(-bits_post/gamma_post) P_w P_a P_kv,  "
    "N' = N (1 - exp(-bits_w/gamma_w)) (1 - exp(-bits_a/gamma_a)) (1 - exp(-bits_kv/gamma_kv)),  "
    "P_w = 1 - exp(-C_w max(bits_w - bits_post, 0)),  P_a = 1 - exp(-C_a max(bits_a - bits_post, 0)),  "
    "P_kv = 1 - exp(-C_kv max(bits_kv - bits_post, 0))",
    reference="Kumar et al. 2024, arXiv 2411.04330",
    inputs=("N", "D", "bits_w", "bits_a", "bits_kv", "bits_post"),
    parameters=(
        _bits("gamma_w", "bits of the weights that the model feels"),
        _bits("gamma_a", "bits of the activations that the model feels"),
        _bits("gamma_kv", "bits of the key–value cache that the model feels"),
        Parameter("C_T", "loss that quantising costs", (0.05, 5.0), units={"N": "gamma_N", "D": "-gamma_D"}),
        Parameter("gamma_D", "exponent of tokens in that cost", (0.1, 1.0), (0.01, 3.0)),
        Parameter("gamma_N", "exponent of parameters in that cost", (0.1, 1.0), (0.01, 3.0)),
        _bits("gamma_post", "bits after training that the cost feels"),
        _bits("C_w", "how fast the cost grows with bits taken from the weights, 1/bits"),
        _bits("C_a", "how fast the cost grows with bits below the activations', 1/bits"),
        _bits("C_kv", "how fast the cost grows with bits below the cache's, 1/bits"),
    ),
    effective=effective,
    shift=quantisation_loss,
)
