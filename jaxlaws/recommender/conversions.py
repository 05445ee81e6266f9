"""Conversions from the setting of a law to that of a question: one table, a rule and a source a row.

The rows are applied in their order: each sees the learning rate that the rows above it left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jaxlaws.recommender import rules
from jaxlaws.recommender.case import Case, Change, Refusal


@dataclass(frozen=True)
class Conversion:
    """A row of the table.

    Attributes:
      name: of the change of setting.
      lr: factor on the peak LR.
      batch: factor on the batch.
      sd: of ln LR, by which the interval widens in quadrature.
      source: of the rule.
      holds: conditions; outside of them the answer is refused.
      rule: None where the law's own answer applies it.
    """

    name: str
    lr: str
    batch: str
    sd: str
    source: str
    holds: str
    rule: Callable[[Case], Change | Refusal | None] | None


CONVERSIONS = (
    Conversion(
        "batch",
        "the fit's own loss around the optimum, up to ×4 and among measured batches; √κ beyond by κ",
        "as asked",
        "half of ln κ, added to the interval",
        "the fit; Malladi et al. 2022, arXiv 2205.10287; Mlodozeniec et al. 2025, arXiv 2512.22382",
        "AdamW; below the critical batch",
        None,
    ),
    Conversion(
        "mixture of experts",
        "(total/active)^-0.25, and N is the active parameters",
        "1",
        "0.25 ln(total/active): sources disagree on the sign",
        "Ludziejewski et al. 2025, arXiv 2502.05172 (experts^-0.25); Li et al. 2025, arXiv 2503.04715 (as dense)",
        "total/active up to 32",
        rules.experts,
    ),
    Conversion(
        "checkpoint",
        "η*(N, D before)/η*(N, D after): warmed up again to the peak of pre-training",
        "1",
        "ln 2/1.28: ×2 either way is 80%",
        "Ibrahim et al. 2024, arXiv 2403.08763",
        "D after within 1/3 to 3 of D before (tried: 2/3 and 1), which has to be known",
        rules.checkpoint,
    ),
    Conversion(
        "optimizer",
        "1 from AdamW to Muon whose updates have 0.2·√max(fan_in, fan_out), as optimizer=muon",
        "1",
        "ln 2/1.28: ×2 either way is 80%; the best LR was ×2.4 at 12k parameters (`experiments/LOG.md`)",
        "Liu et al. 2025, arXiv 2502.16982",
        "standard parameterisation; every other pair is refused",
        rules.optimizer,
    ),
    Conversion(
        "parameterisation",
        "width/base width from standard to μP, its inverse back",
        "1",
        "half of ln(width/base width), whatever its sign",
        "Yang et al. 2022, arXiv 2203.03466 (LR of matrices ∝ 1/width)",
        "Adam's family; --base-width, --width and --layers known",
        rules.parameterisation,
    ),
    Conversion(
        "weight decay",
        "1; the timescale B/(ηλD) and the λ of 1.084 (D/N)^-0.527 are said",
        "1",
        "half of ln(λ'/λ), whatever its sign: the LR that keeps ηλ is inside",
        "Bergsma et al. 2025, arXiv 2505.13738; Wang & Aitchison 2024, arXiv 2405.13698",
        "λ' within ×10 of λ, both above 0",
        rules.weight_decay,
    ),
    Conversion(
        "beta2",
        "1; β2^(B'/B) keeps the half-life in tokens, and is taken below half of the smallest measured batch",
        "1",
        "0.1 for each doubling of the half-life, an assumption; 0.02 at 12k parameters (`experiments/LOG.md`)",
        "Marek et al. 2025, arXiv 2507.07101",
        "Adam's second moments",
        rules.beta2,
    ),
    Conversion(
        "schedule",
        "γ*(asked)/γ*(measured) of the convex bound, the warm-up included",
        "1",
        "0.11, the rms error over 60 pairs of cooldowns at 124M parameters (`experiments/lr_transfer.py`)",
        "Schaipp et al. 2025, arXiv 2501.18965",
        "equal steps; the law states its schedule",
        rules.schedule,
    ),
)
