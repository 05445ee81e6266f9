"""Asking a question of a table before anything is computed from it: an answer of the user, or a refusal.

Where `Runs.refusals` is a tuple, what would be refused is collected there instead, so that a table can be shown with
all that is wrong with it.
"""

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
        return refuse(runs, f"{what}: {remedy}; if it is as it should be, add --assume {question}.", question)
    return noted(runs, question, what)


def refuse(runs: Runs, what: str, question: str = "") -> Runs:
    """Raise `BadInput` for what no fit can use; where refusals are collected, the runs that remember it.

    Args:
      runs: what is refused.
      what: sentence with cause and remedy.
      question: the name of the question that the user could answer, if any.
    """
    sentence = f"{runs.source}: {what}"
    if runs.refusals is None:
        raise BadInput(sentence)
    return replace(runs, refusals=(*runs.refusals, (question, sentence)))


def noted(runs: Runs, question: str, what: str) -> Runs:
    """The runs that remember what the user answers for, which a fit stores and its reader is told."""
    return replace(runs, doubts={**runs.doubts, question: what})
