"""The shape of a transformer, and what follows from it by counting: parameters and FLOPs. No JAX."""

from __future__ import annotations

from dataclasses import dataclass

from jaxlaws.errors import BadInput


@dataclass
class ModelConfig:
    """A decoder-only transformer: pre-norm RMSNorm, RoPE, causal attention, SwiGLU, untied head, no biases.

    Attributes:
      width: d, of the residual stream.
      depth: l, number of layers.
      heads: attention heads; d must be divisible by 2 · heads (RoPE rotates pairs).
      mlp_width: f, hidden width of SwiGLU.
      vocab: V, number of token ids.
      rope_base: base of the rotary frequencies.
      dtype: of activations and matrix products; parameters, optimiser state and LR are float32 always.
    """

    width: int = 64
    depth: int = 2
    heads: int = 2
    mlp_width: int = 176
    vocab: int = 256
    rope_base: float = 10_000.0
    dtype: str = "float32"

    def check(self) -> ModelConfig:
        """Itself, if such a model exists."""
        for name in ("width", "depth", "heads", "mlp_width", "vocab"):
            if getattr(self, name) < 1:
                raise BadInput(f"model.{name} is {getattr(self, name)}, expected at least 1.")
        if self.width % (2 * self.heads):
            raise BadInput(f"model.width is {self.width}, expected a multiple of 2 · model.heads = {2 * self.heads}.")
        if self.dtype not in ("float32", "bfloat16"):
            raise BadInput(f"model.dtype is '{self.dtype}', expected float32 or bfloat16.")
        return self


def count_params(config: ModelConfig) -> tuple[int, int]:
    """(N without, N with embeddings and head).

    A layer has d·3d + d·d (attention), 3·d·f (SwiGLU) and 2·d (two norms); a last norm has d; embedding and head have
    V·d each.
    """
    d, f = config.width, config.mlp_width
    inner = config.depth * (4 * d * d + 3 * d * f + 2 * d) + d
    return inner, inner + 2 * config.vocab * d


def flops_per_token(config: ModelConfig, seq_len: int) -> tuple[float, float]:
    """Training FLOPs a token: (6N with N non-embedding, exact).

    Exact counts every matrix product, 2 FLOPs a multiply-add, and forward plus backward as three forward passes:
    3 · [2 · (l(4d² + 3df) + dV) + l · 2d(S+1)], where attention's two products cost 2·2·d·(S+1)/2 a token, the average
    of a causal mask over S positions. Element-wise work and recomputation are not counted.
    """
    d, f = config.width, config.mlp_width
    matrices = config.depth * (4 * d * d + 3 * d * f) + d * config.vocab
    attention = config.depth * 2 * d * (seq_len + 1)
    return 6.0 * count_params(config)[0], 3.0 * (2 * matrices + attention)
