"""One status for every fit of a law: what the checks found, and whether the fit may answer.

The checks live beside what they look at (`jaxlaws.fitting.verdict`, `jaxlaws.recommender.verdict`); each gives
`Finding`s, and `decide` makes one status of them. No numpy, no JAX: `jaxlaws recommend` reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from jaxlaws.errors import Untrusted

#: Every status, the best first, and what it says of a fit.
STATUSES = {
    "converged": "the data identify every constant, and the law describes what it was not fitted to",
    "weak": "usable with care: a warning says what is missing and what to run",
    "misfit": "the law does not describe these data, or the data cannot be what they are taken for",
    "unidentified": "the data leave constants open: other values describe them as well",
    "not_converged": "the search did not end at an optimum",
}
#: Statuses whose numbers are given without `--force`.
TRUSTED = ("converged", "weak")


@dataclass(frozen=True)
class Finding:
    """One thing that a check found: the status that it asks for, what it is, and what to do about it.

    `what` and `remedy` are clauses without a final stop, such as "every run has one learning rate" and
    "add runs at other learning rates".
    """

    status: str
    what: str
    remedy: str

    def __post_init__(self) -> None:
        assert self.status in STATUSES, self.status

    def __str__(self) -> str:
        return f"{self.what}: {self.remedy}."

    def to_json(self) -> dict[str, str]:
        """Plain data."""
        return asdict(self)


def decide(findings: Sequence[Finding]) -> str:
    """The status of a fit: the gravest that a finding asks for, `converged` where there is none."""
    order = list(STATUSES)
    return max((finding.status for finding in findings), key=order.index, default="converged")


class _HasStatus(Protocol):
    @property
    def status(self) -> str: ...
    @property
    def findings(self) -> Sequence[Any]: ...


def require_trusted(fit: _HasStatus, name: str, force: bool) -> list[str]:
    """Let a fit answer: nothing to add where it is trusted, a label for the answer where it is forced.

    Args:
      fit: anything with `status` and `findings` (dictionaries as `Finding.to_json` gives them).
      name: of the fit, for people.
      force: whether the user asked for an answer in spite of the status.

    Returns:
      Warnings to put first in the answer.

    Raises:
      Untrusted: the status is not one of `TRUSTED`, and `force` is not given.
    """
    if fit.status in TRUSTED:
        return []
    reason = _reason(fit)
    if not force:
        raise Untrusted(f"the fit {name} is {fit.status.replace('_', ' ')} ({reason}): mend that, or use --force.")
    return [f"FORCED: the fit is {fit.status.replace('_', ' ')} ({reason}); these numbers are not to be trusted."]


def _reason(fit: _HasStatus) -> str:
    grave = [f"{item['what']}, {item['remedy']}" for item in fit.findings if item["status"] == fit.status]
    return "; ".join(grave[:2]) or STATUSES.get(fit.status, "unknown status")
