"""The law of continual pre-training: a first phase on one corpus, then a second on another, along one LR array."""

from __future__ import annotations

import math
from dataclasses import replace

from jaxlaws.laws.law import Law, Parameter
from jaxlaws.laws.lazy import jnp

#: The forgetting factor λ of the annealing momentum a step, which the authors hold fixed.
DECAY = 0.999


def areas(inputs, carry_over=False):
    """S2 = Σ_i Σ_{k≤i} (η_{k−1} − η_k)·λ^(i−k) of each phase, i and k in it, λ = .999.

    The change at which the second phase starts belongs to it, so that a new warm-up makes its area negative at first.

    Args:
      inputs: the events `drop` and `age` [..., events], and `age_phase` [...], the steps of the second phase so far.
      carry_over: whether drops of the first phase act on in the area of the second; the source does not say.

    Returns:
      S2 of the first and of the second phase, [...], in units of the LR.
    """
    log = math.log(DECAY)
    before = jnp.maximum(inputs["age"] - inputs["age_phase"][..., None], 0.0)
    first = -jnp.expm1(log * before)
    second = jnp.exp(log * before) - jnp.exp(log * inputs["age"])
    if not carry_over:
        second = jnp.where(before > 0, 0.0, second)
    return tuple(jnp.sum(inputs["drop"] * kernel, -1) / (1 - DECAY) for kernel in (first, second))


def shift(params, inputs):
    """The shift of the distribution over B: 1 − (1 + E·S1cpt)^-β, [...]."""
    return -jnp.expm1(-params["beta"] * jnp.log1p(params["E"] * inputs["S_phase"]))


def basis(params, inputs):
    """The terms of L = L0 + A·(S1pt + S1cpt)^-α − C1·S2pt − C2·S2cpt + B·(1 − (1 + E·S1cpt)^-β).

    S1 is the LR sum and S2 the annealing area of a phase (`areas`). B is positive for the loss on the first corpus and
    negative on that of the second; the two are fitted apart. Wang et al., ICML 2025, arXiv 2505.07796.

    Args:
      params: `alpha`, `E` and `beta`.
      inputs: `S`, `S_phase`, `age_phase` [...], and the events `drop`, `age` [..., events].

    Returns:
      1, the power of the LR sum, minus both areas and the shift, with coefficients L0, A, C1, C2 and B.
    """
    return _terms(params, inputs, *areas(inputs))


def carry_over_basis(params, inputs):
    """`basis` with the momentum of the first phase carried over into the area of the second."""
    return _terms(params, inputs, *areas(inputs, carry_over=True))


def basis_with_size(params, inputs):
    """The terms of L0 + A·S1^-α − C1·S2pt·N^γ1 − C2·S2cpt·N^γ2 + B·(1 − (1 + E·S1cpt)^-β) + F·N^-γ3 (Eq. 7).

    Args:
      params: those of `basis`, `gamma1`, `gamma2` and `gamma3`.
      inputs: those of `basis`, and `N` [...].

    Returns:
      the terms with coefficients L0, A, C1, C2, B and F.
    """
    first, second = areas(inputs)
    N = inputs["N"]
    terms = _terms(params, inputs, first * N ** params["gamma1"], second * N ** params["gamma2"])
    return (*terms, N ** -params["gamma3"])


def replay_first_basis(params, inputs):
    """The terms of `basis` for the loss on the first corpus, of which the share r is replayed (Eq. 8).

    The area of the second phase is multiplied by exp(a1·r), and the shift by 1 − exp(−a2·(1 − r)). The β of the fit
    with replay is unreadable in the source, so that no preset is shipped.

    Args:
      params: those of `basis`, `a1` and `a2`.
      inputs: those of `basis`, and `replay` r [...].
    """
    return _with_replay(params, inputs, -jnp.expm1(-params["a2"] * (1 - inputs["replay"])))


def replay_second_basis(params, inputs):
    """The terms of `basis` for the loss on the second corpus where the share r of the first is replayed (Eq. 8).

    The area of the second phase is multiplied by exp(a1·r) – the paper does not tell whether r or 1 − r is meant – and
    the shift by exp(a2·(1 − r)) − 1. The β of the fit with replay is unreadable in the source, so that no preset is
    shipped.

    Args: see `replay_first_basis`.
    """
    return _with_replay(params, inputs, jnp.expm1(params["a2"] * (1 - inputs["replay"])))


