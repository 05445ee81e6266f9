"""Rules for the LR in another setting, one function a setting, after the sources in `conversions.CONVERSIONS`.

A rule gives a `Change`, a `Refusal` where no source says how, or nothing where the question does not ask for the
setting or asks for that of the law.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from jaxlaws.errors import BadInput
from jaxlaws.recommender.case import Case, Change, Refusal
from jaxlaws.recommender.override import OPTIMIZERS
from jaxlaws.recommender.timescales import best_timescale, beta2_at, timescale
from jaxlaws.records.units import short

#: Sources of the LR of a mixture: exponent of the ratio of parameters, and the largest number of experts tried.
_EXPERTS, _MOST_EXPERTS = 0.25, 32.0
#: An sd of ln LR: 80% within ×2 either way.
_TWICE = math.log(2) / 1.2815515655
#: Tokens after a checkpoint over those before it: range with an answer; sources tried 2/3 and 1.
_RETRAINING = (1 / 3, 3.0)
#: Names of settings that each optimiser has values of its own for.
OWN = ("weight_decay", "beta1", "beta2", "eps", "momentum")
#: Largest factor on the weight decay with an answer.
_DECAYS = 10.0
#: Assumed sd of ln LR for each doubling of the half-life of second moments.
_BETA2_SD = 0.1
#: Factor below the data's batches from which β2 changes, and from the law's own batch from which a sentence says so.
_SMALL_BATCH, _FAR = 2.0, 4.0


def experts(case: Case) -> Change | Refusal | None:
    """A mixture of experts: N is its active parameters, and the LR falls with the total ones."""
    if "moe" not in case.request:
        return None
    active, total = case.request["moe"]
    ratio = total / active
    name = f"mixture of experts, {short(active)} of {short(total)} active"
    if ratio == 1.0:
        return None
    if ratio > _MOST_EXPERTS:
        return Refusal(
            f"no source has a rule for a mixture of experts with {ratio:.3g} times the active parameters "
            f"(tried: up to {_MOST_EXPERTS:g})",
            None,
            ratio**-_EXPERTS,
        )
    return Change(
        f"mixture of experts: N is its active parameters, {short(active)}, and the LR is multiplied by "
        f"(total/active)^-{_EXPERTS:g} = {ratio**-_EXPERTS:.3f}, ×/÷{math.exp(_EXPERTS * math.log(ratio)):.2f}, since "
        "sources disagree (Ludziejewski et al. 2025, arXiv 2502.05172: lower; arXiv 2503.04715: as dense); the batch "
        "stays.",
        ratio**-_EXPERTS,
        _EXPERTS * math.log(ratio),
        {"architecture": name},
    )


def checkpoint(case: Case) -> Change | Refusal | None:
    """From a checkpoint: the LR is warmed up again to the best peak of the pre-training."""
    if "checkpoint_tokens" not in case.request:
        return None
    before = case.request["checkpoint_tokens"]
    if before is None:
        return Refusal(
            f"{case.law} was measured from scratch, and the LR from a checkpoint depends on how it was trained: give "
            "the tokens that it was trained on, --from-checkpoint TOKENS",
            None,
            0.3,
        )
    low, high = _RETRAINING
    share = case.q.tokens / before
    lr, _ = case.at(case.q.params, before)
    own, _ = case.at(case.q.params, case.q.tokens)
    if not low <= share <= high or lr is None or own is None:
        return Refusal(
            f"no source has a rule for {share:.2g} times the checkpoint's own tokens, such as a short fine-tuning "
            f"(tried: about as many; answered: {low:.2g} to {high:g} times)",
            None,
            0.3,
        )
    return Change(
        f"from a checkpoint of {short(before)} tokens: the LR is warmed up again to the best peak of its pre-training, "
        f"×{lr / own:.3f}, and decayed again (Ibrahim et al. 2024, arXiv 2403.08763), ×/÷{math.exp(_TWICE):.2f}; "
        "higher adapts more and forgets more.",
        lr / own,
        _TWICE,
        {"start": f"from a checkpoint of {short(before)} tokens"},
    )


#: Optimiser → a note on its LR, and the LRs of a sweep: a factor on AdamW's, or a fixed value.
_OTHER_OPTIMIZERS: dict[str, tuple[str, float, float | None]] = {
    "lion": (" (3 to 10 times lower than AdamW's, arXiv 2302.06675, is a range to sweep)", 30**-0.5, None),
    "sgd": ("", 1.0, 0.1),
    "nesterov": ("", 1.0, 0.1),
    "schedule_free_adamw": (
        " (1 to 10 times higher than AdamW's, github.com/facebookresearch/schedule_free, is a range to sweep)",
        10**0.5,
        None,
    ),
}


def optimizer(case: Case) -> Change | Refusal | None:
    """Another optimiser: Muon at AdamW's RMS keeps AdamW's LR."""
    name, own = case.request.get("optimizer"), case.convention.get("optimizer")
    if name is None or name == own:
        return None
    if own is None:
        return Change(
            f"{case.law} does not state its optimiser: its LR is taken as {name}'s.", setting={"optimizer": name}
        )
    note, over, fixed_lr = _OTHER_OPTIMIZERS.get(name, ("", 1.0, None))
    if (own, name) != ("adamw", "muon") or case.get("parameterisation") == "mup":
        also = " under μP" if (own, name) == ("adamw", "muon") else ""
        reason = f"no source converts the LR of {own} to {name}{also}{note}"
        return Refusal(reason, [f"optimizer={name}"], over, fixed_lr, 2.0 if fixed_lr is None else 4.0)
    return Change(
        "Muon with updates of 0.2·√max(fan_in, fan_out), the RMS of AdamW's, as optimizer=muon has them, keeps AdamW's "
        f"LR and weight decay (Liu et al. 2025, arXiv 2502.16982), ×/÷{math.exp(_TWICE):.2f}; another scaling does "
        "not.",
        1.0,
        _TWICE,
        {"optimizer": name, "config": without_optimizer(case.convention)},
    )


def without_optimizer(convention: Mapping[str, Any]) -> dict[str, Any]:
    """The config that a law's runs share, without the numbers of their optimiser."""
    return {key: value for key, value in (convention.get("config") or {}).items() if not key.startswith("optimizer.")}


