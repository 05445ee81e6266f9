"""The Chinchilla law of data that is repeated."""

from __future__ import annotations

from jaxlaws.laws.law import Parameter, Preset
from jaxlaws.laws.lazy import jnp
from jaxlaws.laws.points.chinchilla import LAW as _CHINCHILLA
from jaxlaws.laws.variant import variant


def effective(params, inputs):
    """What N and D are worth where data repeat (Muennighoff et al. 2023, arXiv 2305.16264).

        U_D = min(D, U),                   R_D = D/U_D − 1,   D → U_D + U_D·R_D*·(1 − e^(−R_D/R_D*))
        U_N = min(N, G·(U_D·G)^(β/α)),     R_N = N/U_N − 1,   N → U_N + U_N·R_N*·(1 − e^(−R_N/R_N*))

    G = (αA/(βB))^(1/(α+β)), so that U_N is the compute-optimal model of U_D tokens. A repetition is worth less than the
    last, and so is a parameter beyond U_N.

    Args:
      params: `A`, `B`, `alpha`, `beta` of Chinchilla; `R_D`, `R_N`, how many repetitions are worth anything.
      inputs: `N`, parameters; `D`, training tokens; `U`, tokens of which no two are the same.
    """
    alpha, beta = params["alpha"], params["beta"]
    unique = jnp.minimum(inputs["D"], inputs["U"])
    optimum = (alpha * params["A"] / (beta * params["B"])) ** (1 / (alpha + beta))
    enough = jnp.minimum(inputs["N"], optimum * (unique * optimum) ** (beta / alpha))
    return {
        "D": _worth(unique, inputs["D"] / unique - 1, params["R_D"]),
        "N": _worth(enough, inputs["N"] / enough - 1, params["R_N"]),
    }


def _worth(base, repeats, scale):
    return base * (1 - scale * jnp.expm1(-repeats / scale))


LAW = variant(
    _CHINCHILLA,
    name="data_constrained",
    formula="L = E + A/N'^alpha + B/D'^beta,  D' = U_D (1 + R_D (1 - exp(-(D/U_D - 1)/R_D))),  U_D = min(D, U),  "
    "N' = U_N (1 + R_N (1 - exp(-(N/U_N - 1)/R_N))),  U_N = min(N, G (U_D G)^(beta/alpha)),  "
    "G = (alpha A/(beta B))^(1/(alpha + beta))",
    reference="Muennighoff et al. 2023, arXiv 2305.16264",
    inputs=("N", "D", "U"),
    parameters=(
        Parameter("R_D", "repetitions of the data that are worth anything", (2.0, 50.0), (0.01, 1e4)),
        Parameter("R_N", "parameters beyond U_N that are worth anything, in U_N", (2.0, 50.0), (0.01, 1e4)),
    ),
    effective=effective,
    presets={
        "muennighoff": Preset(
            {
                "E": 1.8691436784054858,
                "A": 520.8249516599187,
                "B": 1487.716093782861,
                "alpha": 0.3526596,
                "beta": 0.3526596,
                "R_D": 15.387756,
                "R_N": 5.309743,
            },
            "Muennighoff et al. 2023, arXiv 2305.16264: E, A, B, alpha of points read off Chinchilla's figure",
            "N 7.1M to 8.7B, D 100M to 900B, U 100M to 178B, C4",
            ranges={"params": (7.1e6, 8.67e9), "tokens": (1e8, 9e11), "unique_tokens": (1e8, 1.78e11)},
        )
    },
)
