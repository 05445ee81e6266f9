"""Forms of the noise-memory law: five constants in place of eight, several model sizes at once, several batch sizes."""

from __future__ import annotations

import math
from dataclasses import replace

from jaxlaws.laws.curves import noise_memory
from jaxlaws.laws.law import Law, Parameter
from jaxlaws.laws.variant import tied

_MEMORY = "m = sum_k (lr_k - lr_k-1) [1 - (1 + C S_k)^-{}], lr_-1 = 0"
_REFERENCE = "this project; a form of the law noise_memory"


def basis_with_size(params, inputs):
    """The terms of L(t) = L0 + A·S^-α + B·N^γ·S^-κ·m^ζ + F·N^-φ: those of `noise_memory.basis`, and N^-φ.

    Args:
      params: as of `noise_memory.basis`; `gamma` and `phi`, exponents of the number of parameters.
      inputs: as of `noise_memory.basis`, and `N` [...].

    Returns:
      1, S^-α, N^γ·S^-κ·m^ζ and N^-φ, with coefficients L0, A, B and F.
    """
    one, lr_sum_term, noise = noise_memory.basis(params, inputs)
    size = inputs["N"]
    return one, lr_sum_term, noise * size ** params["gamma"], one * size ** -params["phi"]


def _with_batch(law: Law, name: str, formula: str) -> Law:
    """The law with m/M in place of m, where M is the batch, `B` of the inputs [...].

    The noise of SGD at an LR η is that of its temperature η/M, as the gradient's covariance falls with M (Smith and Le
    2018, arXiv 1710.06451). Fitted freely, as m/M^q, q is 1.00 to 1.05 on the public runs of the Step Law.
    """

    def basis(params, inputs):
        assert law.basis is not None
        one, lr_sum_term, noise, *of_size = law.basis(params, inputs)
        return one, lr_sum_term, noise * inputs["B"] ** -params["zeta"], *of_size

    return replace(
        law,
        name=name,
        formula=formula,
        inputs=(*law.inputs, "B"),
        parameters=_with_units(law.parameters, {"B": "zeta"}),
        basis=basis,
    )


#: The law of one model without its presets, which are of that law only.
_LAW = replace(noise_memory.LAW, presets={})


def _with_units(parameters: tuple[Parameter, ...], more: dict[str, float | str]) -> tuple[Parameter, ...]:
    """The constants, of which B, the size of the noise, has further units."""
    return tuple(replace(p, units={**p.units, **more}) if p.name == "B" else p for p in parameters)


# Without priors: that of C is of a β that is free, with which C trades off.
REDUCED = tied(
    replace(_LAW, parameters=tuple(replace(p, prior=None) for p in _LAW.parameters)),
    name="noise_memory_reduced",
    formula="L(t) = L0 + A S^-alpha + B (m/S^0.25)^alpha,  " + _MEMORY.format("0.2"),
    reference=_REFERENCE,
    ties={"zeta": lambda p: p["alpha"], "kappa": lambda p: p["alpha"] / 4, "beta": lambda p: 0.2},
)

SIZED = replace(
    _LAW,
    name="noise_memory_size",
    formula="L(t) = L0 + A S^-alpha + B N^gamma S^-kappa m^zeta + F N^-phi,  " + _MEMORY.format("beta"),
    reference=_REFERENCE,
    inputs=(*_LAW.inputs, "N"),
    # Two sizes have two levels, which say nothing of φ: its prior is of the α of Chinchilla's law, .348 and .353 in the
    # presets. That of γ is of what three public sources show, .16 to .31 (experiments/LOG.md).
    parameters=(
        Parameter("L0", "irreducible loss, nats a token"),
        *_with_units(_LAW.parameters[1:], {"N": "-gamma"}),
        Parameter(
            "gamma",
            "exponent of parameters in the gradient noise",
            (-0.1, 0.5),
            (-2.0, 2.0),
            "real",
            prior=(0.25, 0.25),
        ),
        Parameter("F", "loss of one parameter above the rest", units={"N": "phi"}),
        Parameter("phi", "exponent of parameters", (0.2, 0.6), (0.01, 3.0), prior=(math.log(0.35), 0.15)),
    ),
    basis=basis_with_size,
    linear=("L0", "A", "B", "F"),
    convention={**_LAW.convention, "params": "params_nonembedding"},
)

BATCH = _with_batch(
    _LAW,
    "noise_memory_batch",
    "L(t) = L0 + A S^-alpha + B S^-kappa (m/batch)^zeta,  " + _MEMORY.format("beta"),
)

SIZED_BATCH = _with_batch(
    SIZED,
    "noise_memory_size_batch",
    "L(t) = L0 + A S^-alpha + B N^gamma S^-kappa (m/batch)^zeta + F N^-phi,  " + _MEMORY.format("beta"),
)