def parameterisation(case: Case) -> Change | Refusal | None:
    """Another parameterisation: the factor that keeps the LR of matrices, from a base width."""
    own = case.convention.get("parameterisation")
    name = case.request.get("parameterisation", own)
    base = base_width(case)
    setting: dict[str, Any] = {"parameterisation": name}
    if base is not None and name == "mup":
        setting["config"] = {**_config(case), "model.base_width": base}
    if name == own and name == "mup" and base is None:
        return Change(
            f"{case.law} does not state its base width: give --base-width, for the command takes the default."
        )
    if name == own:
        if name != "mup" or base == _config(case).get("model.base_width"):
            return None
        return Change(f"the base width of its sweep is taken as {base}: the LR stays.", setting=setting)
    if own is None:
        return Change(f"{case.law} does not state its parameterisation: its LR is taken as {name}'s.", setting=setting)
    if base is None or case.q.width is None or case.q.layers is None:
        return Refusal(
            f"{case.law} was measured under the {own} parameterisation, and only a base width makes its LR one "
            f"under {name}: give --base-width of its sweep, with --width and --layers of this model",
            ["model.parameterisation=mup", "model.base_width=64"] if name == "mup" else [],
        )
    ratio = case.q.width / base
    factor = ratio if name == "mup" else 1 / ratio
    sd = abs(math.log(ratio)) / 2
    return Change(
        f"{name} parameterisation: under μP matrices train at LR · base width/width, so ×{factor:.3g} (width "
        f"{case.q.width}, base {base}) keeps their LR (Yang et al. 2022, arXiv 2203.03466), ×/÷{math.exp(sd):.2f}, "
        "since that of the embedding moves instead.",
        factor,
        sd,
        setting,
    )


def base_width(case: Case) -> int | None:
    """The width at which μP scales nothing: that of the question, otherwise that of the law's runs."""
    return case.request.get("base_width", _config(case).get("model.base_width"))


def _config(case: Case) -> Mapping[str, Any]:
    """Keys of `jaxlaws train` that the law's runs share."""
    return case.convention.get("config") or {}


def _check_reads(case: Case, name: str, word: str) -> None:
    """Raises `BadInput` where the optimiser of the answer has no such setting."""
    optimizer = case.get("optimizer") or "adamw"
    if name not in OPTIMIZERS.get(optimizer, (name,)):
        whose = "" if "optimizer" in case.request else f"{case.law} was measured with {optimizer}: "
        raise BadInput(f"{whose}{optimizer} has no {word}, leave --{name.replace('_', '-')} out.")


