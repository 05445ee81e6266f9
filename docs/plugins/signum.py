"""An optimiser: the sign of the momentum, of which each element has the size of the LR as under Adam."""

import jax
import jax.numpy as jnp
import optax

from jaxlaws.hyper import READS
from jaxlaws.training.optimizer import OPTIMIZERS, Optimizer


def signum(h, model):
    """sign(m), m ← β·m + g with β = `optimizer.momentum`. Bernstein et al. 2018, arXiv 1802.04434."""
    sign = optax.stateless(lambda update, params: jax.tree.map(jnp.sign, update))
    return optax.chain(optax.trace(h.momentum), sign)


READS["signum"] = ("weight_decay", "momentum")
OPTIMIZERS["signum"] = Optimizer("adam", True, signum)
