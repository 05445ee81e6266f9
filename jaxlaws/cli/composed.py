"""The run that a command of `jaxlaws train` trains, composed as that command composes it. No JAX."""

from __future__ import annotations

from collections.abc import Sequence

from jaxlaws.config import RunConfig, run_config
from jaxlaws.request import checked
from jaxlaws.unread import refuse_unread


def composed(texts: Sequence[str]) -> RunConfig:
    """The run of KEY=VALUE texts, checked as a whole.

    Raises:
      BadInput: no such run.
    """
    request = checked(texts)
    run = run_config(request.config)
    refuse_unread([run], request.given)
    return run
