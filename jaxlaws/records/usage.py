"""Which runs and columns of a source are used: the line in which a fit says how it understood a table. No pandas."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxlaws.records.table import Runs

#: The reason of a run whose own status says that it diverged.
DIVERGED = "diverged"
#: Largest number of run ids in a sentence.
_MOST_IDS = 3


@dataclass(frozen=True)
class Usage:
    """How a table was understood.

    Attributes:
      rows: runs in the source, before any was left out.
      columns: our column → what it was made of, such as `lr`, `bs × 2048` or `2048 (--set)`; those whose name is ours
        are left out.
      exclusions: reason, such as `crashed` or `running` → run ids that no fit sees.
      diverged: reason, such as `NaN` → run ids that are taken as diverged.
      unknown: columns of the source that nothing reads.
    """

    rows: int
    columns: Mapping[str, str] = field(default_factory=dict)
    exclusions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    diverged: Mapping[str, Sequence[str]] = field(default_factory=dict)
    unknown: Sequence[str] = ()

    def sentence(self) -> str:
        """`60 runs: 54 used, 3 crashed, 3 NaN taken as diverged; peak_lr = lr, batch_tokens = bs × 2048`."""
        count = self.rows - sum(map(len, (*self.exclusions.values(), *self.diverged.values())))
        parts = [f"{self.rows} runs: {count} used"]
        parts += [_count(ids, reason) for reason, ids in self.exclusions.items() if ids]
        for reason, ids in self.diverged.items():
            parts += [_count(ids, reason) + ("" if reason == DIVERGED else f" taken as {DIVERGED}")] if ids else []
        names = ", ".join(f"{ours} = {origin}" for ours, origin in self.columns.items())
        return ", ".join(parts) + (f"; {names}" if names else "")


def _count(ids: Sequence[str], reason: str) -> str:
    examples = f" ({', '.join(ids)})" if len(ids) <= _MOST_IDS else ""
    return f"{len(ids)} {reason}{examples}"


def usage_of(before: Runs, selection: Runs, remainder: Runs) -> Usage:
    """The usage of a source.

    Args:
      before: all its runs, with what an importer says of them in `usage`.
      selection: those that the user selects.
      remainder: those that remain after checks and questions.
    """
    usage = before.usage or Usage(len(before.table))
    outside, refusals = _missing(before, selection), _missing(selection, remainder)
    exclusions = {reason: _within(ids, selection) for reason, ids in usage.exclusions.items()}
    diverged = {reason: _within(ids, remainder) for reason, ids in usage.diverged.items()}
    more = {
        "failed": _others(remainder, "failed", exclusions),
        **_refusals_by_reason(
            [name for name in refusals if not any(name in ids for ids in exclusions.values())], selection, remainder
        ),
        "outside --where": outside,
    }
    exclusions |= {reason: [*exclusions.get(reason, ()), *ids] for reason, ids in more.items()}
    diverged[DIVERGED] = [*diverged.get(DIVERGED, ()), *_others(remainder, DIVERGED, diverged)]
    return replace(usage, exclusions=_some(exclusions), diverged=_some(diverged))


#: Question whose answer leaves runs out → the word for such a run.
_DROPPING = {"outliers": "outlier", "checkpoints": "earlier checkpoint"}


def _refusals_by_reason(names: Sequence[str], selection: Runs, remainder: Runs) -> dict[str, list[str]]:
    """Reason → the runs that a question left out, outliers with their losses."""
    reasons = [_DROPPING[name] for name in remainder.doubts if name in _DROPPING and remainder.assume.get(name)]
    reason = "refused" if remainder.refusals else reasons[0] if len(reasons) == 1 else "left out by --assume"
    if reason == _DROPPING["outliers"]:
        loss = selection.table[selection.loss_column]
        return {reason: [f"{name}, {float(loss[name]):.4g}" for name in names]}
    return {reason: list(names)}


def _within(ids: Sequence[str], runs: Runs) -> list[str]:
    """The ids that are among the runs."""
    members = set(runs.table.index[runs.table.index.isin(list(ids))]) if ids else ()
    return [name for name in ids if name in members]


def _others(runs: Runs, status: str, groups: Mapping[str, Sequence[str]]) -> list[str]:
    """The runs of a status that belong to no group yet."""
    if "status" not in runs.table:
        return []
    members = {name for ids in groups.values() for name in ids}
    return [name for name in runs.table.index[(runs.table["status"] == status).to_numpy()] if name not in members]


def _missing(before: Runs, after: Runs) -> list[str]:
    if len(before.table) == len(after.table):
        return []
    return [str(name) for name in (Counter(before.table.index) - Counter(after.table.index)).elements()]


def _some(groups: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    return {reason: tuple(map(str, ids)) for reason, ids in groups.items() if ids}
