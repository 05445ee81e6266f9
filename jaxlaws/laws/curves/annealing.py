"""The learning-rate-annealing (momentum) law, for one model and with model size."""

from __future__ import annotations

from dataclasses import replace

from jaxlaws.laws.law import Coordinates, Law, Parameter, Preset, with_units, without_units
from jaxlaws.laws.lazy import jnp
from jaxlaws.laws.relaxation import exponential


def annealing_area(decay, inputs):
    """S2 = Σ_{i≤s} m_i with m_i = λ m_{i−1} + (η_{i−1} − η_i), as Σ_k drop_k (1 − λ^n_k) / (1 − λ).

    Args:
      decay: the forgetting factor λ a step.
      inputs: `drop` and `age` n_k = s − k + 1 of the events [..., events].
    """
    return exponential(inputs["drop"], inputs["age"], -jnp.log(decay)) / (1 - decay)


def basis(params, inputs):
    """The terms of L(s) = L0 + A·S1^-α − C·S2 (Tissue et al. 2024, arXiv 2408.11029).

    Args:
      params: `alpha` and `lambda`, the forgetting factor a step.
      inputs: `S` [...], the LR sum with warm-up, and the events `drop`, `age` [..., events].

    Returns:
      1, S1^-α and −S2, with coefficients L0 (nats a token), A and C.
    """
    power = inputs["S"] ** -params["alpha"]
    return jnp.ones_like(power), power, -annealing_area(params["lambda"], inputs)


def basis_with_size(params, inputs):
    """The terms of L(s) = L0 + A·S1^-α + B·N^-β − C·S2·N^γ (Tissue et al. 2024, §5).

    Args:
      params: `alpha`, `lambda`, `beta` and `gamma`, exponents of the number of parameters.
      inputs: as `basis`, and `N` [...].

    Returns:
      1, S1^-α, N^-β and −S2·N^γ, with coefficients L0, A, B and C.
    """
    one, power, gain = basis(params, inputs)
    return one, power, one * inputs["N"] ** -params["beta"], gain * inputs["N"] ** params["gamma"]


def _coordinates(parameters):
    """C is fitted as C/(1 − λ): the gain of a drop once its momentum is spent."""
    return Coordinates(
        lambda p, scale: with_units(parameters, {**p, "C": p["C"] * (1 - p["lambda"])}, scale),
        lambda p, scale: without_units(parameters, {**p, "C": p["C"] / (1 - p["lambda"])}, scale),
        of=("C",),
    )


_REFERENCE = "Tissue et al. 2024, arXiv 2408.11029"
_CONVENTION = {"warmup_ld": "included", "loss": "nats", "lr_sum": "lr_steps"}
_RANGE = "{} Llama-2, peak LR 3e-4, 24,000 steps; fitted here to the public curves of Luo et al. 2025"
_RANGES = {"steps": (24_000, 24_000), "peak_lr": (3e-4, 3e-4)}
_MOMENTUM = "S2 = sum_i m_i,  m_i = lambda m_i-1 + (lr_i-1 - lr_i)"
_L0 = Parameter("L0", "irreducible loss, nats a token")
_A = Parameter("A", "size of the power law in the LR sum", units={"S": "alpha"})
_ALPHA = Parameter("alpha", "exponent of the LR sum", (0.2, 1.0), (0.02, 3.0))
_C = Parameter("C", "loss gained by a unit of annealing area", units={"lr": -1})
_LAMBDA = Parameter(
    "lambda", "forgetting factor of the annealing momentum, a step", (0.99, 0.9995), (0.9, 0.9999), "memory"
)
_PARAMETERS = (_L0, _A, _ALPHA, _C, _LAMBDA)
_SIZED = (
    *(_L0, _A, _ALPHA),
    Parameter("B", "loss of one parameter above the rest", units={"N": "beta"}),
    Parameter("beta", "exponent of parameters", (0.1, 1.0), (0.01, 3.0)),
    replace(_C, units={"lr": -1, "N": "-gamma"}),
    Parameter("gamma", "exponent of parameters in the gain of annealing", (-0.3, 0.3), (-2.0, 2.0), "real"),
    _LAMBDA,
)

LAW = Law(
    name="annealing",
    formula=f"L(s) = L0 + A S1^-alpha - C S2,  {_MOMENTUM}",
    reference=_REFERENCE,
    inputs=("S", "drop", "age"),
    parameters=_PARAMETERS,
    basis=basis,
    linear=("L0", "A", "C"),
    running=True,
    coordinates=_coordinates(_PARAMETERS),
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
    inputs=("S", "drop", "age", "N"),
    parameters=_SIZED,
    basis=basis_with_size,
    linear=("L0", "A", "B", "C"),
    running=True,
    coordinates=_coordinates(_SIZED),
    convention={**_CONVENTION, "params": "params_nonembedding"},
)
