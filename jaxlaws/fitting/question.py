"""A question to a law of N and D: at a budget or for a loss, with N or D fixed or both at their best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxlaws.errors import BadInput
from jaxlaws.fitting import plane
from jaxlaws.records.units import short

if TYPE_CHECKING:
    from jaxlaws.fitting.result import LossFit


@dataclass(frozen=True)
class Question:
    """C or the loss, with N or D where they are fixed; the answer is the best of the others.

    Attributes:
      flops: C, the budget.
      loss: to be reached.
      params, tokens: N, D.
      served_tokens: D_served.
    """

    flops: float | None
    loss: float | None
    params: float | None
    tokens: float | None
    served_tokens: float

    @property
    def words(self) -> str:
        """The question as the end of a sentence."""
        return f"at {self.flops:.3g} FLOP" if self.loss is None else f"for a loss of {self.loss:g}"

    def check(self) -> None:
        """`BadInput` where the question has no answer, or more than one."""
        values = {name: value for name, value in vars(self).items() if value is not None}
        for name, value in values.items():
            if not (np.isfinite(value) and (value > 0 or name in ("loss", "served_tokens"))):
                raise BadInput(f"{name} is {value}, expected a positive number.")
        if self.served_tokens < 0:
            raise BadInput(f"served_tokens is {self.served_tokens}, expected a number of at least 0.")
        if self.flops is None and self.loss is None:
            raise BadInput("there is neither a budget nor a loss to reach: give --flops 1e21 or --loss 2.5.")
        if self.flops is not None and self.loss is not None:
            raise BadInput("--flops asks what a budget reaches and --loss what a loss costs: give one of them.")
        if self.params is not None and self.tokens is not None:
            raise BadInput("--params and --tokens are both given, which leaves nothing to find: leave out one of them.")

    def solve(
        self, fit: LossFit, setting: Mapping[str, Any], factor: np.ndarray | float = 1.0
    ) -> tuple[np.ndarray, np.ndarray, bool]:
        """ln N and ln D for every row of constants, and whether the loss of row 0 is lower far from them.

        Args:
          fit: with rows of constants.
          setting: the other inputs, of `plane.setting_of`.
          factor: of the loss to be reached, a number or [rows].
        """
        if self.loss is None and self.params is None and self.tokens is None:
            return plane.spend(fit, setting, self.flops, self.served_tokens)
        if self.loss is None:
            return *self._rest(len(fit.rows())), False
        if self.params is None and self.tokens is None:
            return *plane.reach(fit, setting, self.loss * factor, self.served_tokens), False
        return *plane.reach_with(fit, setting, self.loss * factor, self.params, self.tokens), False

    def _rest(self, rows: int) -> tuple[np.ndarray, np.ndarray]:
        """ln N and ln D of what a budget leaves to the one of them that is not fixed."""
        assert self.flops is not None
        if self.tokens is not None:
            params, tokens = self.flops / (6 * self.tokens + 2 * self.served_tokens), self.tokens
        else:
            assert self.params is not None
            params, tokens = self.params, self.flops / (6 * self.params) - self.served_tokens / 3
        if not tokens > 0:
            raise BadInput(
                f"{self.flops:.3g} FLOP are less than N {short(params)} needs for its answers, "
                f"{short(self.served_tokens)} tokens at 2·N FLOP: give more --flops, fewer --params or fewer "
                "--served-tokens."
            )
        return np.full(rows, np.log(params)), np.full(rows, np.log(tokens))

    def require(self, fit: LossFit, setting: Mapping[str, Any], answer: float) -> None:
        """`BadInput` with the reason why nothing answers a question, where `answer` is not finite."""
        if np.isfinite(answer):
            return
        if self.loss is None:
            raise BadInput(
                f"the loss of {fit.law} with these constants has no minimum {self.words}: stay closer to its data, or "
                "fit it to runs that vary N and D separately."
            )
        least = plane.lowest_loss(fit, setting, self.params, self.tokens)
        sizes = {"N": self.params, "D": self.tokens}
        at = "".join(f" with {name} {short(value)}" for name, value in sizes.items() if value is not None)
        if self.loss <= least:
            raise BadInput(
                f"the law {fit.law} with these constants reaches no loss below {least:.4g}{at}, the loss asked for is "
                f"{self.loss:g}: give a higher --loss{' or leave out --params and --tokens' if at else ''}."
            )
        raise BadInput(f"the law {fit.law} has a loss of {self.loss:g} at no size{at}: give a lower --loss.")
