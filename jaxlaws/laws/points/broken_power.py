"""The broken power law of one variable, with one or two breaks: bends, plateaus and U shapes."""

from __future__ import annotations

from jaxlaws.laws.law import Coordinates, Law, Parameter
from jaxlaws.laws.lazy import jax, jnp

#: ln of how far the edges of the data are taken to lie from their geometric mean.
_EDGE = 2.0
#: The least share of a break between the edges that counts.
_LEAST = 1e-12


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


def _within_the_data(breaks):
    """Coordinates that stay finite where breaks leave the data or widen without end.

    A U often is best fitted by a stretched exponential or a parabola in ln x, which are the limits c_i, d_i → ∞ and
    c_i, f_i → ∞. In their place: the slope at the low edge of the data, by how much each break lowers it up to the
    high edge, and what b x^-c0 … is at the middle. A later d_i is a multiple, above 1, of the break before it: breaks
    have an order and no copies.
    """
    numbers = range(1, breaks + 1)

    def reached(p, i):
        """Which shares of break i lie below both edges, and between them."""
        low, high = ((side * _EDGE - jnp.log(p[f"d{i}"])) / p[f"f{i}"] for side in (-1, 1))
        return jax.nn.sigmoid(low), jax.nn.sigmoid(high) * jax.nn.sigmoid(-low) * -jnp.expm1(low - high) + _LEAST

    def log_bends(p):
        """ln of what the breaks divide by at the middle of the data."""
        return sum(p[f"c{i}"] * p[f"f{i}"] * jax.nn.softplus(-jnp.log(p[f"d{i}"]) / p[f"f{i}"]) for i in numbers)

    def dimensional(p, scale):
        out = dict(p)
        for i in numbers:
            out[f"d{i}"] = out[f"d{i - 1}"] * (1 + p[f"d{i}"]) if i > 1 else p["d1"]
            below, between = reached(out, i)
            out[f"c{i}"] = p[f"c{i}"] / between
            out["c0"] = out["c0"] - out[f"c{i}"] * below
        out["b"] = p["b"] * jnp.exp(log_bends(out)) * scale["x"] ** out["c0"]
        return out | {f"d{i}": out[f"d{i}"] * scale["x"] for i in numbers}

    def nondimensional(p, scale):
        p = {**p} | {f"d{i}": p[f"d{i}"] / scale["x"] for i in numbers}
        out = {**p, "b": p["b"] * jnp.exp(-log_bends(p)) * scale["x"] ** -p["c0"]}
        for i in numbers:
            below, between = reached(p, i)
            out[f"c{i}"] = p[f"c{i}"] * between
            out["c0"] = out["c0"] + p[f"c{i}"] * below
            out[f"d{i}"] = p[f"d{i}"] / p[f"d{i - 1}"] - 1 if i > 1 else p["d1"]
        return out

    changed = (f"{name}{i}" for name in "cd" for i in numbers)
    return Coordinates(dimensional, nondimensional, of=("b", "c0", *changed))


def _law(name: str, breaks: int) -> Law:
    numbers = range(1, breaks + 1)
    factors = " ".join(f"(1 + (x/d{i})^(1/f{i}))^(-c{i} f{i})" for i in numbers)
    bends = (
        (
            Parameter(f"c{i}", f"by how much the slope falls at break {i}", (-3.0, 3.0), (-50.0, 50.0), "real"),
            Parameter(f"d{i}", f"where break {i} lies, in the unit of x", (0.1, 10.0), (1e-6, 1e6)),
            Parameter(f"f{i}", f"width of break {i} in ln x", (0.01, 3.0), (1e-4, 30.0)),
        )
        for i in numbers
    )
    return Law(
        name=name,
        formula=f"L = a + b x^(-c0) {factors}",
        reference="Caballero et al. 2023, arXiv 2210.14891",
        inputs=("x",),
        parameters=(
            Parameter("a", "what is left of the metric at the end of the slopes", (0.1, 1.0), (0.0, 100.0), "real"),
            Parameter("b", "size of the rest at x = 1"),
            Parameter("c0", "slope before the first break", (-1.0, 1.5), (-50.0, 50.0), "real"),
            *(parameter for bend in bends for parameter in bend),
        ),
        basis=basis_of(breaks),
        linear=("a", "b"),
        coordinates=_within_the_data(breaks),
        convention={"loss": "nats"},
    )


LAW = _law("broken_power", 1)
TWICE = _law("broken_power_2", 2)
