"""Published laws of learning rate and batch size, each with its units, range, setting and reference."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from jaxlaws.errors import BadInput, unknown
from jaxlaws.recommender.excess import Excess
from jaxlaws.recommender.hyperfit import HyperFit
from jaxlaws.recommender.question import Question

DEFAULT = "step_law:refit"


class Advice(NamedTuple):
    """What a published formula says: peak LR, batch in tokens and λ·η, each None where the law gives none."""

    peak_lr: float | None
    batch_tokens: float | None
    decay_times_lr: float | None = None


@dataclass(frozen=True)
class Published:
    """A published formula without stated uncertainty.

    Attributes:
      formula: with units.
      setting: what it was measured in.
      reference: paper.
      ranges: params, tokens or flops → [low, high] of its data, where known.
      convention: schedule and final LR that it assumes.
      advise: question → advice; `BadInput` where the law is not defined for it.
    """

    formula: str
    setting: str
    reference: str
    ranges: Mapping[str, Sequence[float]]
    convention: Mapping[str, Any]
    advise: Callable[[Question], Advice]


def _kaplan(q: Question) -> Advice:
    lr = 3.239e-3 - 1.395e-4 * math.log(q.params)
    if lr <= 0:
        raise BadInput(
            f"kaplan:published gives no positive LR for params {q.params:.3g}: "
            f"it is defined below {math.exp(3.239 / 0.1395):.2g}."
        )
    return Advice(lr, None if q.loss is None else 2.1e8 / q.loss**4.76)


def _deepseek(q: Question) -> Advice:
    per_token = q.flops_per_token
    if per_token is None:
        raise BadInput("deepseek:published is in FLOPs per token: give --layers and --width.")
    flops = per_token * q.tokens
    return Advice(0.3118 * flops**-0.125, 0.2920 * flops**0.3271)


def _porian(q: Question) -> Advice:
    if q.vocab is None or q.width is None:
        raise BadInput("porian:published counts the output head in N: give --vocab and --width.")
    n = q.params + q.vocab * q.width
    return Advice(3.7 * n**-0.36, 0.7576 * n**0.703)


def _minicpm(q: Question) -> Advice:
    if q.loss is None:
        raise BadInput("minicpm:published is in the final loss: give --loss, in nats a token.")
    return Advice(None, 1.21e9 / q.loss**6.24)


def _power_lines(q: Question) -> Advice:
    batch = 2048 * 0.0306 * q.tokens**0.383
    timescale = 1.084 * (q.tokens / q.params) ** -0.527
    batch_in_use = batch if q.batch_tokens is None else q.batch_tokens
    return Advice(None, batch, batch_in_use / (q.tokens * timescale))


#: Every published sweep is of dense models from scratch, most under the standard parameterisation.
_DENSE = {"architecture": "dense", "start": "from scratch", "parameterisation": "standard"}
_COSINE = {
    "params": "params_nonembedding",
    "batch": "tokens per step",
    "lr": "peak",
    "schedule": "cosine(floor_lr=1e-05, warmup_steps=2000)",
    "final_lr": 1e-5,
    "warmup_steps": 2000,
    "seq_len": 2048,
    "optimizer": "adamw",
    "weight_decay": 0.1,
    "beta1": 0.9,
    "beta2": 0.95,
    "clip": 1.0,
    **_DENSE,
}
#: The loss around the optimum, and the scatter of the 17 cells' optima about the authors' constants, as
#: experiments/step_law_constants.py computes them from the authors' 1,911 runs.
_EXCESS = Excess(
    a=0.016631739371257424,
    b=0.014832791825680118,
    c=-0.004528082517931534,
    k_lr=1.3607768649951004,
    k_batch=-0.246475772192782,
)
_SCATTER = {"lr": 0.24965871613359536, "batch": 0.2986120337025489}
_RANGES = {
    "params": [214663680.0, 1073741824.0],
    "tokens": [4e9, 1e11],
    "tokens_per_param": [18.62638, 465.84499],
    "peak_lr": [2.441e-4, 0.0221],
    "batch_tokens": [32768.0, 4194304.0],
}
#: Of the authors' 1,000 stored bootstraps, in the order intercept, N, D.
_COVARIANCE = {
    "lr": [
        [0.38906211148774494, -0.013558938970776157, -0.005132493532093748],
        [-0.013558938970776157, 0.0008914857372464491, -0.0001743317885256672],
        [-0.005132493532093748, -0.0001743317885256672, 0.00036631184290429863],
    ],
    "batch": [
        [0.19117963587406547, 0.0, -0.008151572248019927],
        [0.0, 0.0, 0.0],
        [-0.008151572248019927, 0.0, 0.0003485179394956627],
    ],
}
_DRIFT = {
    "lr": [[0.07057178132931081, -0.04623265487660049], [-0.046232654876600485, 0.060312268210124656]],
    "batch": [[0.02305010274124639, -0.005081371087406934], [-0.005081371087406933, 0.024096686393442625]],
}
_LI = "Li et al. 2025, arXiv 2503.04715"


#: Our refit of the authors' runs, a law of another form, and the authors' own: the gap between the two forms at a
#: question is part of the interval of each.
_REFIT = {
    "lr": {"intercept": 3.4660832278387486, "N": -0.8001848245051549, "D": 0.26301733616936557},
    "batch": {"intercept": 3.5391515168224297, "N": -0.27704663294552917, "D": 0.6289138924399124},
}
_BOOTSTRAP = {
    "lr": {"intercept": 0.5863077907399268, "N": -0.7129222911869904, "D": 0.30749095041206964},
    "batch": {"intercept": -0.5435421736103339, "N": 0.0, "D": 0.5709443646895045},
}


def _flat(law: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    return {f"{axis}_{name}": value for axis, terms in law.items() for name, value in terms.items()}


def _rival(law: Mapping[str, Mapping[str, float]]) -> dict[str, list[Mapping[str, Any]]]:
    """Another law of the same runs, as if it were the true one: the whole gap counts."""
    return {axis: [{"form": "N, D" if terms["N"] else "D", "weight": 1.0, **terms}] for axis, terms in law.items()}


def _step_law(law: Mapping[str, Mapping[str, float]], note: str) -> HyperFit:
    return HyperFit(
        law="step_law",
        convention=_COSINE,
        params=_flat(law),
        forms={"lr": "N, D", "batch": "D"},
        rivals=_rival(_REFIT),
        covariance=_COVARIANCE,
        drift=_DRIFT,
        scatter=_SCATTER,
        dof={"lr": 17.0, "batch": 17.0},
        ranges=_RANGES,
        excess=_EXCESS,
        method="published",
        resampling="the authors' 1,000 bootstraps",
        reference=f"{_LI}; {note}",
    )


#: Name → law: a `HyperFit` where uncertainty is known, a `Published` formula where it is not.
PRESETS: dict[str, HyperFit | Published] = {
    "step_law:bootstrap": _step_law(_BOOTSTRAP, "geometric mean of the stored bootstraps"),
    "step_law:published": _step_law(
        {
            "lr": {"intercept": math.log(1.79), "N": -0.713, "D": 0.307},
            "batch": {"intercept": math.log(0.58), "N": 0.0, "D": 0.571},
        },
        "as written",
    ),
    "step_law:refit": HyperFit(
        law="step_law",
        convention=_COSINE,
        params=_flat(_REFIT),
        rivals=_rival(_BOOTSTRAP),
        covariance={
            "lr": [
                [2.896805624047704, -0.13620164600131202, -0.008302104441780846],
                [-0.13620164600131202, 0.008295519292173807, -0.00116847744571768],
                [-0.008302104441780846, -0.00116847744571768, 0.0013119738392818336],
            ],
            "batch": [
                [3.2045117138838886, -0.14662046491093095, -0.012581001437096988],
                [-0.14662046491093095, 0.008739578628625903, -0.0011141139185312304],
                [-0.012581001437096988, -0.0011141139185312304, 0.0014598517057744544],
            ],
        },
        drift={
            "lr": [[0.06316774777438347, -0.045238509219408474], [-0.04523850921940848, 0.05936660621374713]],
            "batch": [[0.014310524112620486, -0.0039672571688757026], [-0.0039672571688757026, 0.022985352627163832]],
        },
        scatter={"lr": 0.18777947825471872, "batch": 0.21954429484598634},
        dof={"lr": 10.344310608985966, "batch": 12.52608299154773},
        ranges=_RANGES,
        excess=_EXCESS,
        method="published",
        resampling="by cell",
        reference=f"{_LI}; our two-stage fit of the same 1,911 runs (experiments/step_law_constants.py)",
    ),
    "deepseek:published": Published(
        formula="η = 0.3118 C^-0.125, B = 0.2920 C^0.3271 tokens, C = M·D, M non-embedding FLOPs/token",
        setting="AdamW, multi-step schedule (31.6% of the peak from 80% of the tokens, 10% from 90%), 2,000 warm-up",
        reference="Bi et al. 2024, arXiv 2401.02954",
        ranges={"flops": [1e17, 2e19]},
        convention={
            **_DENSE,
            "optimizer": "adamw",
            "beta1": 0.9,
            "beta2": 0.95,
            "weight_decay": 0.1,
            "clip": 1.0,
            "schedule": "step(milestones=[0.8, 0.9], values=[0.316, 0.1], warmup_steps=2000)",
            "warmup_steps": 2000,
        },
        advise=_deepseek,
    ),
    "porian:published": Published(
        formula="η = 3.7 N^-0.36, B = 0.7576 N^0.703 tokens, N with the output head",
        setting="AdamW with β2 tuned, compute-optimal budgets (D ≈ 20 N)",
        reference="Porian et al. 2024, arXiv 2406.19146",
        ranges={"params": [5e6, 9.01e8], "tokens_per_param": [10.0, 40.0]},
        convention={**_DENSE, "optimizer": "adamw", "beta1": 0.9, "schedule": "constant or cosine"},
        advise=_porian,
    ),
    "minicpm:published": Published(
        formula="B = 1.21e9 / L^6.24 tokens; LR ≈ 0.01 in μP units, which is no LR of a standard parametrisation",
        setting="μP, WSD schedule",
        reference="Hu et al. 2024, arXiv 2404.06395",
        ranges={},
        convention={**_DENSE, "parameterisation": "mup", "schedule": "wsd(cooldown=0.1)"},
        advise=_minicpm,
    ),
    "kaplan:published": Published(
        formula="η = 3.239e-3 − 1.395e-4 ln N; critical batch 2.1e8 / L^4.76 tokens",
        setting="Adam, cosine to zero, 3,000 warm-up steps, batch 0.5M tokens",
        reference="Kaplan et al. 2020, arXiv 2001.08361",
        ranges={"params": [768.0, 1.5e9]},
        convention={
            **_DENSE,
            "optimizer": "adam",
            "schedule": "cosine(floor=0.0, warmup_steps=3000)",
            "warmup_steps": 3000,
            "final_lr": 0.0,
        },
        advise=_kaplan,
    ),
    "power_lines:published": Published(
        formula="B = 0.0306 D^0.383 sequences of 2048; λ = B/(η D τ), τ = 1.084 (D/N)^-0.527; no LR",
        setting="AdamW under μP, linear decay to zero",
        reference="Bergsma et al. 2025, arXiv 2505.13738 (prefactors quoted, not re-derived)",
        ranges={},
        convention={
            **_DENSE,
            "optimizer": "adamw",
            "parameterisation": "mup",
            "schedule": "linear(floor=0.0)",
            "final_lr": 0.0,
            "seq_len": 2048,
        },
        advise=_power_lines,
    ),
}


def get(name: str) -> HyperFit | Published:
    """The preset of this name; `step_law` alone is the default variant."""
    if name in PRESETS:
        return PRESETS[name]
    variants = [preset for preset in PRESETS if preset.split(":")[0] == name]
    if name == "step_law" or len(variants) == 1:
        return PRESETS[DEFAULT if name == "step_law" else variants[0]]
    raise unknown("law", name, PRESETS)