def _terms(params, inputs, first, second):
    power = inputs["S"] ** -params["alpha"]
    return jnp.ones_like(power), power, -first, -second, shift(params, inputs)


def _with_replay(params, inputs, factor):
    first, second = areas(inputs)
    *terms, shift = _terms(params, inputs, first, second * jnp.exp(params["a1"] * inputs["replay"]))
    return (*terms, shift * factor)


_REFERENCE = "Wang et al., ICML 2025, arXiv 2505.07796"
_C1 = Parameter("C1", "loss gained by a unit of annealing area of the first phase", units={"lr": -1})
_C2 = Parameter("C2", "loss gained by a unit of annealing area of the second phase", units={"lr": -1})
_PARAMETERS = (
    Parameter("L0", "irreducible loss, nats a token"),
    Parameter("A", "size of the power law in the LR sum", units={"S": "alpha"}),
    Parameter("alpha", "exponent of the LR sum", (0.2, 1.0), (0.02, 3.0)),
    _C1,
    _C2,
    Parameter("B", "loss that the new corpus adds in the end, nats a token", (-1.0, 1.0), (-50.0, 50.0), "real"),
    Parameter("E", "rate at which it does", (1.0, 1e3), (1e-4, 1e6), units={"S": -1}),
    Parameter("beta", "exponent at which it does", (0.1, 0.6), (0.01, 5.0)),
)
_REPLAY = (
    Parameter("a1", "growth of the second annealing gain with replay", (-0.2, 0.2), (-5.0, 5.0), "real"),
    Parameter("a2", "rate at which the shift vanishes with replay", (0.5, 8.0), (1e-3, 50.0)),
)
_L = "L = L0 + A (S1pt + S1cpt)^-alpha"
_SHIFT = "B [1 - (1 + E S1cpt)^-beta]"

LAW = Law(
    name="cpt",
    formula=f"{_L} - C1 S2pt - C2 S2cpt + {_SHIFT}",
    reference=_REFERENCE,
    inputs=("S", "S_phase", "age_phase", "drop", "age", "phase_start"),
    parameters=_PARAMETERS,
    basis=basis,
    linear=("L0", "A", "C1", "C2", "B"),
    convention={"warmup_ld": "included", "loss": "nats", "lr_sum": "lr_steps", "phase_momentum": "reset"},
)

CARRY_OVER = replace(
    LAW, name="cpt_carried", basis=carry_over_basis, convention={**LAW.convention, "phase_momentum": "carried"}
)

SIZED = replace(
    LAW,
    name="cpt_size",
    formula=f"{_L} - C1 S2pt N^gamma1 - C2 S2cpt N^gamma2 + {_SHIFT} + F N^-gamma3",
    inputs=(*LAW.inputs, "N"),
    parameters=(
        *(replace(p, units={"lr": -1, "N": f"-gamma{p.name[1:]}"}) if p in (_C1, _C2) else p for p in _PARAMETERS),
        Parameter("F", "loss of one parameter above the rest", units={"N": "gamma3"}),
        *(
            Parameter(f"gamma{i}", f"exponent of parameters in the gain of phase {i}", (-0.3, 0.3), (-2, 2), "real")
            for i in (1, 2)
        ),
        Parameter("gamma3", "exponent of parameters", (0.1, 1.0), (0.01, 3.0)),
    ),
    basis=basis_with_size,
    linear=(*LAW.linear, "F"),
    convention={**LAW.convention, "params": "params_nonembedding"},
)

REPLAY_FIRST = replace(
    LAW,
    name="cpt_replay_first",
    formula=f"{_L} - C1 S2pt - C2 S2cpt exp(a1 r) + {_SHIFT} [1 - exp(-a2 (1 - r))]",
    inputs=(*LAW.inputs, "replay"),
    parameters=(*_PARAMETERS, *_REPLAY),
    basis=replay_first_basis,
)

REPLAY_SECOND = replace(
    REPLAY_FIRST,
    name="cpt_replay_second",
    formula=f"{_L} - C1 S2pt - C2 S2cpt exp(a1 r) + {_SHIFT} [exp(a2 (1 - r)) - 1]",
    basis=replay_second_basis,
)
