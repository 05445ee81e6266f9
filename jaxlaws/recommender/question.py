"""A question: a model and a token budget, checked, and converted to what each law counts."""

from __future__ import annotations

from dataclasses import dataclass

from jaxlaws.errors import BadInput
from jaxlaws.records.units import parse_length, parse_positive, parse_tokens, parse_whole, short

_SMALLEST = 1000.0
#: Name → largest value: more than anybody has trained, and small enough that powers of it do not overflow.
_LARGEST = {"params": 1e18, "params-total": 1e18, "tokens": 1e18, "batch-tokens": 1e18, "loss": 100.0}
_LARGEST |= {"seq-len": 1e8, "multiple-of": 1e8, "vocab": 1e9, "width": 1e7, "layers": 1e6}
_LEAST = {"loss": 0.01}


@dataclass(frozen=True)
class Question:
    """A training run to be advised.

    Attributes:
      params: N, non-embedding.
      tokens: D.
      seq_len: tokens in a sequence.
      batch_tokens: tokens a step, where memory fixes it; None otherwise.
      multiple_of: number of sequences of which a batch is a multiple.
      layers, width, vocab: of the model, where a law needs them.
      loss: final loss in nats a token, where a law needs it.
      sentences: how the arguments were understood, for people.
    """

    params: float
    tokens: float
    seq_len: int = 2048
    batch_tokens: float | None = None
    multiple_of: int = 1
    layers: int | None = None
    width: int | None = None
    vocab: int | None = None
    loss: float | None = None
    sentences: tuple[str, ...] = ()

    @property
    def flops_per_token(self) -> float | None:
        """M = 72·layers·width² + 12·layers·width·seq_len, DeepSeek's count without embeddings; None if unknown."""
        if self.layers is None or self.width is None:
            return None
        return 72.0 * self.layers * self.width**2 + 12.0 * self.layers * self.width * self.seq_len


def question(
    *,
    params: float | str | None = None,
    tokens: float | str,
    seq_len: int | str = 2048,
    batch_tokens: float | str | None = None,
    multiple_of: int | str = 1,
    params_total: float | str | None = None,
    vocab: int | str | None = None,
    width: int | str | None = None,
    layers: int | str | None = None,
    loss: float | str | None = None,
    untied: bool = False,
) -> Question:
    """A checked `Question`; numbers may be written 7e9, 7B or 1.4T.

    Args:
      tokens: D, also as `20xN`, tokens a parameter, or `1xC`, times 20 tokens a parameter.
      seq_len: tokens in a sequence; `4k` is 4,096.
      params: N, non-embedding; or instead of it
      params_total: N with embeddings, which needs `vocab` and `width`: vocab·width are taken off, twice if `untied`.

    Raises:
      BadInput: a value is missing, not positive, or cannot be what was meant.
    """
    length, length_note = parse_length(seq_len)
    integers = {"seq_len": length, "multiple_of": multiple_of, "vocab": vocab, "width": width, "layers": layers}
    whole = {name: parse_whole(value, name.replace("_", "-")) for name, value in integers.items() if value is not None}
    for name, count in whole.items():
        _at_most(count, name.replace("_", "-"))
    if (params is None) == (params_total is None):
        raise BadInput("give the model's size as one of --params (non-embedding) and --params-total.")
    if params is not None:
        n = _size(params, "params")
    else:
        assert params_total is not None
        if not {"vocab", "width"} <= set(whole):
            raise BadInput(
                "--params-total needs --vocab and --width, to take the embeddings off: give them or --params."
            )
        total = _size(params_total, "params-total")
        n = total - whole["vocab"] * whole["width"] * (2 if untied else 1)
        if n < _SMALLEST:
            raise BadInput(
                f"params-total {short(total)} is no more than its embeddings ({whole['vocab']} × {whole['width']}): "
                "check --vocab and --width."
            )
    d, budget_note = parse_tokens(tokens, n)
    _at_most(d, "tokens")
    batch = None if batch_tokens is None else _positive(batch_tokens, "batch-tokens")
    least = whole["seq_len"] * whole["multiple_of"]
    if whole["multiple_of"] > 1 and least > min(d, batch or d):
        raise BadInput(
            f"multiple-of is {whole['multiple_of']:,} sequences of {whole['seq_len']}, {short(least)} tokens and more "
            f"than the {'budget' if batch is None or d < batch else 'batch'}: give a smaller one, in sequences."
        )
    one = least if batch is None else batch
    if batch is not None and batch < whole["seq_len"]:
        raise BadInput(
            f"batch-tokens is {batch:g}, less than one sequence of {whole['seq_len']}: it counts tokens, not sequences."
        )
    if d < one:
        raise BadInput(f"tokens is {d:g}, less than one batch of {one:g} tokens: expected a budget such as 1.4T.")
    return Question(
        params=n,
        tokens=d,
        seq_len=whole["seq_len"],
        batch_tokens=batch,
        multiple_of=whole["multiple_of"],
        layers=whole.get("layers"),
        width=whole.get("width"),
        vocab=whole.get("vocab"),
        loss=None if loss is None else _positive(loss, "loss"),
        sentences=tuple(text for text in (budget_note, length_note) if text),
    )


def _positive(value: float | str, name: str) -> float:
    number = parse_positive(value, name)
    if number < _LEAST.get(name, 0.0):
        raise BadInput(f"{name} is {number:.4g}, expected at least {_LEAST[name]}.")
    return _at_most(number, name)


def _at_most(value: float, name: str) -> float:
    if value > _LARGEST[name]:
        raise BadInput(f"{name} is {value:.4g}, expected at most {short(_LARGEST[name])}.")
    return value


def _size(value: float | str, name: str) -> float:
    number = _positive(value, name)
    if number < _SMALLEST:
        raise BadInput(
            f"{name} is {value}, expected the number of parameters such as 7e9 or 7B"
            + (f": did you mean {number:g}B?" if number >= 0.01 else ".")
        )
    return number
