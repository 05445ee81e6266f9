"""The compiled part of training: a chunk of steps and a validation, for several lanes at once.

A lane is one run. Lanes of one program share the model's shape, the optimiser, the batch and the sequence length; the
learning rates, the other hyperparameters, the seeds, the data order and the number of steps are data. All of it is
written for one lane.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxlaws.config import EngineConfig, RunConfig
from jaxlaws.data.tokens import Data
from jaxlaws.errors import unknown
from jaxlaws.model.compute import ComputeConfig
from jaxlaws.model.shape import ModelConfig
from jaxlaws.model.transformer import Params, build
from jaxlaws.training.mesh import make_mesh, shardings
from jaxlaws.training.optimizer import Hyper, transformation

#: Steps in a chunk. Shorter stretches are padded with inactive steps, so that there is one compiled length.
CHUNK = 16


class State(NamedTuple):
    """What a lane carries from step to step.

    Attributes:
      params, optimizer: as the model and the optimiser have them.
      average: moving average of `params`; None where the run asks for none.
      diverged: the first step whose loss or gradient was not finite, −1 while there is none.
    """

    params: Params
    optimizer: optax.OptState
    average: Params | None
    diverged: jax.Array


class Trace(NamedTuple):
    """What a chunk reports, [CHUNK] float32 each and NaN where no step was taken; `diverged` as in `State`."""

    loss: jax.Array
    gradient_norm: jax.Array
    update_norm: jax.Array
    diverged: jax.Array


class Program(NamedTuple):
    """Compiled functions over lanes: every argument and result but the data has the lanes as its first axis.

    Attributes:
      init: (seeds [L] uint32, Hyper) → State.
      place: (State, fresh State, which [L]) → State, the fresh one where `which` says so.
      advance: (store, first step [L], State, Hyper, lr [L, CHUNK], active [L, CHUNK], fetched [L, CHUNK, B, …]) →
        (State, Trace); a step that is not active, or comes after a divergence, changes nothing.
      validate: (store, State, which [L], fetched [E, B, …]) → mean loss [L] over E · B sequences, NaN where `which`
        does not ask for it.
      strategy: its name.
      mesh: of the devices that a single run is spread over; None for lanes.
      accumulate: parts of a batch.
    """

    init: Callable[..., State]
    place: Callable[..., State]
    advance: Callable[..., tuple[State, Trace]]
    validate: Callable[..., jax.Array]
    strategy: str
    mesh: Mesh | None
    accumulate: int


def program(run: RunConfig, data: Data, strategy: str, engine: EngineConfig | None = None) -> Program:
    """The program of all runs of one shape; the same shape, strategy and engine give the same object.

    Args:
      run: any of them.
      data: what they read.
      strategy: `map` (one lane after another), `vmap` (all lanes in one batch), `shard` (lanes spread over the local
        devices, `map` on each) or `mesh` (one lane, spread over all devices).
      engine: how it is computed.
    """
    if strategy not in STRATEGIES:
        raise unknown("packing strategy", strategy, STRATEGIES)
    engine = engine or EngineConfig()
    return _program(
        tuple(sorted(vars(run.model).items())),
        run.optimizer.name,
        run.optimizer.ema > 0,
        data.read,
        data.eos,
        strategy,
        ComputeConfig(engine.remat, engine.scan, engine.attention),
        engine.accumulate,
        make_mesh(engine) if strategy == "mesh" else None,
    )


@lru_cache(maxsize=64)
def _program(
    shape: tuple[tuple[str, Any], ...],
    optimizer: str,
    averaged: bool,
    read: Callable,
    eos: int | None,
    strategy: str,
    compute: ComputeConfig,
    accumulate: int,
    mesh: Mesh | None,
) -> Program:
    model = build(ModelConfig(**dict(shape)), compute)
    over_lanes = STRATEGIES[strategy]

    def init(seed: jax.Array, h: Hyper) -> State:
        params = model.init(jax.random.key(seed), h.init_scale)
        moments = transformation(optimizer, h, jnp.zeros((), jnp.float32), model).init(params)
        return State(params, moments, params if averaged else None, jnp.full((), -1, jnp.int32))

    def entropy(store: Any, params: Params, fetched: jax.Array) -> jax.Array:
        return model.loss(params, read(store, fetched), eos)[0]

    def gradient(store: Any, params: Params, fetched: jax.Array) -> tuple[Params, jax.Array]:
        """(gradient of the objective, cross-entropy), both means over the parts of a batch."""

        def objective(params: Params, fetched: jax.Array) -> tuple[jax.Array, jax.Array]:
            value, total = model.loss(params, read(store, fetched), eos)
            return total, value

        one = jax.grad(objective, has_aux=True)
        if accumulate == 1:
            return one(params, fetched)
        parts = fetched.reshape(-1, accumulate, *fetched.shape[1:]).swapaxes(0, 1)
        zero = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(one, params, parts[0]))
        total, _ = jax.lax.scan(lambda sums, part: (jax.tree.map(jnp.add, sums, one(params, part)), None), zero, parts)
        return jax.tree.map(lambda x: x / accumulate, total)

    def step(store: Any, h: Hyper, state: State, inputs: tuple) -> tuple[State, tuple[jax.Array, ...]]:
        number, lr, active, fetched = inputs

        def train(state: State) -> tuple[State, tuple[jax.Array, ...]]:
            rule = transformation(optimizer, h, lr, model)
            slope, value = gradient(store, rule.point(state.optimizer, state.params), fetched)
            update, moments = rule.update(slope, state.optimizer, state.params)
            params = optax.apply_updates(state.params, update)
            average = optax.incremental_update(params, state.average, 1 - h.ema) if averaged else None
            norm = optax.tree.norm(slope)
            # What is not finite spoils the parameters, and no later step is taken: keeping the last good ones instead
            # would hold the whole state twice.
            diverged = jnp.where(jnp.isfinite(value) & jnp.isfinite(norm), state.diverged, number)
            return State(params, moments, average, diverged), (value, norm, optax.tree.norm(update))

        def skip(state: State) -> tuple[State, tuple[jax.Array, ...]]:
            return state, (jnp.full((), jnp.nan, jnp.float32),) * 3

        return jax.lax.cond(active & (state.diverged < 0), train, skip, state)

    def advance(store: Any, lane: tuple) -> tuple[State, Trace]:
        first, state, h, lr, active, fetched = lane
        numbers = first + jnp.arange(CHUNK, dtype=jnp.int32)
        state, reports = jax.lax.scan(partial(step, store, h), state, (numbers, lr, active, fetched))
        loss, gradient_norm, update_norm = reports
        return state, Trace(loss, gradient_norm, update_norm, state.diverged)

    def validate(store: Any, rows: jax.Array, lane: tuple) -> jax.Array:
        state, which = lane
        params = state.average if averaged else state.params
        return jax.lax.cond(
            which,
            lambda: jax.lax.map(partial(entropy, store, params), rows).mean(),
            lambda: jnp.full((), jnp.nan, jnp.float32),
        )

    def place(lane: tuple) -> State:
        state, fresh, which = lane
        return jax.tree.map(partial(jnp.where, which), fresh, state)

    def init_lanes(seeds, h):
        return over_lanes(lambda lane: init(*lane), (), (seeds, h))

    def place_lanes(state, fresh, which):
        return over_lanes(place, (), (state, fresh, which))

    def advance_lanes(store, first, state, h, lr, active, fetched):
        return over_lanes(advance, (store,), (first, state, h, lr, active, fetched))

    def validate_lanes(store, state, which, rows):
        return over_lanes(validate, (store, rows), (state, which))

    if mesh is None:
        return Program(
            jax.jit(init_lanes),
            jax.jit(place_lanes, donate_argnums=0),
            jax.jit(advance_lanes, donate_argnums=2),
            jax.jit(validate_lanes),
            strategy,
            None,
            accumulate,
        )
    one = np.zeros(1, np.float32)
    abstract = jax.eval_shape(init_lanes, np.zeros(1, np.uint32), Hyper(*[one] * len(Hyper._fields)))
    lies, whole = shardings(abstract, mesh), NamedSharding(mesh, PartitionSpec())
    return Program(
        jax.jit(init_lanes, out_shardings=lies),
        jax.jit(place_lanes, donate_argnums=0, out_shardings=lies),
        jax.jit(advance_lanes, donate_argnums=2, out_shardings=(lies, whole)),
        jax.jit(validate_lanes, out_shardings=whole),
        strategy,
        mesh,
        accumulate,
    )


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


def _mesh(f: Callable, shared: tuple, lanes: Any) -> Any:
    alone = f(*shared, jax.tree.map(lambda x: x[0], lanes))
    return jax.tree.map(lambda x: x[None], alone)


#: Packing strategy → (function of one lane, shared arguments, arguments with a lane axis) → results with a lane axis.
STRATEGIES: dict[str, Callable[[Callable, tuple, Any], Any]] = {
    "map": _map,
    "vmap": _vmap,
    "shard": _shard,
    "mesh": _mesh,
}


def stacked(items: list[Any]) -> Any:
    """Trees of one structure as one tree whose leaves have the items as their first axis."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *items)
