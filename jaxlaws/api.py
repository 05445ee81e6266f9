"""What `import jaxlaws` offers: fits and advice from whatever holds runs. Each loads only what it needs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from jaxlaws.fitting.result import LossFit
    from jaxlaws.recommender.hyperfit import HyperFit
    from jaxlaws.recommender.recommendation import Recommendation
    from jaxlaws.records.table import Runs


def fit(law: str, runs: Runs | pd.DataFrame | str | os.PathLike[str], **options: Any) -> LossFit | HyperFit:
    """Fit a law to runs: a law of the loss gives a `Fit`, a law of LR and batch (`step_law`) a `HyperFit`.

    Args:
      law: name, as `jaxlaws laws` lists them.
      runs: of `jaxlaws.open_runs`, or what that opens without further words: a frame, a file, a sweep, a tracker.
      **options: of `jaxlaws.fitting.fit.fit` or `jaxlaws.recommender.estimate.estimate`.

    Raises:
      BadInput: the law is unknown, the runs cannot be understood, or they are too few.
    """
    from jaxlaws.errors import unknown
    from jaxlaws.laws.table import LAWS
    from jaxlaws.recommender.estimate import HYPER_LAWS, estimate

    if law in HYPER_LAWS:
        return estimate(_runs(runs), law=law, **options)
    if law not in LAWS:
        raise unknown("law", law, (*LAWS, *HYPER_LAWS))
    from jaxlaws.fitting.fit import fit as fit_loss

    return fit_loss(law, _runs(runs, curves=LAWS[law].kind == "curve"), **options)


def recommend(
    *, law: str | os.PathLike[str] | HyperFit | Runs | pd.DataFrame | None = None, **asked: Any
) -> Recommendation:
    """The peak LR and batch for a run of N parameters and D tokens, from published runs or your own.

    Args:
      law: a preset, a fit or its file; runs or a frame of them, to which `step_law` then is fitted.
      **asked: of `jaxlaws.recommender.answer.recommend`: params, tokens and the rest.

    Raises:
      BadInput: the question makes no sense, or the law is not defined for it.
      Untrusted: the fit is not to be trusted or the question is absurd, and `force` is not given.
    """
    from jaxlaws.recommender.answer import recommend as answer
    from jaxlaws.recommender.hyperfit import HyperFit

    if law is None:
        return answer(**asked)
    if isinstance(law, str | os.PathLike | HyperFit):
        return answer(law=law, **asked)
    from jaxlaws.recommender.estimate import estimate

    return answer(law=estimate(_runs(law)), **asked)


def _runs(source: Runs | pd.DataFrame | str | os.PathLike[str], curves: bool = False) -> Runs:
    from jaxlaws.records.source import open_runs
    from jaxlaws.records.table import Runs

    return source if isinstance(source, Runs) else open_runs(source, curves=curves)
