"""The script that `jaxlaws bench lanes` is compared with: one Hydra job, one run, as such scripts are commonly written.

The model, the data, the order of the batches, the optimiser and the validation are those of jaxlaws; the training step
is jitted, with the schedule inside the optimiser.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import hydra
import jax
import jax.numpy as jnp
import numpy as np
import optax
from hydra.core.config_store import ConfigStore

from jaxlaws.data.config import DataConfig
from jaxlaws.data.tokens import open_data
from jaxlaws.model.shape import ModelConfig
from jaxlaws.model.transformer import build


@dataclass
class Config:
    model: str = "6k"
    peak_lr: float = 3e-3
    seed: int = 0
    steps: int = 100
    batch: int = 8
    seq_len: int = 64
    out: str = "."


SHAPES = {
    "6k": ModelConfig(width=16, depth=2, heads=1, mlp_width=40, vocab=64),
    "25k": ModelConfig(width=32, depth=2, heads=2, mlp_width=88, vocab=64),
}
ConfigStore.instance().store(name="plain", node=Config)


@hydra.main(version_base="1.3", config_name="plain", config_path=None)
def main(c: Config) -> None:
    data = open_data(DataConfig(source="language", vocab=64, seq_len=c.seq_len))
    model = build(SHAPES[c.model])
    warmup = round(0.05 * c.steps)
    cosine = optax.cosine_decay_schedule(c.peak_lr, c.steps - warmup, alpha=0.1)

    def lr(t):
        return jnp.where(t < warmup, c.peak_lr * (t + 1) / warmup, cosine(t - warmup + 1))

    optimizer = optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.adamw(lr, b1=0.9, b2=0.95, weight_decay=0.1, mask=lambda p: jax.tree.map(lambda x: x.ndim >= 2, p)),
    )

    def loss_of(params, tokens):
        logits = model.apply(params, tokens[:, :-1])
        return optax.softmax_cross_entropy_with_integer_labels(logits, tokens[:, 1:]).mean()

    @jax.jit
    def step(params, state, store, picks):
        loss, gradient = jax.value_and_grad(loss_of)(params, data.read(store, picks))
        update, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, update), state, loss

    @jax.jit
    def validate(params, store, picks):
        return loss_of(params, data.read(store, picks))

    store = jax.device_put(data.store)
    params = model.init(jax.random.key(c.seed))
    state = optimizer.init(params)
    for picks in data.picks(c.seed, 0, c.steps, c.batch):
        params, state, _ = step(params, state, store, picks)
    losses = [float(validate(params, store, picks)) for picks in np.split(data.val_picks(64), 2)]
    record = {"model": c.model, "peak_lr": c.peak_lr, "seed": c.seed, "val_loss_nats": float(np.mean(losses))}
    Path(c.out, f"{c.model}-{c.peak_lr:g}-{c.seed}.json").write_text(json.dumps(record))


if __name__ == "__main__":
    main()
