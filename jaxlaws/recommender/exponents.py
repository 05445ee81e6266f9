"""What independent sweeps published about the exponents of the best LR and batch: a prior between settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

#: d ln η* / d ln B at fixed N and D, by which a law of the LR at one batch becomes one at the best batch: the square
#: root rule, between 0 (Adam at large batches) and 1 (SGD).
EXCHANGE = 0.5
#: Error of a published exponent within its own setting; few papers state one, and the spread between settings is wider.
_ERROR = 0.03
#: Prior of the spread between settings: this sd in every exponent, with the weight of `_SETTINGS` settings.
_SPREAD, _SETTINGS = 0.2, 2
_ROUNDS = 60


class Study(NamedTuple):
    """One setting: what it says of (lr_N, lr_D, batch_N, batch_D).

    Attributes:
      rows: weights of the four exponents, and the value of their sum, for each published number.
      reference: where, and how a number in other variables became one in N and D.
    """

    rows: tuple[tuple[tuple[float, float, float, float], float], ...]
    reference: str


class Prior(NamedTuple):
    """Normal(mean, covariance) of the exponents (N, D) of a new setting.

    Attributes:
      mean: [2, 2], rows η and B.
      covariance: [2, 2, 2], one for each row.
    """

    mean: np.ndarray
    covariance: np.ndarray


_LR_N, _LR_D, _BATCH_N, _BATCH_D = (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)
#: Exponents of N and D at one batch, where the change of the best batch is missing.
_ONE_BATCH_N, _ONE_BATCH_D = (1, 0, -EXCHANGE, 0), (0, 1, 0, -EXCHANGE)
#: Independent settings. Step Law itself is left out, here and in every fit: its table is what the advice is scored on.
#: MiniCPM's batch is a power of the loss and its LR a constant under μP: neither is an exponent of N or D.
STUDIES = (
    Study(
        (((1, 1, 0, 0), -0.36), ((0, 0, 1, 1), 0.703)),
        "Porian et al. 2024, arXiv 2406.19146: N^-.36 and N^.703 along D ≈ 20 N",
    ),
    Study(
        (((0.524, 0.476, 0, 0), -0.125), ((0, 0, 0.524, 0.476), 0.3271)),
        "Bi et al. 2024, arXiv 2401.02954 (DeepSeek): C^-.125 and C^.3271 along its N ~ C^.524, D ~ C^.476",
    ),
    Study(
        ((_ONE_BATCH_N, -0.14), ((0, 0, 0.73, 0.27), 0.24)),
        "Kaplan et al. 2020, arXiv 2001.08361: d ln η/d ln N of its LR rule at N = 1e7, one batch; critical batch "
        "C^.24 along N ~ C^.73",
    ),
    Study(
        ((_ONE_BATCH_N, -0.23), (_ONE_BATCH_D, -0.32)),
        "Bjorck et al. 2024, arXiv 2409.19913: N^-.23 D^-.32, one batch",
    ),
    Study(
        ((_ONE_BATCH_N, -0.2219), (_ONE_BATCH_D, -0.3509)),
        "Zhou et al. 2026, arXiv 2601.05049: N^-.2219 D^-.3509 of mixture-of-experts models, taken as at one batch",
    ),
    Study(
        ((_ONE_BATCH_D, -0.51),), "Shen et al. 2024, arXiv 2408.13359 (Power scheduler): tokens^-.51 at one batch, μP"
    ),
    Study(
        ((_BATCH_N, 0.0), (_BATCH_D, 0.383)),
        "Bergsma et al. 2025, arXiv 2505.13738 (Power Lines): D^.383 whatever N; its LR is μP's",
    ),
    Study(
        ((_LR_D, -0.28), (_BATCH_D, 0.45)),
        "Filatov et al. 2025, arXiv 2510.03871: D^-.28 and D^.45, Scion, said to agree with Adam",
    ),
    Study(
        ((_LR_N, -0.81),),
        "Ludziejewski et al. 2025, arXiv 2502.05172: exp(8.39 − .81 ln N − .25 ln E) at one expert",
    ),
    Study(
        ((_LR_N, -0.477), (_LR_D, 0.262), (_BATCH_N, 0.05), (_BATCH_D, 0.574)),
        "Lingle 2025, lucaslingle.substack.com, Part III: least squares through 18 of the best (η, B) that it lists, "
        "N .046 to 2.9B, D .13 to 1.0B",
    ),
)


def prior(*, one_batch: bool = False, studies: Sequence[Study] = STUDIES) -> Prior:
    """The exponents that a new setting is expected to have, from the settings that published theirs.

        θ_i ~ Normal(μ, T),   y_i = A_i θ_i + error,   θ = (lr_N, lr_D, batch_N, batch_D)

    A random-effects model by EM: T is the spread between settings, and the answer's covariance is T and the error of μ.

    Args:
      one_batch: the exponents of η are at one batch, not at the best one, and those of that batch are expected to be 0.
      studies: the settings.
    """
    designs = [np.array([weights for weights, _ in study.rows], float) for study in studies]
    values = [np.array([value for _, value in study.rows]) for study in studies]
    mean, spread = np.zeros(4), _SPREAD**2 * np.eye(4)
    for _ in range(_ROUNDS):
        gains = [spread @ a.T @ _precision(a, spread) for a in designs]
        posteriors = np.array([mean + g @ (y - a @ mean) for a, y, g in zip(designs, values, gains, strict=True)])
        mean = posteriors.mean(0)
        remainder = sum(spread - g @ a @ spread for a, g in zip(designs, gains, strict=True))
        total = remainder + (posteriors - mean).T @ (posteriors - mean) + _SETTINGS * _SPREAD**2 * np.eye(4)
        spread = total / (len(studies) + _SETTINGS)
    covariance = spread + np.linalg.inv(sum(a.T @ _precision(a, spread) @ a for a in designs))
    exchange = np.eye(4)
    if one_batch:
        exchange[[0, 1], [2, 3]] = -EXCHANGE
    mean, covariance = exchange @ mean, exchange @ covariance @ exchange.T
    if one_batch:
        mean[2:] = 0.0
    return Prior(mean.reshape(2, 2), np.stack([covariance[:2, :2], covariance[2:, 2:]]))


def drift(new: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """[2, 2] covariance of what exponents may change by outside the data they were fitted to.

    There they are known no better than those of a new setting: the answer is what `inside`, their covariance inside
    the data, lacks of `new`, the spread between settings.
    """
    values, vectors = np.linalg.eigh(new - inside)
    return (vectors * np.maximum(values, 0.0)) @ vectors.T


def _precision(design: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """[rows, rows] inverse variance of what a setting reports."""
    return np.linalg.inv(design @ spread @ design.T + _ERROR**2 * np.eye(len(design)))
