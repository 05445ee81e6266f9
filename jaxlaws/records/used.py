"""What of a source is used, and as what: the one line in which a fit says how it understood a table. No pandas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

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
    """

    rows: int
    columns: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, Sequence[str]] = field(default_factory=dict)
    diverged: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def sentence(self) -> str:
        """`60 runs: 54 used, 3 crashed, 3 NaN taken as diverged; peak_lr = lr, batch_tokens = bs × 2048`."""
        used = self.rows - sum(map(len, (*self.left_out.values(), *self.diverged.values())))
        parts = [f"{self.rows} runs: {used} used"]
        parts += [_counted(ids, reason) for reason, ids in self.left_out.items() if ids]
        parts += [f"{_counted(ids, reason)} taken as diverged" for reason, ids in self.diverged.items() if ids]
        names = ", ".join(f"{ours} = {made_of}" for ours, made_of in self.columns.items())
        return ", ".join(parts) + (f"; {names}" if names else "")


def _counted(ids: Sequence[str], reason: str) -> str:
    named = f" ({', '.join(ids)})" if len(ids) <= _NAMED else ""
    return f"{len(ids)} {reason}{named}"
