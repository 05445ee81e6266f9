"""The run that a command of `jaxlaws train` trains, composed as that command composes it. No JAX."""

from __future__ import annotations

from collections.abc import Sequence

from jaxlaws.cli import train
from jaxlaws.config import RunConfig, check, run_config
from jaxlaws.overrides import is_plain, on_copy, resolved
from jaxlaws.unread import refuse_unread


def composed(texts: Sequence[str]) -> RunConfig:
    """The run of KEY=VALUE texts, checked as a whole.

    Raises:
      BadInput: no such run.
    """
    parsed = train.checked(texts)
    plain = [item for item in parsed if is_plain(item, train.options)]
    base = train._base(tuple(item.input_line for item in parsed if item not in plain))
    run = run_config(resolved(on_copy(base, plain)))
    check(run)
    refuse_unread([run], [item.key_or_group for item in parsed])
    return run
