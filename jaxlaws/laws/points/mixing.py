"""The mixing law: the loss on one domain by the shares of all domains in the training data."""

from __future__ import annotations

from dataclasses import replace

from jaxlaws.laws.law import Law, Parameter
from jaxlaws.laws.lazy import jnp


def exponential(parts):
    """The exponential term of L(r) = c + exp(Σ_j t_j r_j), as a function of the constants and `r` [..., parts].

    Published as L = c + k·exp(Σ_j t_j r_j) (Ye et al. 2024, arXiv 2403.16952). Shares sum to 1, so that ln k and one
    number added to every t_j are the same: here ln k = 0, and exp(t_j) is the loss above c after training on domain j
    alone, nats a token.
    """

    def term(params, inputs):
        return jnp.exp(sum(params[f"t_{part}"] * inputs["r"][..., i] for i, part in enumerate(parts)))

    return term


def of_parts(parts: tuple[str, ...]) -> Law:
    """The law of these domains."""
    rates = tuple(
        Parameter(f"t_{part}", f"ln of the loss above c after training on {part} alone", (-1.0, 2.0), (-30, 10), "real")
        for part in parts
    )
    terms = " + ".join(f"t_{part} r_{part}" for part in parts)
    return replace(
        LAW,
        formula=f"L = c + exp({terms})",
        parameters=(*LAW.parameters, *rates),
        offset=exponential(parts),
        parts=parts,
    )


LAW = Law(
    name="mixing",
    formula="L = c + exp(Σ_j t_j r_j)",
    reference="Ye et al. 2024, arXiv 2403.16952, with ln k in the t_j",
    inputs=("r",),
    parameters=(Parameter("c", "loss on the domain that no mixture goes below, nats a token"),),
    basis=lambda params, inputs: (jnp.ones(jnp.shape(inputs["r"])[:-1]),),
    linear=("c",),
    convention={"loss": "nats"},
    of_parts=of_parts,
)
