"""Farseer: a law of model size and data whose data exponent depends on the model size."""

from __future__ import annotations

from jaxlaws.laws.law import Coordinates, Law, Parameter, Preset
from jaxlaws.laws.lazy import jnp

_TERMS = (("a1", "b1", "alpha"), ("a2", "b2", "beta"), ("a3", "b3", "gamma"))


def loss(params, inputs):
    """L = exp(a3·N^γ + b3) + exp(a2·N^β + b2)·D^(−exp(a1·N^α + b1)) (Predictable Scale II, arXiv 2506.10972).

    Args:
      params: the nine constants.
      inputs: `N`, non-embedding parameters, and `D`, tokens.
    """
    log_exponent, log_size, log_floor = (params[a] * inputs["N"] ** params[g] + params[b] for a, b, g in _TERMS)
    return jnp.exp(log_floor) + jnp.exp(log_size - jnp.exp(log_exponent) * jnp.log(inputs["D"]))


def _dimensional(p, scale):
    """a·N^g + b from its value and its slope in ln N at the typical N; the data term at the typical D."""
    log_n, log_d = jnp.log(scale["N"]), jnp.log(scale["D"])
    exponent = jnp.exp(p["b1"])
    value = {"b1": p["b1"], "b2": p["b2"] + exponent * log_d, "b3": p["b3"]}
    slope = {"a1": p["a1"], "a2": p["a2"] + exponent * p["a1"] * log_d, "a3": p["a3"]}
    out: dict = {}
    for a, b, g in _TERMS:
        power = jnp.where(jnp.abs(p[g]) < 1e-6, 1e-6, p[g])
        out |= {a: slope[a] / power * jnp.exp(-power * log_n), b: value[b] - slope[a] / power, g: power}
    return out


def _nondimensional(p, scale):
    log_n, log_d = jnp.log(scale["N"]), jnp.log(scale["D"])
    size = {a: p[a] * jnp.exp(p[g] * log_n) for a, _, g in _TERMS}
    value = {b: size[a] + p[b] for a, b, _ in _TERMS}
    slope = {a: size[a] * p[g] for a, _, g in _TERMS}
    exponent = jnp.exp(value["b1"])
    value["b2"] = value["b2"] - exponent * log_d
    slope["a2"] = slope["a2"] - exponent * slope["a1"] * log_d
    return {**{g: p[g] for _, _, g in _TERMS}, **value, **slope}


def _real(name, meaning, start, bounds):
    return Parameter(name, meaning, start, bounds, "real")


LAW = Law(
    name="farseer",
    formula="L = exp(a3 N^gamma + b3) + exp(a2 N^beta + b2) D^(-exp(a1 N^alpha + b1))",
    reference="Predictable Scale II, arXiv 2506.10972",
    inputs=("N", "D"),
    parameters=(
        _real("a3", "size of the floor's dependence on N", (-0.2, 0.0), (-3.0, 3.0)),
        _real("b3", "offset of ln of the floor", (-1.5, 1.0), (-6.0, 4.0)),
        _real("gamma", "exponent of N in the floor", (0.05, 0.4), (-2.0, 2.0)),
        _real("a2", "size of the data term's dependence on N", (-0.5, 0.2), (-5.0, 5.0)),
        _real("b2", "offset of ln of the data term", (-3.0, 0.5), (-12.0, 6.0)),
        _real("beta", "exponent of N in the data term", (-0.3, 0.3), (-2.0, 2.0)),
        _real("a1", "size of the data exponent's dependence on N", (-0.2, 0.1), (-3.0, 3.0)),
        _real("b1", "offset of ln of the data exponent", (-1.8, -0.3), (-5.0, 1.5)),
        _real("alpha", "exponent of N in the data exponent", (0.05, 0.4), (-2.0, 2.0)),
    ),
    function=loss,
    coordinates=Coordinates(_dimensional, _nondimensional, of=("a1", "a2", "a3", "b1", "b2", "b3")),
    convention={"params": "params_nonembedding", "loss": "nats"},
    presets={
        "published": Preset(
            {
                "a3": -0.062465473,
                "b3": 0.1284880679442551,
                "gamma": 0.13,
                "a2": 230.73437075885855,
                "b2": -1.544209554,
                "beta": -0.1729,
                "a1": -1.665630816,
                "b1": 3.133347198805445,
                "alpha": 0.0458999999999619,
            },
            "Predictable Scale II, arXiv 2506.10972, with the digits that the authors' rows need, as PlanarG/active-sl "
            "has them",
            "N 99.6M to 6.37B, D 1B to 512B, loss in bits per character",
            {"loss": "bits_per_character"},
            ranges={"params": (9.96e7, 6.37e9), "tokens": (1e9, 5.12e11)},
        )
    },
)
