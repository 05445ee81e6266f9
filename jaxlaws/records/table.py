"""The table of runs: what every importer produces and every law, recommender and report reads."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd

from jaxlaws.errors import BadInput, unknown
from jaxlaws.records.columns import COLUMNS, MAIN_LOSSES, METRIC, TARGET, is_column, no_loss, target_of
from jaxlaws.records.usage import Usage

#: A number of optimiser steps that no run has exceeded; a larger one is in another unit.
MAX_STEPS = 1e7


@dataclass(frozen=True)
class Curve:
    """The loss of one run along its schedule.

    Attributes:
      lr: [steps] float64, the LR of every step, warm-up included.
      at: [evals] int, index into `lr` of the last step that was taken before the loss was measured, strictly
        increasing: the loss has seen lr[0..at].
      loss: [evals] float64, nats a token.
      warmup_steps: how many leading steps are warm-up; laws that count "after warm-up" start there.
      logged: column of an input that is logged along a run → [evals] its values, NaN where there is none.
    """

    lr: np.ndarray
    at: np.ndarray
    loss: np.ndarray
    warmup_steps: int
    logged: Mapping[str, np.ndarray] = field(default_factory=dict)

    def check(self, name: str) -> Curve:
        """Itself, if it can be used as it is; `BadInput` with the first thing that is wrong otherwise."""
        if not len(self.at) or not len(self.lr):
            raise BadInput(f"curve '{name}' is empty, expected at least one step with a loss.")
        if np.any(np.diff(self.at) <= 0):
            where = int(self.at[int(np.argmax(np.diff(self.at) <= 0)) + 1])
            raise BadInput(f"curve '{name}' has duplicate or unordered steps near {where}: sort it, one row a step.")
        if self.at[0] < 0 or self.at[-1] >= len(self.lr):
            raise BadInput(f"curve '{name}' has a loss at step {self.at[-1]}, its schedule has {len(self.lr)} steps.")
        if not np.all(np.isfinite(self.lr)) or np.any(self.lr < 0):
            raise BadInput(f"curve '{name}' has a learning rate that is negative or not a number.")
        if not np.all(np.isfinite(self.loss)) or np.any(self.loss <= 0):
            raise BadInput(f"curve '{name}' has a loss that is not a positive number: drop those rows first.")
        for column, values in self.logged.items():
            if values.shape != self.loss.shape:
                raise BadInput(f"curve '{name}' has {len(values)} values of {column} and {len(self.loss)} losses.")
        return self


@dataclass(frozen=True)
class Runs:
    """Runs from one source.

    Attributes:
      table: one row a run, indexed by run id, with columns of `jaxlaws.records.columns`.
      curves: run id → `Curve`, for the runs that have one.
      source: where they came from, for people.
      unread: a sentence for each run that is left out, since a file of it cannot be read.
      assume: question → value or "", what the user answers for (`jaxlaws.records.questions`).
      doubts: question → sentence, what was doubted and is assumed all the same.
      notes: sentences about what was changed of the source.
      usage: how the source was understood, where it is a table.
      target: which of the columns `val_loss.NAME` and `metric.NAME` laws are fitted to; the main loss where empty.
      refusals: (question or "", sentence) of everything that a fit would refuse, where it is collected; None where a
        question without an answer raises at once.
    """

    table: pd.DataFrame
    curves: Mapping[str, Curve] = field(default_factory=dict)
    source: str = "memory"
    unread: tuple[str, ...] = ()
    assume: Mapping[str, str] = field(default_factory=dict)
    doubts: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    usage: Usage | None = None
    refusals: tuple[tuple[str, str], ...] | None = None
    target: str = ""

    def __post_init__(self) -> None:
        for column in self.table.columns:
            if not is_column(str(column)):
                raise unknown("column", str(column), COLUMNS)

    @cached_property
    def digest(self) -> str:
        """sha256 of the table as CSV and of every curve's bytes, which a fit stores."""
        state = hashlib.sha256(self.table.to_csv(float_format="%.17g").encode())
        for name, curve in self.curves.items():
            state.update(name.encode())
            for part in (curve.lr, curve.at, curve.loss, *curve.logged.values()):
                state.update(np.ascontiguousarray(part, np.float64).tobytes())
        return state.hexdigest()

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the further losses and metrics, of which `target` may be one."""
        return tuple(name for column in self.table if (name := target_of(str(column))) is not None)

    @property
    def loss_name(self) -> str | None:
        """The column of the final loss: that of the target, the validation loss of our own runs, or a table's."""
        several = [start + self.target for start in (TARGET, METRIC)] if self.target else MAIN_LOSSES
        return next((name for name in several if name in self.table), None)

    @property
    def loss_column(self) -> str:
        """`loss_name`; `BadInput` where the table has none."""
        if self.loss_name is None:
            raise no_loss(self.source, self.target, self.table.columns)
        return self.loss_name

    @property
    def loss_label(self) -> str:
        """The name of the loss in a fit: its column, or the metric."""
        return self.loss_column.removeprefix(METRIC)

    @property
    def in_nats(self) -> bool:
        """Whether the final loss is a cross-entropy, whose size and logarithm may be questioned."""
        return self.loss_name is not None and not self.loss_name.startswith(METRIC)

    def measuring(self, metric: str) -> Runs:
        """The runs with `metric.NAME` as their loss, where they state it and no target is chosen."""
        return replace(self, target=metric) if not self.target and METRIC + metric in self.table else self

    @property
    def inside_warmup(self) -> np.ndarray:
        """[runs] whether a run ends inside its warm-up and so never reached its peak LR."""
        if not {"steps", "warmup_steps"} <= set(self.table.columns):
            return np.zeros(len(self.table), bool)
        return (self.table["steps"] < self.table["warmup_steps"]).to_numpy(bool)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader of an answer from these runs should know about them."""
        count = int(self.inside_warmup.sum())
        inside = (
            f"{count} of {len(self.table)} runs end inside their warm-up and never reached their peak LR "
            "(--where steps>=… leaves them out)"
        )
        return (*self.answers, *([inside] if count else []))

    @property
    def answers(self) -> tuple[str, ...]:
        """Sentences on changes of the source and on answers of the user."""
        return (*self.unread, *self.notes, *(f"--assume {name}: {what}." for name, what in self.doubts.items()))

    def need(self, *columns: str) -> pd.DataFrame:
        """The table, if it has these columns; `BadInput` that names the missing ones otherwise."""
        from jaxlaws.records.aliases import remedy

        missing = [name for name in columns if name not in self.table]
        if missing:
            unknown = self.usage.unknown if self.usage else ()
            raise BadInput(
                f"{self.source} has no column {', '.join(missing)}; it has {', '.join(self.table.columns)}: "
                f"{'; '.join(remedy(name, self.table.columns, unknown) for name in missing)}."
            )
        return self.table

    def finished(self) -> Runs:
        """Only the runs that ended with a finite loss."""
        keep = np.isfinite(self.table[self.loss_column].to_numpy(float))
        if "status" in self.table:
            keep &= (self.table["status"] == "ok").to_numpy(bool)
        return self.at(keep)

    def select(self, run_ids) -> Runs:
        """Only these runs, in this order."""
        curves = {name: self.curves[name] for name in run_ids if name in self.curves}
        return replace(self, table=self.table.loc[list(run_ids)], curves=curves)

    def at(self, keep: np.ndarray) -> Runs:
        """Only the runs where `keep` [runs] is true."""
        table = self.table[keep]
        names = set(table.index) if self.curves else ()
        return replace(self, table=table, curves={name: c for name, c in self.curves.items() if name in names})
