"""Optimisers by name, every hyperparameter of them a traced scalar: a new value never compiles anew.

Each is one step's transformation, built anew from that step's learning rate: clip the global gradient norm, the rule,
decoupled weight decay, times −LR, the last two with the multipliers of the model's parameterisation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from optax.contrib import MuonDimensionNumbers, scale_by_muon

from jaxlaws.hyper import OptimizerConfig
from jaxlaws.model.transformer import Model
from jaxlaws.plugins import Table
from jaxlaws.training.schedule_free import Transformation, schedule_free
from jaxlaws.training.soap import scale_by_soap

Scalar = jax.Array | np.ndarray | np.float32


class Hyper(NamedTuple):
    """Hyperparameters as float32 scalars (or one array a field, one element a lane); see `OptimizerConfig`."""

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


def transformation(name: str, h: Hyper, lr: Scalar, model: Model) -> Transformation:
    """The optimiser `name` at one step's learning rate; its state knows no values, so each step builds its own.

    With u the rule's update and s the multipliers of `model.scales`, a step adds −lr · s_lr · (u + λ · s_decay · w), to
    the parameters or to what `Optimizer.outer` makes them of.

    Raises:
      BadInput: no such optimiser.
    """
    if name not in OPTIMIZERS:
        raise OPTIMIZERS.unknown(name)
    family, decays, rule, outer = OPTIMIZERS[name]
    scales = model.scales[family]

    def decay(update: Any, params: Any) -> Any:
        return jax.tree.map(lambda u, w, s: u + (h.weight_decay * s) * w if s else u, update, params, scales.decay)

    def descend(update: Any, _: Any) -> Any:
        return jax.tree.map(lambda u, s: (-lr * s) * u, update, scales.lr)

    inner = optax.chain(
        optax.clip_by_global_norm(h.clip),
        rule(h, model),
        optax.stateless(decay) if decays else optax.identity(),
        optax.stateless(descend),
    )
    return outer(inner, h, lr)


def _adam(h: Hyper, model: Model) -> optax.GradientTransformation:
    return optax.scale_by_adam(h.beta1, h.beta2, h.eps)


def _sgd(h: Hyper, model: Model) -> optax.GradientTransformation:
    return optax.trace(h.momentum)


def _nesterov(h: Hyper, model: Model) -> optax.GradientTransformation:
    return optax.trace(h.momentum, nesterov=True)


def _lion(h: Hyper, model: Model) -> optax.GradientTransformation:
    return optax.scale_by_lion(h.beta1, h.beta2)


def _adafactor(h: Hyper, model: Model) -> optax.GradientTransformation:
    """With an absolute LR, as in Zhai et al. 2021, arXiv 2106.04560, so that its scale is that of Adam."""
    return optax.chain(optax.scale_by_factored_rms(), optax.clip_by_block_rms(1.0), optax.ema(h.beta1, debias=False))


def _muon(h: Hyper, model: Model) -> optax.GradientTransformation:
    """The layers' matrices orthogonal, with elements of the size of Adam's (0.2, arXiv 2502.16982); the others Adam."""

    def resize(update: Any, _: Any) -> Any:
        return jax.tree.map(lambda u: 0.2 * max(u.shape) ** 0.5 * u, update)

    def whole(params: Any) -> Any:
        return jax.tree.map(lambda _: MuonDimensionNumbers(), params)

    muon = optax.chain(scale_by_muon(beta=h.momentum, weight_dimension_numbers=whole), optax.stateless(resize))
    return _of_matrices(muon, h, model)


def _soap(h: Hyper, model: Model) -> optax.GradientTransformation:
    """The layers' matrices in the eigenbases of averages with β2 of their outer products; the others Adam."""
    return _of_matrices(scale_by_soap(h.beta1, h.beta2, h.eps), h, model)


def _of_matrices(rule: optax.GradientTransformation, h: Hyper, model: Model) -> optax.GradientTransformation:
    """A rule for the layers' matrices, and Adam for the others."""
    labels = jax.tree.map(lambda group: "matrix" if group == "matrix" else "other", model.groups)
    return optax.partition({"matrix": rule, "other": _adam(h, model)}, labels)


def _second_moments(h: Hyper, model: Model) -> optax.GradientTransformation:
    """Adam without its first moment."""
    return optax.scale_by_rms(h.beta2, h.eps, eps_in_sqrt=False, bias_correction=True)


def _itself(inner: optax.GradientTransformation, h: Hyper, lr: Scalar) -> Transformation:
    return Transformation(inner.init, inner.update)


def _averaged(inner: optax.GradientTransformation, h: Hyper, lr: Scalar) -> Transformation:
    return schedule_free(inner, lr, h.beta1)


class Optimizer(NamedTuple):
    """An optimiser.

    Attributes:
      family: of `parameterisation.FAMILIES`.
      decays: whether weights decay.
      rule: (hyperparameters, model) → update rule.
      outer: (the step of the rule, hyperparameters, LR) → the step of the parameters.
    """

    family: str
    decays: bool
    rule: Callable[[Hyper, Model], optax.GradientTransformation]
    outer: Callable[[optax.GradientTransformation, Hyper, Scalar], Transformation] = _itself


#: Kingma & Ba 2015, arXiv 1412.6980; Loshchilov & Hutter 2019, arXiv 1711.05101; Chen et al. 2023, arXiv 2302.06675
#: (Lion); Shazeer & Stern 2018, arXiv 1804.04235 (Adafactor); Jordan et al. 2024, github.com/KellerJordan/Muon;
#: the last two in modules of their own.
_OURS: dict[str, Optimizer] = {
    "adamw": Optimizer("adam", True, _adam),
    "adam": Optimizer("adam", False, _adam),
    "sgd": Optimizer("sgd", True, _sgd),
    "nesterov": Optimizer("sgd", True, _nesterov),
    "lion": Optimizer("adam", True, _lion),
    "adafactor": Optimizer("adam", True, _adafactor),
    "muon": Optimizer("muon", True, _muon),
    "soap": Optimizer("adam", True, _soap),
    "schedule_free_adamw": Optimizer("adam", True, _second_moments, _averaged),
}
OPTIMIZERS = Table("optimizer.name", "jaxlaws.optimizers", _OURS)