def weight_decay(case: Case) -> Change | Refusal | None:
    """Another weight decay: the LR stays, and the sentence gives the timescale."""
    new, old = case.request.get("weight_decay"), case.convention.get("weight_decay")
    if new is None:
        return _same_timescale(case, old)
    if new == old:
        return None
    _check_reads(case, "weight_decay", "weight decay")
    setting = {"weight_decay": new}
    if old is None:
        return Change(f"{case.law} does not state its weight decay: the LR is not converted.", setting=setting)
    if not old or not old / _DECAYS <= new <= old * _DECAYS:
        return Refusal(
            f"no source converts the LR from weight decay {old:g} to {new:g} (within ×{_DECAYS:g} the timescale tells)",
            [f"optimizer.weight_decay={new:g}"],
        )
    text = f"weight decay {new:g} for {old:g}: the LR stays, and ×{old / new:.3g} of it would keep the timescale ηλ"
    if case.batch_tokens is not None:
        shares = [timescale(case.batch_tokens, case.peak_lr, value, case.q.tokens) for value in (old, new)]
        best = best_timescale(case.q.tokens, case.q.params)
        text += (
            f"; AdamW's B/(ηλD) goes from {shares[0]:.2g} to {shares[1]:.2g} of the run, and at this D/N {best:.2g} is "
            f"best (Bergsma et al. 2025, arXiv 2505.13738), which weight decay {new * shares[1] / best:.2g} gives"
        )
    sd = abs(math.log(new / old)) / 2
    return Change(f"{text}; ×/÷{math.exp(sd):.2f}.", sd=sd, setting=setting)


def _same_timescale(case: Case, decay: float | None) -> Change | None:
    """Which weight decay keeps the timescale of the law's own batch and LR at a batch that is far from it."""
    lr, _ = case.at(case.q.params, case.q.tokens)
    far = _far(case)
    if not decay or lr is None or far is None:
        return None
    equivalent = decay * far * lr / case.peak_lr
    return Change(
        f"weight decay {equivalent:.2g} would keep the timescale B/(ηλD) that {decay:g} has at {case.law}'s own batch "
        f"and LR (Bergsma et al. 2025, arXiv 2505.13738); {decay:g} stays."
    )


def _far(case: Case) -> float | None:
    """The batch of the question over the law's own, where they differ by ×4 or more."""
    batch, (_, own) = case.q.batch_tokens, case.at(case.q.params, case.q.tokens)
    if batch is None or own is None or 1 / _FAR < batch / own < _FAR:
        return None
    return batch / own


def beta2(case: Case) -> Change | Refusal | None:
    """Another β2, or a batch outside the data: it keeps the half-life in tokens."""
    new, old = case.request.get("beta2"), case.convention.get("beta2")
    low, high = case.batches or (0.0, math.inf)
    batch = case.q.batch_tokens
    ratio = 1.0 if batch is None else batch / min(max(batch, low), high)
    source = "(Marek et al. 2025, arXiv 2507.07101)"
    if new is None:
        if old is None or "beta2" not in OPTIMIZERS.get(case.get("optimizer"), ()):
            return None
        if ratio > 1 / _SMALL_BATCH:
            far = _far(case)
            if far is None or far > 1:
                return None
            return Change(
                f"β2 {beta2_at(old, far):.5g} would keep the half-life of second moments in tokens that {old:g} has at "
                f"{case.law}'s own batch {source}; {old:g} stays, with which such batches were measured."
            )
        equivalent = beta2_at(old, ratio)
        return Change(
            f"the batch is ×{ratio:.2g} of the smallest that was measured: β2 {equivalent:.5g} keeps the half-life of "
            f"second moments in tokens that {old:g} had there {source}.",
            setting={"beta2": equivalent},
        )
    if new == old:
        return None
    _check_reads(case, "beta2", "β2")
    if old is None:
        return Change(f"{case.law} does not state its β2: the LR is not converted.", setting={"beta2": new})
    equivalent = beta2_at(old, ratio)
    times = math.log(equivalent) / math.log(new)
    sd = _BETA2_SD * abs(math.log2(times))
    return Change(
        f"β2 {new:g} for {old:g}: the half-life of second moments in tokens is ×{times:.3g} of the measured one, which "
        f"β2 {equivalent:.5g} keeps at this batch {source}; the LR stays, ×/÷{math.exp(sd):.2f} by assumption.",
        sd=sd,
        setting={"beta2": new},
    )


def schedule(case: Case) -> Change | Refusal | None:
    """Another schedule or warm-up: see `jaxlaws.recommender.transfer`."""
    if not {"schedule", "warmup"} & set(case.request):
        return None
    from jaxlaws.recommender.transfer import change

    return change(case)
