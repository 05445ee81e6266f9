"""Asking a question of a table before anything is computed from it: an answer of the user, or a refusal."""

from __future__ import annotations

from dataclasses import replace

from jaxlaws.errors import BadInput
from jaxlaws.records.table import Runs


def ask(runs: Runs, question: str, what: str, remedy: str) -> Runs:
    """The runs with the doubt noted, where the user answers for it; `BadInput` with cause and remedy otherwise.

    Args:
      runs: what the doubt is about.
      question: a name of `jaxlaws.records.questions.QUESTIONS`.
      what: clause without a final stop: what is seen, and its likely cause.
      remedy: clause without a final stop: what to do.
    """
    if question not in runs.assume:
        raise BadInput(f"{runs.source}: {what}: {remedy}; if it is as it should be, add --assume {question}.")
    return noted(runs, question, what)


def noted(runs: Runs, question: str, what: str) -> Runs:
    """The runs that remember what the user answers for, which a fit stores and its reader is told."""
    return replace(runs, doubts={**runs.doubts, question: what})
