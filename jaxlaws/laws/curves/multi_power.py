"""The Multi-Power Law of loss along a learning-rate schedule."""

from __future__ import annotations

import math

from jaxlaws.laws.law import Law, Parameter, Preset
from jaxlaws.laws.lazy import jnp
from jaxlaws.laws.relaxation import power


def basis(params, inputs):
    """The terms of L(t) = L0 + A·S(t)^-α − B·Σ_{k≤t} (η_{k−1} − η_k)·G(η_k^-γ·S_k(t)) (Luo et al. 2025).

    G(x) = 1 − (1 + C·x)^-β; S(t) = Σ_{τ≤t} η_τ with warm-up; S_k(t) = Σ_{τ=k..t} η_τ. Sums are in LR·steps, so the
    constants hold for one batch size and optimiser. arXiv 2503.12811.

    Args:
      params: `alpha`, `beta`, `C`, `gamma`.
      inputs: `S` [...], and the events `drop`, `lr_sum`, `log_lr` [..., events] of `jaxlaws.laws.events`.

    Returns:
      1, S^-α and −Σ drop·G, with coefficients L0 (nats a token), A and B.
    """
    lr_sum_term = inputs["S"] ** -params["alpha"]
    events = (inputs["drop"], inputs["lr_sum"], inputs["log_lr"])
    return jnp.ones_like(lr_sum_term), lr_sum_term, -power(*events, params["C"], params["beta"], params["gamma"])


_REFERENCE = "Luo et al., ICLR 2025, arXiv 2503.12811"
_RANGE = "{} Llama-2, peak LR 3e-4, batch of the authors, 24,000 to 72,000 steps"
_RANGES = {"steps": (24_000, 72_000), "peak_lr": (3e-4, 3e-4)}
_CONVENTION = {"warmup_ld": "included", "loss": "nats", "lr_sum": "lr_steps"}
_NAMES = ("L0", "A", "alpha", "B", "C", "beta", "gamma")


#: Measured over predicted gaps between the authors' decayed curves, by size (`jaxlaws.fitting.score.decay_ratio`).
_GAPS = {
    "25M": {"ratio": 0.5599846792730077, "se": 0.029716268756869762, "pairs": 4},
    "100M": {"ratio": 0.4926865536894094, "se": 0.039476195116675446, "pairs": 4},
}


def _preset(size, *values):
    constants = dict(zip(_NAMES, values, strict=True))
    return Preset(constants, _REFERENCE, _RANGE.format(size), ranges=_RANGES, held_out={"decay_gaps": _GAPS[size]})


LAW = Law(
    name="multi_power",
    formula="L(t) = L0 + A S(t)^-alpha - B sum_k (lr_k-1 - lr_k) [1 - (1 + C lr_k^-gamma S_k(t))^-beta]",
    reference=_REFERENCE,
    inputs=("S", "drop", "lr_sum", "log_lr"),
    # The priors hold the published constants within 1.9 sd at the LRs of their authors' runs.
    parameters=(
        Parameter("L0", "irreducible loss of this model, nats a token"),
        Parameter("A", "size of the power law in the LR sum", units={"S": "alpha"}),
        Parameter("alpha", "exponent of the LR sum", (0.2, 1.0), (0.02, 3.0)),
        Parameter("B", "loss gained by a unit drop of the LR", units={"lr": -1}),
        Parameter(
            "C",
            "rate at which a drop takes effect",
            (10.0, 1e4),
            (1e-4, 1e12),
            units={"lr": "gamma", "S": -1},
            prior=(math.log(300.0), 0.8),
        ),
        Parameter("beta", "exponent of the approach", (0.2, 1.0), (0.02, 10.0), prior=(math.log(0.5), 0.25)),
        Parameter("gamma", "exponent of the LR in the rate", (0.2, 1.0), (0.01, 3.0), prior=(math.log(0.5), 0.15)),
    ),
    basis=basis,
    linear=("L0", "A", "B"),
    running=True,
    convention=_CONVENTION,
    noise="correlated",
    presets={
        "25M": _preset("25M", 3.04045406, 0.52468604, 0.50786857, 363.78751622, 2.06560812, 0.58279013, 0.64142257),
        "100M": _preset("100M", 2.6514477, 0.60115152, 0.45295811, 437.9464276, 2.13245612, 0.59785199, 0.65523644),
    },
)
