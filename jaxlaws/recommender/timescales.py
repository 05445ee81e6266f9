"""LR, β2 and weight decay against the batch and the tokens, as plain formulas of their sources."""

from __future__ import annotations

#: d ln LR / d ln B beyond the data: √κ (Malladi et al.), between an LR that stays and one that goes with B.
EXCHANGE = 0.5


def exchange(beyond: float) -> tuple[float, float]:
    """(shift of ln LR, half its interval) for a batch e^beyond times outside the batches of the data."""
    return EXCHANGE * beyond, EXCHANGE * abs(beyond)


def beta2_at(beta2: float, ratio: float) -> float:
    """β2^(B'/B): second moments with the same half-life in tokens at a batch of B' = ratio · B."""
    return beta2**ratio


def timescale(batch_tokens: float, peak_lr: float, weight_decay: float, tokens: float) -> float:
    """τ = B/(ηλD), the share of the run over which AdamW averages its updates."""
    return batch_tokens / (peak_lr * weight_decay * tokens)


def best_timescale(tokens: float, params: float) -> float:
    """τ = 1.084 (D/N)^−.527, Bergsma et al. 2025."""
    return 1.084 * (tokens / params) ** -0.527
