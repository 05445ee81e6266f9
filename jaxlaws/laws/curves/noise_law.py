"""The law of SGD noise: a schedule's loss from that of a constant LR, by the noise of the gradient."""

from __future__ import annotations

from jaxlaws.laws.law import Law, Parameter


def basis(params, inputs):
    """The term of L'(τ) = L(τ) + α·(η'(τ)/η_peak − 1)·Tr Σ'(τ): what stands behind α (Qiu et al. 2025).

    τ = Σ η/η_peak is the time of gradient flow, L(τ) the loss of a run of constant LR at equal τ and Tr Σ' the trace
    of the covariance over batches of the preconditioned gradient P^(-1/2)·g of the run itself, with
    P^(-1/2) = √(peak LR)/√(√v + ε) of each parameter and Adam's v. Theory has α = 1/4. arXiv 2507.02119.

    Args:
      params: none of them.
      inputs: `lr`, `peak` and `trace` [...], the last in units of the loss.
    """
    return ((inputs["lr"] / inputs["peak"] - 1) * inputs["trace"],)


def offset(params, inputs):
    """The loss of the reference, [...]."""
    return inputs["reference"]


LAW = Law(
    name="noise_law",
    formula="L'(tau) = L(tau) + alpha (lr_tau / lr_peak - 1) Tr Sigma'(tau),  L of a run of constant LR",
    reference="Qiu et al., ICML 2025, arXiv 2507.02119",
    inputs=("lr", "peak", "trace", "reference"),
    parameters=(Parameter("alpha", "loss over the trace at an LR of 0", (0.1, 1.0), (1e-4, 1e4)),),
    basis=basis,
    linear=("alpha",),
    offset=offset,
    convention={"loss": "unit_of_reference"},
    noise="squared_loss",
)
