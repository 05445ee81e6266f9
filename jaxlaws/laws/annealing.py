"""The learning-rate-annealing (momentum) law, for one model and with model size."""

from __future__ import annotations

import jax.numpy as jnp

from jaxlaws.laws.base import Law, Parameter, Preset, linear_law


def annealed(decay, inputs):
    """S2 = Σ_{i≤s} m_i with m_i = λ m_{i−1} + (η_{i−1} − η_i), as Σ_k drop_k (1 − λ^n_k) / (1 − λ).

    Args:
      decay: the forgetting factor λ a step.
      inputs: `drop` and `steps` n_k = s − k + 1 of the events [..., events].
    """
    kernel = -jnp.expm1(inputs["steps"] * jnp.log(decay)) / (1 - decay)
    return jnp.sum(inputs["drop"] * kernel, -1)


def columns(params, inputs):
    """The terms of L(s) = L0 + A·S1^-α − C·S2 (Tissue et al. 2024, arXiv 2408.11029).

    Args:
      params: `alpha` and `lambda`, the forgetting factor a step.
      inputs: `S` [...], the LR sum with warm-up, and the events `drop`, `steps` [..., events].

    Returns:
      1, S1^-α and −S2, with coefficients L0 (nats a token), A and C.
    """
    power = inputs["S"] ** -params["alpha"]
    return jnp.ones_like(power), power, -annealed(params["lambda"], inputs)


def sized_columns(params, inputs):
    """The terms of L(s) = L0 + A·S1^-α + B·N^-β − C·S2·N^γ (Tissue et al. 2024, §5).

    Args:
      params: `alpha`, `lambda`, `beta` and `gamma`, exponents of the number of parameters.
      inputs: as `columns`, and `N` [...].

    Returns:
      1, S1^-α, N^-β and −S2·N^γ, with coefficients L0, A, B and C.
    """
    one, power, gain = columns(params, inputs)
    return one, power, one * inputs["N"] ** -params["beta"], gain * inputs["N"] ** params["gamma"]


def _natural(p, scale):
    return {**p, "A": p["A"] * scale["S"] ** p["alpha"], "C": p["C"] * (1 - p["lambda"]) / scale["lr"]}


def _centred(p, scale):
    return {**p, "A": p["A"] * scale["S"] ** -p["alpha"], "C": p["C"] * scale["lr"] / (1 - p["lambda"])}


def _sized_natural(p, scale):
    q = _natural(p, scale)
    return {**q, "B": q["B"] * scale["N"] ** q["beta"], "C": q["C"] * scale["N"] ** -q["gamma"]}


def _sized_centred(p, scale):
    p = {**p, "B": p["B"] * scale["N"] ** -p["beta"], "C": p["C"] * scale["N"] ** p["gamma"]}
    return _centred(p, scale)


_REFERENCE = "Tissue et al. 2024, arXiv 2408.11029"
_CONVENTION = {"warmup_ld": "included", "loss": "nats", "lr_sum": "lr_steps"}
_RANGE = "{} Llama-2, peak LR 3e-4, 24,000 steps; fitted here to the public curves of Luo et al. 2025"
_RANGES = {"steps": (24_000, 24_000), "peak_lr": (3e-4, 3e-4)}
_MOMENTUM = "S2 = sum_i m_i,  m_i = lambda m_i-1 + (lr_i-1 - lr_i)"
_L0 = Parameter("L0", "irreducible loss, nats a token")
_A = Parameter("A", "size of the power law in the LR sum")
_ALPHA = Parameter("alpha", "exponent of the LR sum", (0.2, 1.0), (0.02, 3.0))
_C = Parameter("C", "loss gained by a unit of annealing area")
_LAMBDA = Parameter(
    "lambda", "forgetting factor of the annealing momentum, a step", (0.99, 0.9995), (0.9, 0.9999), "memory"
)

LAW = Law(
    name="annealing",
    formula=f"L(s) = L0 + A S1^-alpha - C S2,  {_MOMENTUM}",
    reference=_REFERENCE,
    kind="curve",
    inputs=("S", "drop", "steps"),
    parameters=(_L0, _A, _ALPHA, _C, _LAMBDA),
    predict=linear_law(columns, ("L0", "A", "C")),
    columns=columns,
    linear=("L0", "A", "C"),
    natural=_natural,
    centred=_centred,
    convention=_CONVENTION,
    presets={
        "25M": Preset(
            {"L0": 3.036, "A": 0.522, "alpha": 0.504, "C": 1.91, "lambda": 0.995},
            _REFERENCE,
            _RANGE.format("25M"),
            ranges=_RANGES,
        ),
        "100M": Preset(
            {"L0": 2.670, "A": 0.575, "alpha": 0.481, "C": 0.929, "lambda": 0.998},
            _REFERENCE,
            _RANGE.format("100M"),
            ranges=_RANGES,
        ),
    },
)

SIZED = Law(
    name="annealing_size",
    formula=f"L(s) = L0 + A S1^-alpha + B N^-beta - C S2 N^gamma,  {_MOMENTUM}",
    reference=_REFERENCE,
    kind="curve",
    inputs=("S", "drop", "steps", "N"),
    parameters=(
        _L0,
        _A,
        _ALPHA,
        Parameter("B", "loss of one parameter above the rest"),
        Parameter("beta", "exponent of parameters", (0.1, 1.0), (0.01, 3.0)),
        _C,
        Parameter("gamma", "exponent of parameters in the gain of annealing", (-0.3, 0.3), (-2.0, 2.0), "real"),
        _LAMBDA,
    ),
    predict=linear_law(sized_columns, ("L0", "A", "B", "C")),
    columns=sized_columns,
    linear=("L0", "A", "B", "C"),
    natural=_sized_natural,
    centred=_sized_centred,
    convention={**_CONVENTION, "params": "params_nonembedding"},
)
