"""The mesh of devices that one run is spread over, and where every array of it lies: the only table of shardings."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxlaws.config import EngineConfig
from jaxlaws.errors import BadInput

AXES = ("data", "fsdp", "tensor")
#: The axes that share out a batch.
BATCH = ("data", "fsdp")
#: Name of a layer → axes of the last two dimensions of its kernel. What writes to the residual stream is split by rows
#: over `tensor`, what reads from it by columns, so that a layer needs one sum over `tensor` for each of its two halves
#: (Shoeybi et al. 2019, arXiv 1909.08053). Everything else, and whatever an axis does not divide, is whole everywhere.
RULES: dict[str, tuple[str | None, str | None]] = {
    "embed": ("tensor", "fsdp"),
    "qkv": ("fsdp", "tensor"),
    "out": ("tensor", "fsdp"),
    "gate_up": ("fsdp", "tensor"),
    "up": ("fsdp", "tensor"),
    "down": ("tensor", "fsdp"),
    "head": ("fsdp", "tensor"),
}


def make_mesh(engine: EngineConfig) -> Mesh:
    """The mesh that a config asks for, over the devices of all processes.

    Raises:
      BadInput: more than one −1, or a product of axes that is not a number of devices that there is.
    """
    devices = jax.devices()
    data = engine.data
    if data is None:
        spread = jax.process_count() > 1 or jax.default_backend() != "cpu"
        data = -1 if spread and -1 not in (engine.fsdp, engine.tensor) else 1
    sizes = [data, engine.fsdp, engine.tensor]
    if sizes.count(-1) > 1 or any(size < 1 and size != -1 for size in sizes):
        raise BadInput(f"engine has the axes {dict(zip(AXES, sizes, strict=True))}, expected sizes and at most one -1.")
    known = int(np.prod([size for size in sizes if size != -1]))
    if -1 in sizes:
        sizes[sizes.index(-1)] = max(1, len(devices) // known)
    used = int(np.prod(sizes))
    if used > len(devices) or (jax.process_count() > 1 and used != len(devices)):
        raise BadInput(
            f"engine asks for a mesh of {' × '.join(map(str, sizes))} devices (data × fsdp × tensor), there are "
            f"{len(devices)}: set one axis to -1 to take what is left."
        )
    return Mesh(np.array(devices[:used]).reshape(sizes), AXES, axis_types=(AxisType.Auto,) * 3)


def check_batch(sequences: int, accumulate: int, mesh: Mesh | None) -> None:
    """Raises `BadInput` unless every device gets equally many sequences of every part of a batch."""
    shares = 1 if mesh is None else mesh.shape["data"] * mesh.shape["fsdp"]
    if accumulate < 1:
        raise BadInput(f"engine.accumulate is {accumulate}, expected at least 1.")
    if sequences % (shares * accumulate):
        raise BadInput(
            f"a batch of {sequences} sequences does not divide into {accumulate} parts (engine.accumulate) for "
            f"{shares} devices (data × fsdp): make batch_sequences a multiple of {shares * accumulate}."
        )


def spec(path: Any, leaf: Any, mesh: Mesh) -> PartitionSpec:
    """Where one leaf of a state lies, by the name of its layer: parameters, moments and averages alike."""
    names = [str(getattr(key, "key", getattr(key, "name", getattr(key, "idx", "")))) for key in path]
    axes = next((RULES[name] for name in reversed(names) if name in RULES), None)
    if axes is None or names[-1] == "scale" or leaf.ndim < 2:
        return PartitionSpec()
    fits = [
        axis if axis and size % mesh.shape[axis] == 0 else None
        for axis, size in zip(axes, leaf.shape[-2:], strict=True)
    ]
    return PartitionSpec(*[None] * (leaf.ndim - 2), *fits)


def shardings(tree: Any, mesh: Mesh) -> Any:
    """A `NamedSharding` for every leaf of a state."""
    return jax.tree_util.tree_map_with_path(lambda path, leaf: NamedSharding(mesh, spec(path, leaf, mesh)), tree)


def put(array: np.ndarray, sharding: NamedSharding) -> jax.Array:
    """A host's array, which every process holds alike, as one array over all of them."""
    return jax.make_array_from_callback(array.shape, sharding, partial(_part, array))


def put_batch(picks: np.ndarray, fetch: Callable[[np.ndarray], np.ndarray], axis: int, mesh: Mesh) -> jax.Array:
    """What the picks of a batch stand for, each process fetching only the rows of its own devices.

    Args:
      picks: […, B, …] which sequences to read, equal on every process.
      fetch: `Data.fetch`.
      axis: of B.
      mesh: whose `BATCH` axes share out B.
    """
    tail = fetch(picks[(slice(0, 1),) * (axis + 1)]).shape[axis + 1 :]
    sharding = NamedSharding(mesh, PartitionSpec(*[None] * axis, BATCH))
    shape = (*picks.shape[: axis + 1], *tail)
    return jax.make_array_from_callback(shape, sharding, lambda index: fetch(picks[(index or ())[: axis + 1]]))


def agreed(*flags: bool) -> tuple[bool, ...]:
    """Each is true on every process where it is on any, so that all of them stop or save at the same step."""
    if jax.process_count() == 1:
        return flags
    from jax.experimental.multihost_utils import process_allgather

    return tuple(np.any(process_allgather(np.array(flags)), axis=0).tolist())


def _part(array: np.ndarray, index: Any) -> np.ndarray:
    return array[index]
