"""The smallest sweep that answers what no source converts: LRs × batches in three small cells, sized by the law."""

from __future__ import annotations

from jaxlaws.recommender.case import Case, Refusal
from jaxlaws.recommender.override import setting_arguments, spec_fields
from jaxlaws.recommender.rules import OWN, without_optimizer
from jaxlaws.recommender.shapes import LADDER
from jaxlaws.records.units import short
from jaxlaws.text import quoted

#: LRs, batches and cells.
_LRS, _BATCHES, _CELLS = 5, 3, 3
#: Largest ratios: of the sweep's largest model to the one of the question, and of each of its models to the next.
_LARGEST, _APART = 1 / 30, 0.45
#: Steps of a run at the middle batch, at least, and tokens a parameter, at most.
_LEAST_STEPS, _MOST_RATIO = 500, 1e4
#: Limits of the middle LR of a sweep, whatever a law says far outside its data.
_LEAST_LR, _MOST_LR = 1e-5, 0.03


def smallest_sweep(case: Case, refusal: Refusal) -> str:
    """What to train instead: a clause that ends with a command, or with the LRs and batches for another trainer."""
    sizes = _sizes(case.q.params)
    middle = sizes[len(sizes) // 2]
    ratio = min(case.q.tokens / case.q.params, _MOST_RATIO)
    lr, batch = case.at(LADDER[middle], LADDER[middle] * ratio)
    if refusal.train is None:
        values = ", ".join(f"{value:.2g}" for value in _lrs(case.peak_lr * refusal.lr, refusal.ratio))
        of = "" if case.batch_tokens is None else f", and batches ×0.5, ×1 and ×2 of {short(case.batch_tokens)}"
        return (
            "jaxlaws train cannot train that, so sweep in your own trainer the LRs "
            f"{values}{of} tokens, in three smaller (N, D), then `jaxlaws fit step_law TABLE`."
        )
    centre = min(max((lr or 3e-3) * refusal.lr, _LEAST_LR), _MOST_LR) if refusal.fixed_lr is None else refusal.fixed_lr
    lrs = ",".join(f"{value:.2g}" for value in _lrs(centre, refusal.ratio))
    sequences = max(1, round((batch or 0.0) / case.q.seq_len))
    batches = [max(1, sequences // 3), max(2, sequences), 3 * max(2, sequences)]
    ratio = max(ratio, _LEAST_STEPS * batches[1] * case.q.seq_len / LADDER[sizes[0]])
    tokens = [f"{LADDER[name] * ratio:.0f}" for name in sizes]
    grid = [f"model={','.join(sizes)}", f"tokens={','.join(tokens)}", "sweep.zip=[model,tokens]"]
    grid += [f"optimizer.peak_lr={lrs}", f"batch_sequences={','.join(map(str, batches))}"]
    key, _, value = (refusal.train or ("sweep=standard",))[0].partition("=")
    name = f"{key.rpartition('.')[2]}-{value}"
    arguments = [*grid, f"data.seq_len={case.q.seq_len}", *_setting(case, refusal), f"sweep.name={name}"]
    runs = _LRS * len(batches) * len(sizes)
    own = case.q.params * case.q.tokens
    share = runs / len(sizes) * sum(LADDER[size] ** 2 * ratio for size in sizes) / own
    return (
        f"the smallest sweep that answers has {runs} runs ({share:.2g} times the FLOPs of the run asked for), and "
        f"`jaxlaws fit step_law sweeps/{quoted(name)}` then fits it: jaxlaws train -m "
        + " ".join(map(quoted, arguments))
    )


def _sizes(params: float) -> list[str]:
    """Three named models, the largest a thirtieth of that of the question, or the smallest three."""
    names = sorted(LADDER, key=lambda name: LADDER[name])
    sizes: list[str] = []
    most = params * _LARGEST
    for name in reversed(names):
        if LADDER[name] <= most and len(sizes) < _CELLS:
            sizes.append(name)
            most = LADDER[name] * _APART
    return sizes[::-1] if len(sizes) == _CELLS else names[:_CELLS]


def _lrs(centre: float, ratio: float) -> list[float]:
    return [centre * ratio ** (k - _LRS // 2) for k in range(_LRS)]


def _setting(case: Case, refusal: Refusal) -> list[str]:
    """The rest of the setting, the question's before the law's; a new optimiser keeps its own numbers."""
    overrides = {argument.partition("=")[0]: argument for argument in refusal.train or ()}
    setting = {**case.convention, **case.request}
    if case.get("optimizer") != case.convention.get("optimizer"):
        setting = {name: value for name, value in setting.items() if name not in OWN or name in case.request}
        setting["config"] = without_optimizer(case.convention)
    parts = [f"{key}={value}" for key, value in setting_arguments(setting)[0].items()]
    fields = spec_fields(str(setting.get("schedule")))
    if fields is not None and "schedule" not in overrides:
        parts += [f"schedule={fields.pop('name')}"]
        parts += [f"schedule.{key}={value}" for key, value in fields.items() if not key.startswith("warmup")]
    return [*overrides.values(), *(part for part in parts if part.partition("=")[0] not in overrides)]
