"""Under μP a step moves a wide model as much as a narrow one; under the standard parameterisation it moves it more."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxlaws.hyper import OptimizerConfig
from jaxlaws.model import transformer
from jaxlaws.model.shape import ModelConfig
from jaxlaws.training.optimizer import hyper, transformation

WIDTHS = (32, 64, 128, 256, 512)
TOKENS = jax.random.randint(jax.random.key(5), (4, 17), 0, 64)


def rms(x):
    return jnp.sqrt((x**2).mean())


def activations(monkeypatch, name: str, optimizer: str, lr: float, widths=WIDTHS) -> dict[str, np.ndarray]:
    """At every width, after four steps: RMS of the residual stream behind each layer and of what the logits gained."""
    seen: list[jax.Array] = []
    together = transformer._layers

    def one_by_one(compute, attend, segments, layers, x):
        for layer in layers:
            x = together(compute, attend, segments, [layer], x)
            seen.append(rms(x))
        return x

    monkeypatch.setattr(transformer, "_layers", one_by_one)
    transformer._build.cache_clear()
    h = hyper(OptimizerConfig(weight_decay=0.0, eps=1e-12, clip=float("inf")))
    rows = []
    for width in widths:
        shape = {"width": width, "depth": 2, "heads": 4, "mlp_width": 2 * width, "vocab": 64}
        model = transformer.build(ModelConfig(**shape, parameterisation=name, base_width=32))

        @jax.jit
        def run(key, model=model):
            start = model.init(key)
            rule = transformation(optimizer, h, np.float32(lr), model)

            def step(carry, _):
                params, state = carry
                update, state = rule.update(jax.grad(lambda p: model.loss(p, TOKENS)[1])(params), state, params)
                return (optax.apply_updates(params, update), state), None

            (params, _), _ = jax.lax.scan(step, (start, rule.init(start)), length=4)
            before = model.apply(start, TOKENS[:, :-1])
            seen.clear()
            gained = model.apply(params, TOKENS[:, :-1]) - before
            return [*seen, rms(gained)]

        rows.append(run(jax.random.key(0)))
    transformer._build.cache_clear()
    return dict(zip(("layer 1", "layer 2", "logits"), np.array(rows).T, strict=True))


def slopes(values: dict[str, np.ndarray], widths=WIDTHS) -> dict[str, float]:
    """Exponent of the width."""
    return {key: float(np.polyfit(np.log(widths), np.log(row), 1)[0]) for key, row in values.items()}


@pytest.mark.parametrize(
    ("optimizer", "lr", "widths"),
    [
        ("adam", 1e-2, WIDTHS[::2]),
        pytest.param("adam", 1e-2, WIDTHS, marks=pytest.mark.slow),
        pytest.param("muon", 1e-2, WIDTHS, marks=pytest.mark.slow),
        pytest.param("soap", 1e-2, WIDTHS[:4], marks=pytest.mark.slow),
        pytest.param("sgd", 0.3, WIDTHS, marks=pytest.mark.slow),
    ],
)
def test_coordinates_are_flat_over_widths_under_mup_and_grow_under_standard(monkeypatch, optimizer, lr, widths):
    """The coordinate check of Tensor Programs V; logits by what they gained, since μP's first ones shrink by design."""
    flat = slopes(activations(monkeypatch, "mup", optimizer, lr, widths), widths)
    assert max(map(abs, flat.values())) < 0.1, flat
    growing = slopes(activations(monkeypatch, "standard", optimizer, lr, widths), widths)
    assert growing["logits"] > 0.4, growing
    assert min(growing["layer 1"], growing["layer 2"]) > (0.5 if optimizer == "adam" else 0.1), growing
