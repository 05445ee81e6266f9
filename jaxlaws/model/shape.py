"""The shape of a transformer, and what follows from it by counting: parameters and FLOPs. No JAX."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

from jaxlaws.errors import BadInput, unknown
from jaxlaws.model.parameterisation import PARAMETERISATIONS
from jaxlaws.plugins import Table

NORMS = ("rmsnorm", "layernorm")
#: Kind of MLP → number of its matrices.
MLPS = {"swiglu": 3, "gelu": 2}
DTYPES = ("float32", "bfloat16")


@dataclass
class ModelConfig:
    """A decoder-only transformer: pre-norm, RoPE, causal attention, no biases; or the architecture of a plug-in.

    Attributes:
      width: d, of the residual stream.
      depth: l, number of layers.
      heads: attention heads; d must be divisible by 2 · heads (RoPE rotates pairs).
      kv_heads: heads of keys and values, each shared by heads / kv_heads heads (grouped queries, arXiv 2305.13245);
        by default as many as `heads`.
      mlp_width: f, hidden width of the MLP.
      vocab: V, number of token ids.
      rope_base: base of the rotary frequencies.
      norm: rmsnorm or layernorm (with a gain, without a bias).
      mlp: swiglu or gelu.
      qk_norm: whether queries and keys are normed, a head at a time, before they are rotated.
      tied: whether the head is the embedding, transposed.
      softcap: c, logits become c · tanh(logits / c); None: they stay.
      z_loss: ζ, the objective is cross-entropy + ζ · mean (ln Σ e^logits)².
      parameterisation: a name of `PARAMETERISATIONS`.
      base_width: the width at which `mup` scales nothing; `standard` does not read it.
      dtype: of activations and matrix products; parameters, optimiser state and LR are float32 always.
      architecture: a name of `ARCHITECTURES`.
    """

    width: int = 64
    depth: int = 2
    heads: int = 2
    kv_heads: int | None = None
    mlp_width: int = 176
    vocab: int = 256
    rope_base: float = 10_000.0
    norm: str = "rmsnorm"
    mlp: str = "swiglu"
    qk_norm: bool = False
    tied: bool = False
    softcap: float | None = None
    z_loss: float = 0.0
    parameterisation: str = "standard"
    base_width: int = 64
    dtype: str = "float32"
    architecture: str = "transformer"

    def check(self) -> ModelConfig:
        """Itself, if such a model exists."""
        for name in ("width", "depth", "heads", "mlp_width", "vocab", "base_width"):
            if getattr(self, name) < 1:
                raise BadInput(f"model.{name} is {getattr(self, name)}, expected at least 1.")
        if self.width % (2 * self.heads):
            raise BadInput(f"model.width is {self.width}, expected a multiple of 2 · model.heads = {2 * self.heads}.")
        if self.kv_heads is not None and (self.kv_heads < 1 or self.heads % self.kv_heads):
            raise BadInput(f"model.kv_heads is {self.kv_heads}, expected a divisor of model.heads = {self.heads}.")
        for name, valid in (("norm", NORMS), ("mlp", MLPS), ("parameterisation", PARAMETERISATIONS), ("dtype", DTYPES)):
            if getattr(self, name) not in valid:
                raise unknown(f"model.{name}", getattr(self, name), valid)
        if self.architecture not in ARCHITECTURES:
            raise ARCHITECTURES.unknown(self.architecture)
        if not self.rope_base > 1:
            raise BadInput(f"model.rope_base is {self.rope_base}, expected more than 1.")
        if self.softcap is not None and not self.softcap > 0:
            raise BadInput(f"model.softcap is {self.softcap}, expected more than zero, or null for none.")
        if not self.z_loss >= 0:
            raise BadInput(f"model.z_loss is {self.z_loss}, expected zero or more.")
        return self

    @property
    def head_width(self) -> int:
        """K, the width of a head."""
        return self.width // self.heads

    @property
    def kv_width(self) -> int:
        """Width of all keys, or of all values."""
        return self.head_width * (self.kv_heads or self.heads)

    def identity(self) -> dict[str, Any]:
        """What of the config decides the model: one way to say the same, nothing that is not read."""
        values = asdict(self) | {"kv_heads": self.kv_heads or self.heads}
        if self.parameterisation == "standard":
            del values["base_width"]
        if self.architecture == "transformer":
            del values["architecture"]
        return values


def reads(parameterisation: str) -> set[str]:
    """The fields that a model reads under a parameterisation."""
    return {item.name for item in fields(ModelConfig)} - ({"base_width"} if parameterisation == "standard" else set())


def _matrices(c: ModelConfig) -> int:
    """Elements of a layer's matrices: queries and output d·d each, keys and values d·kv_width each, and the MLP."""
    return 2 * c.width * (c.width + c.kv_width) + MLPS[c.mlp] * c.width * c.mlp_width


def count_params(config: ModelConfig) -> tuple[int, int]:
    """(N without, N with embeddings and head)."""
    return ARCHITECTURES[config.architecture].params(config)


def flops_per_token(config: ModelConfig, seq_len: int) -> tuple[float, float]:
    """Training FLOPs a token: (6N with N non-embedding, exact)."""
    return 6.0 * count_params(config)[0], ARCHITECTURES[config.architecture].flops(config, seq_len)


def _transformer_params(config: ModelConfig) -> tuple[int, int]:
    """(N without, N with embeddings and head) of the transformer.

    A layer has 2·d·(d + d_kv) (attention, d_kv = d without grouped queries), 3·d·f (SwiGLU) or 2·d·f (GELU), 2·d (two
    norms) and with `qk_norm` 2·K; a last norm has d; embedding and head have V·d each, and share them where tied.
    """
    d = config.width
    gains = 2 * d + (2 * config.head_width if config.qk_norm else 0)
    inner = config.depth * (_matrices(config) + gains) + d
    return inner, inner + (1 if config.tied else 2) * config.vocab * d


def _transformer_flops(config: ModelConfig, seq_len: int) -> float:
    """Training FLOPs a token of the transformer, exact.

    That counts every matrix product, 2 FLOPs a multiply-add, and forward plus backward as three forward passes:
    3 · [2 · (l · matrices of a layer + dV) + l · 2d(S+1)], where attention's two products cost 2·2·d·(S+1)/2 a token,
    the average of a causal mask over S positions. Element-wise work and recomputation are not counted.
    """
    matrices = config.depth * _matrices(config) + config.width * config.vocab
    attention = config.depth * 2 * config.width * (seq_len + 1)
    return 3.0 * (2 * matrices + attention)


def _transformer(config: ModelConfig, compute: Any) -> Any:
    from jaxlaws.model.transformer import transformer

    return transformer(config, compute)


class Architecture(NamedTuple):
    """A kind of model.

    Attributes:
      build: (`ModelConfig`, `ComputeConfig`) → `jaxlaws.model.transformer.Model`.
      params: config → (N without, N with embeddings and head).
      flops: (config, sequence length) → exact training FLOPs a token.
    """

    build: Callable[[ModelConfig, Any], Any]
    params: Callable[[ModelConfig], tuple[int, int]]
    flops: Callable[[ModelConfig, int], float]


#: Name → architecture.
ARCHITECTURES: Table[Architecture] = Table(
    "model.architecture",
    "jaxlaws.models",
    {"transformer": Architecture(_transformer, _transformer_params, _transformer_flops)},
)
