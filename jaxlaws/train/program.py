"""The compiled part of training: a chunk of steps and a validation, for several lanes at once.

A lane is one run. Lanes of one program share the model's shape, the batch and the sequence length; the learning rates,
the other hyperparameters, the seed, the data order and the number of steps are data. All of it is written for one lane.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, PartitionSpec

from jaxlaws.errors import unknown
from jaxlaws.model.shape import ModelConfig
from jaxlaws.model.transformer import Params, build
from jaxlaws.train.optimizer import Hyper, adamw

#: Steps in a dispatch. Shorter stretches are padded with inactive steps, so that there is one compiled length.
CHUNK = 16
#: Sequences in one forward pass of a validation.
EVAL_BATCH = 32


class State(NamedTuple):
    """What a lane carries from step to step: `diverged` is its first non-finite step, −1 while there is none."""

    params: Params
    optimizer: optax.OptState
    diverged: jax.Array


class Program(NamedTuple):
    """Compiled functions over lanes: every argument and result but the data store has the lanes as its first axis.

    Attributes:
      init: seeds [L] uint32 → State.
      advance: (store, first step, State, Hyper, lr [L, CHUNK], active [L, CHUNK], picks [L, CHUNK, B, …]) →
        (State, train loss [L, CHUNK]); a step that is not active, or comes after a divergence, changes nothing.
      validate: (store, State, picks [E, …]) → mean loss [L] over E sequences.
    """

    init: Callable[..., State]
    advance: Callable[..., tuple[State, jax.Array]]
    validate: Callable[..., jax.Array]


def program(model: ModelConfig, read: Callable, strategy: str) -> Program:
    """The program of a model, a reader of data and a packing strategy; the same arguments give the same object.

    Args:
      model: its shape.
      read: `Data.read`.
      strategy: `map` (one lane after another), `vmap` (all lanes in one batch) or `shard` (lanes spread over the local
        devices, `map` on each).
    """
    if strategy not in STRATEGIES:
        raise unknown("packing strategy", strategy, STRATEGIES)
    return _program(tuple(sorted(model.__dict__.items())), read, strategy)


@lru_cache(maxsize=64)
def _program(shape: tuple[tuple[str, Any], ...], read: Callable, strategy: str) -> Program:
    model = build(ModelConfig(**dict(shape)))
    over_lanes = STRATEGIES[strategy]

    def loss(params: Params, tokens_BxS1: jax.Array) -> jax.Array:
        logits = model.apply(params, tokens_BxS1[:, :-1])
        return optax.softmax_cross_entropy_with_integer_labels(logits, tokens_BxS1[:, 1:]).mean()

    def init(seed: jax.Array) -> State:
        params = model.init(jax.random.key(seed))
        zero = jnp.zeros((), jnp.float32)
        state = adamw(Hyper(zero, zero, zero, zero, zero), zero).init(params)
        return State(params, state, jnp.full((), -1, jnp.int32))

    def step(store: Any, h: Hyper, state: State, inputs: tuple) -> tuple[State, jax.Array]:
        number, lr, active, picks = inputs

        def train(state: State) -> tuple[State, jax.Array]:
            value, gradient = jax.value_and_grad(loss)(state.params, read(store, picks))
            update, moments = adamw(h, lr).update(gradient, state.optimizer, state.params)
            params = optax.apply_updates(state.params, update)
            finite = jnp.isfinite(value) & jnp.isfinite(optax.tree.norm(gradient))
            params, moments = jax.tree.map(
                partial(jnp.where, finite), (params, moments), (state.params, state.optimizer)
            )
            return State(params, moments, jnp.where(finite, state.diverged, number)), value

        def skip(state: State) -> tuple[State, jax.Array]:
            return state, jnp.full((), jnp.nan, jnp.float32)

        return jax.lax.cond(active & (state.diverged < 0), train, skip, state)

    def advance(store: Any, first: jax.Array, lane: tuple) -> tuple[State, jax.Array]:
        state, h, lr, active, picks = lane
        numbers = first + jnp.arange(CHUNK, dtype=jnp.int32)
        return jax.lax.scan(partial(step, store, h), state, (numbers, lr, active, picks))

    def validate(store: Any, picks: jax.Array, state: State) -> jax.Array:
        rows = picks.reshape(-1, min(EVAL_BATCH, len(picks)), *picks.shape[1:])
        return jax.lax.map(lambda some: loss(state.params, read(store, some)), rows).mean()

    @partial(jax.jit, donate_argnums=2)
    def advance_lanes(store, first, state, h, lr, active, picks):
        return over_lanes(advance, (store, first), (state, h, lr, active, picks))

    @jax.jit
    def validate_lanes(store, state, picks):
        return over_lanes(validate, (store, picks), state)

    @jax.jit
    def init_lanes(seeds):
        return over_lanes(lambda seed: init(seed), (), seeds)

    return Program(init_lanes, advance_lanes, validate_lanes)


def eval_count(sequences: int) -> int:
    """How many validation sequences are used of those asked for: a whole number of forward passes."""
    return sequences if sequences <= EVAL_BATCH else sequences // EVAL_BATCH * EVAL_BATCH


def _map(f: Callable, shared: tuple, lanes: Any) -> Any:
    return jax.lax.map(partial(f, *shared), lanes)


def _vmap(f: Callable, shared: tuple, lanes: Any) -> Any:
    return jax.vmap(partial(f, *shared))(lanes)


def _shard(f: Callable, shared: tuple, lanes: Any) -> Any:
    mesh = Mesh(np.array(jax.local_devices()), ("lanes",))
    one, split = PartitionSpec(), PartitionSpec("lanes")
    local = jax.shard_map(
        lambda shared, lanes: _map(f, shared, lanes), mesh=mesh, in_specs=(one, split), out_specs=split, check_vma=False
    )
    return local(shared, lanes)


#: Packing strategy → (function of one lane, shared arguments, arguments with a lane axis) → results with a lane axis.
STRATEGIES: dict[str, Callable[[Callable, tuple, Any], Any]] = {"map": _map, "vmap": _vmap, "shard": _shard}


def stacked(items: list[Any]) -> Any:
    """Trees of one structure as one tree whose leaves have the items as their first axis."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *items)
