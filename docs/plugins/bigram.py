"""A model: the next token from the last one, through one matrix."""

import jax

from jaxlaws.model.loss import loss as cross_entropy
from jaxlaws.model.shape import ARCHITECTURES, Architecture
from jaxlaws.model.transformer import Model, scales_of


def bigram(c, compute):
    """The functions of a `Model` of the config `c`; the group of a parameter says how it follows the width."""
    shapes = {"embedding": (c.vocab, c.width), "matrix": (c.width, c.width), "head": (c.width, c.vocab)}

    def init(key, scale=1.0):
        return {name: 0.1 * scale * jax.random.normal(key, shape) for name, shape in shapes.items()}

    def apply(params, tokens, segments=None):
        return jax.nn.gelu(params["embedding"][tokens] @ params["matrix"]) @ params["head"]

    def loss(params, tokens, eos=None):
        return (cross_entropy(apply(params, tokens[:, :-1]), lambda logits: logits, tokens[:, 1:], None)[0],) * 2

    groups = {name: name for name in shapes}
    return Model(init, apply, loss, groups, scales_of(groups, c))


SIZES = {"params": lambda c: (c.width**2, c.width * (c.width + 2 * c.vocab))}
FLOPS = {"flops": lambda c, seq_len: 6.0 * c.width * (c.width + c.vocab)}
ARCHITECTURES["bigram"] = Architecture(bigram, **SIZES, **FLOPS)
