"""The broken power law of one variable, with one or two breaks: bends, plateaus and U shapes."""

from __future__ import annotations

from jaxlaws.laws.law import Coordinates, Law, Parameter
from jaxlaws.laws.lazy import jax, jnp


def basis_of(breaks):
    """The terms of y = a + b·x^-c0·Π_i (1 + (x/d_i)^(1/f_i))^(−c_i f_i) for i = 1 to `breaks`.

    The slope in ln–ln is −c0 far below d_1 and −(c0 + Σ c_i) far above the last break: a U where the two differ in
    sign. Caballero et al. 2023 (arXiv 2210.14891). The terms are 1 and the product, with coefficients a and b.
    """

    def basis(params, inputs):
        log_x = jnp.log(inputs["x"])
        slope = -params["c0"] * log_x
        for i in range(1, breaks + 1):
            width = params[f"f{i}"]
            slope = slope - params[f"c{i}"] * width * jax.nn.softplus((log_x - jnp.log(params[f"d{i}"])) / width)
        return jnp.ones_like(log_x), jnp.exp(slope)

    return basis


def _in_order(breaks):
    """Coordinates in which d_i is a multiple, above 1, of the break before it: breaks have an order and no copies."""
    later = range(2, breaks + 1)

    def dimensional(p, scale):
        out = {**p, "b": p["b"] * scale["x"] ** p["c0"], "d1": p["d1"] * scale["x"]}
        for i in later:
            out[f"d{i}"] = out[f"d{i - 1}"] * (1 + p[f"d{i}"])
        return out

    def nondimensional(p, scale):
        ratios = {f"d{i}": p[f"d{i}"] / p[f"d{i - 1}"] - 1 for i in later}
        return {**p, "b": p["b"] * scale["x"] ** -p["c0"], "d1": p["d1"] / scale["x"], **ratios}

    return Coordinates(dimensional, nondimensional, of=("b", *(f"d{i}" for i in range(1, breaks + 1))))


def _law(name: str, breaks: int) -> Law:
    numbers = range(1, breaks + 1)
    factors = " ".join(f"(1 + (x/d{i})^(1/f{i}))^(-c{i} f{i})" for i in numbers)
    bends = (
        (
            Parameter(f"c{i}", f"by how much the slope falls at break {i}", (-1.0, 1.0), (-50.0, 50.0), "real"),
            Parameter(f"d{i}", f"where break {i} lies, in the unit of x", (0.1, 10.0), (1e-6, 1e6)),
            Parameter(f"f{i}", f"width of break {i} in ln x", (0.05, 1.0), (1e-2, 10.0)),
        )
        for i in numbers
    )
    return Law(
        name=name,
        formula=f"L = a + b x^(-c0) {factors}",
        reference="Caballero et al. 2023, arXiv 2210.14891",
        inputs=("x",),
        parameters=(
            Parameter("a", "what is left of the metric at the end of the slopes"),
            Parameter("b", "size of the rest at x = 1"),
            Parameter("c0", "slope before the first break", (-0.5, 1.0), (-50.0, 50.0), "real"),
            *(parameter for bend in bends for parameter in bend),
        ),
        basis=basis_of(breaks),
        linear=("a", "b"),
        coordinates=_in_order(breaks),
        convention={"loss": "nats"},
    )


LAW = _law("broken_power", 1)
TWICE = _law("broken_power_2", 2)
