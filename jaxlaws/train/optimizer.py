"""The optimiser with every hyperparameter a traced float32 scalar, so that a new value never recompiles."""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np
import optax

from jaxlaws.config import OptimizerConfig

Scalar = jax.Array | np.ndarray | np.float32


class Hyper(NamedTuple):
    """AdamW's hyperparameters as float32 scalars (or one array a field, one element a lane)."""

    weight_decay: Scalar
    beta1: Scalar
    beta2: Scalar
    eps: Scalar
    clip: Scalar
    momentum: Scalar
    ema: Scalar
    init_scale: Scalar


def hyper(config: OptimizerConfig) -> Hyper:
    """The hyperparameters of a config."""
    return Hyper(*(np.float32(getattr(config, name)) for name in Hyper._fields))


def adamw(h: Hyper, lr: jax.Array) -> optax.GradientTransformation:
    """AdamW at one step's learning rate: clip, Adam's moments, decoupled decay of matrices, times −lr.

    The state does not depend on the values, so each step may build its own. Loshchilov & Hutter 2019, arXiv 1711.05101.
    """
    return optax.chain(
        optax.clip_by_global_norm(h.clip),
        optax.scale_by_adam(h.beta1, h.beta2, h.eps),
        optax.add_decayed_weights(h.weight_decay, mask=_matrices),
        optax.scale(-lr),
    )


def _matrices(params):
    return jax.tree.map(lambda x: x.ndim >= 2, params)


def transformation(name, h, lr, model):
    return adamw(h, lr)
