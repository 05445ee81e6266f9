"""Chinchilla with penalties on LR, batch, weight decay and shape, whose optima move with model size and data."""

from __future__ import annotations

from jaxlaws.inputs import INPUTS
from jaxlaws.laws.law import Law, Parameter
from jaxlaws.laws.lazy import jnp
from jaxlaws.laws.points import chinchilla
from jaxlaws.laws.variant import variant

#: Input with a penalty → its name for people.
SETTINGS = {"eta": "peak LR", "B": "batch", "decay": "weight decay", "aspect": "width over depth"}


def best_setting(params, name, inputs):
    """λ* = λ_0·N^m·D^n, the setting `name` of `SETTINGS` that is best for a model of N parameters."""
    return params[f"{name}_0"] * inputs["N"] ** params[f"{name}_N"] * inputs["D"] ** params[f"{name}_D"]


def _law(name: str, settings: tuple[str, ...]) -> Law:
    def penalty(params, inputs):
        """Σ_i P_i, P_i = q_i·ln²(λ_i/λ_i*)."""
        return sum(
            params[f"{key}_q"] * jnp.log(inputs[key] / best_setting(params, key, inputs)) ** 2 for key in settings
        )

    return variant(
        chinchilla.LAW,
        name=name,
        formula="L = (E + A/N^alpha + B/D^beta) exp("
        + " + ".join(f"{key}_q ln({key}/({key}_0 N^{key}_N D^{key}_D))^2" for key in settings)
        + ")",
        reference="after arXiv 2510.18900; the quadratic penalties are a guess, the form is from memory",
        inputs=("N", "D", *settings),
        parameters=tuple(parameter for key in settings for parameter in _constants(key)),
        penalty=penalty,
        convention={"params": "params_nonembedding", "loss": "nats"},
    )


def _constants(key: str) -> tuple[Parameter, ...]:
    word = SETTINGS[key]
    return (
        Parameter(f"{key}_q", f"ln of the loss that a {word} off by a factor e costs", (1e-3, 0.1), (1e-8, 10.0)),
        Parameter(
            f"{key}_0",
            f"best {word} of one parameter and one token",
            (0.3, 3.0),
            (1e-3, 1e3),
            units={INPUTS[key].unit: 1, "N": f"-{key}_N", "D": f"-{key}_D"},
        ),
        Parameter(f"{key}_N", f"exponent of parameters in the best {word}", (-0.5, 0.5), (-3.0, 3.0), "real"),
        Parameter(f"{key}_D", f"exponent of tokens in the best {word}", (-0.5, 0.5), (-3.0, 3.0), "real"),
    )


LAW = _law("mist", tuple(SETTINGS))
TWO = _law("mist_lr_batch", ("eta", "B"))
