"""How initial values, learning rates and weight decays follow the width, as one table of exponents. No JAX.

m = width / base_width. A group of parameters starts with its standard deviation times m^init, trains at LR · m^lr and
decays at λ · m^decay. The groups: `embedding` (V × d), `matrix` (both sides grow with d), `head` (d × V), `vector`
(gains of norms).
"""

from __future__ import annotations

from typing import NamedTuple

GROUPS = ("embedding", "matrix", "head", "vector")
#: How an optimiser's update depends on the gradient, which is what the LR of a width follows from: `adam` (every
#: element has about the size of the LR), `sgd` (proportional to the gradient), `muon` (matrices orthogonal, with
#: elements of the size of Adam's; everything else as `adam`).
FAMILIES = ("adam", "sgd", "muon")


class Parameterisation(NamedTuple):
    """Exponents of m, by group in the order of `GROUPS`; a decay of None: never decayed.

    Attributes:
      init: of the standard deviation. The model's own is 0.02 for embedding and head and fan_in^-1/2 for matrices.
      lr, decay: by family of optimisers.
      logits: the head's output is multiplied by m^logits.
      attention: scores are q·k · K^attention, K the width of a head.
    """

    init: tuple[float, ...]
    lr: dict[str, tuple[float, ...]]
    decay: dict[str, tuple[float | None, ...]]
    logits: float
    attention: float


_SAME = (0.0, 0.0, 0.0, 0.0)

#: `standard`: nothing follows the width. `mup`: Yang & Hu, Tensor Programs V, arXiv 2203.03466, table 8, in which the
#: head has a multiplier 1/m and the LR of an embedding, so that both may be tied; Muon's matrices have updates whose
#: spectral norm grows as LR · √m, hence their -1/2. Decay under Adam: Fan et al. 2025, arXiv 2510.15262 (λ ∝ √d for
#: matrices, none for what has one growing side only); nothing is published for the others, whose λ stays.
PARAMETERISATIONS: dict[str, Parameterisation] = {
    "standard": Parameterisation(
        init=_SAME,
        lr=dict.fromkeys(FAMILIES, _SAME),
        decay=dict.fromkeys(FAMILIES, (0.0, 0.0, 0.0, None)),
        logits=0.0,
        attention=-0.5,
    ),
    "mup": Parameterisation(
        init=_SAME,
        lr={"adam": (0.0, -1.0, 0.0, 0.0), "sgd": (1.0, 0.0, 1.0, 1.0), "muon": (0.0, -0.5, 0.0, 0.0)},
        decay={"adam": (None, 0.5, None, None), "sgd": (None, 0.0, None, None), "muon": (None, 0.0, None, None)},
        logits=-1.0,
        attention=-1.0,
    ),
}


def multiplier(exponent: float | None, ratio: float) -> float:
    """m^exponent, 0 for None."""
    return 0.0 if exponent is None else ratio**exponent
