"""What of a source is used, and as what: the one line in which a fit says how it understood a table. No pandas."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxlaws.records.table import Runs

#: The reason of a run whose own status says that it diverged.
DIVERGED = "diverged"
#: Run ids named in a sentence, at most.
_NAMED = 3


@dataclass(frozen=True)
class Used:
    """How a table was understood.

    Attributes:
      rows: runs in the source, before any was left out.
      columns: our column → what it was made of, such as `lr`, `bs × 2048` or `2048 (--set)`; those whose name is ours
        are left out.
      left_out: reason, such as `crashed` or `running` → run ids that no fit sees.
      diverged: reason, such as `NaN` → run ids that are taken as diverged.
      unknown: columns of the source that nothing reads.
    """

    rows: int
    columns: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, Sequence[str]] = field(default_factory=dict)
    diverged: Mapping[str, Sequence[str]] = field(default_factory=dict)
    unknown: Sequence[str] = ()

    def sentence(self) -> str:
        """`60 runs: 54 used, 3 crashed, 3 NaN taken as diverged; peak_lr = lr, batch_tokens = bs × 2048`."""
        used = self.rows - sum(map(len, (*self.left_out.values(), *self.diverged.values())))
        parts = [f"{self.rows} runs: {used} used"]
        parts += [_counted(ids, reason) for reason, ids in self.left_out.items() if ids]
        for reason, ids in self.diverged.items():
            parts += [_counted(ids, reason) + ("" if reason == DIVERGED else f" taken as {DIVERGED}")] if ids else []
        names = ", ".join(f"{ours} = {made_of}" for ours, made_of in self.columns.items())
        return ", ".join(parts) + (f"; {names}" if names else "")


def _counted(ids: Sequence[str], reason: str) -> str:
    named = f" ({', '.join(ids)})" if len(ids) <= _NAMED else ""
    return f"{len(ids)} {reason}{named}"


def used_of(before: Runs, chosen: Runs, checked: Runs) -> Used:
    """What is used of a source.

    Args:
      before: all its runs, with what an importer says of them in `used`.
      chosen: those that the user selects.
      checked: those that are left by checks and questions.
    """
    said = before.used or Used(len(before.table))
    outside, dropped = _missing(before, chosen), _missing(chosen, checked)
    left_out = {reason: _within(ids, chosen) for reason, ids in said.left_out.items()}
    diverged = {reason: _within(ids, checked) for reason, ids in said.diverged.items()}
    more = {
        "failed": _others(checked, "failed", left_out),
        **_dropped([name for name in dropped if not any(name in ids for ids in left_out.values())], chosen, checked),
        "outside --where": outside,
    }
    left_out |= {reason: [*left_out.get(reason, ()), *ids] for reason, ids in more.items()}
    diverged[DIVERGED] = [*diverged.get(DIVERGED, ()), *_others(checked, DIVERGED, diverged)]
    return replace(said, left_out=_some(left_out), diverged=_some(diverged))


#: Question whose answer leaves runs out → what they are.
_DROPPING = {"outliers": "outlier", "checkpoints": "earlier checkpoint"}


def _dropped(names: Sequence[str], chosen: Runs, checked: Runs) -> dict[str, list[str]]:
    """The runs that a question left out; of outliers with their losses."""
    reasons = [_DROPPING[name] for name in checked.doubts if name in _DROPPING and checked.assume.get(name)]
    reason = "refused" if checked.asked else reasons[0] if len(reasons) == 1 else "left out by --assume"
    if reason == _DROPPING["outliers"]:
        loss = chosen.table[chosen.loss_column]
        return {reason: [f"{name}, {float(loss[name]):.4g}" for name in names]}
    return {reason: list(names)}


def _within(ids: Sequence[str], runs: Runs) -> list[str]:
    """Those of the ids that are among the runs."""
    there = set(runs.table.index[runs.table.index.isin(list(ids))]) if ids else ()
    return [name for name in ids if name in there]


def _others(runs: Runs, status: str, known: Mapping[str, Sequence[str]]) -> list[str]:
    """The runs of a status that no group has yet."""
    if "status" not in runs.table:
        return []
    named = {name for ids in known.values() for name in ids}
    return [name for name in runs.table.index[(runs.table["status"] == status).to_numpy()] if name not in named]


def _missing(before: Runs, after: Runs) -> list[str]:
    if len(before.table) == len(after.table):
        return []
    return [str(name) for name in (Counter(before.table.index) - Counter(after.table.index)).elements()]


def _some(groups: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    return {reason: tuple(map(str, ids)) for reason, ids in groups.items() if ids}
