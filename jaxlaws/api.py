"""What `import jaxlaws` offers: fits and advice from whatever holds runs. Each loads only what it needs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from jaxlaws.fitting.result import LossFit
    from jaxlaws.laws.call import FittedLaw
    from jaxlaws.recommender.hyperfit import HyperFit
    from jaxlaws.recommender.recommendation import Recommendation
    from jaxlaws.records.table import Runs


def law(
    name: str | os.PathLike[str] | LossFit,
    params: Mapping[str, Any] | None = None,
    convention: Mapping[str, str] = MappingProxyType({}),
) -> FittedLaw:
    """A law with its constants as a function, which JAX differentiates, compiles and batches.

    `law("multi_power:25M")(lr)` is the loss at the end of a schedule, `law("chinchilla:epoch")(N=7e9, D=1.4e12)` that
    of a model, as `jaxlaws predict` computes them.

    Args:
      name: a preset `LAW:VARIANT`, a fit or its file; or a law, as `jaxlaws laws` lists them, with `params`.
      params: constants by name, of a law.
      convention: what they mean, where it is not what the law says: {"warmup_ld": "excluded"}.

    Raises:
      BadInput: there is no such law, preset or file, or the constants are not those of the law.
    """
    from jaxlaws.errors import BadInput, unknown
    from jaxlaws.fitting.predict import open_fit
    from jaxlaws.laws.call import FittedLaw
    from jaxlaws.laws.table import LAWS, get

    if not (isinstance(name, str) and name in LAWS):
        if params is not None:
            raise BadInput(f"params are given with {name}, which has constants: give the name of a law with them.")
        fit = open_fit(os.fspath(name) if isinstance(name, os.PathLike) else name)
        return FittedLaw(fit.model, dict(fit.params), {**fit.convention, **convention})
    the_law = get(str(name), convention)
    for constant in params or ():
        if constant not in the_law.names:
            raise unknown(f"constant of {name}", constant, the_law.names)
    missing = [constant for constant in the_law.names if constant not in (params or {})]
    if missing or params is None:
        presets = f", or take a preset: {', '.join(f'{name}:{one}' for one in the_law.presets)}" * bool(the_law.presets)
        raise BadInput(f"the law {name} has no constants {', '.join(missing)}: give them as params={{…}}{presets}.")
    return FittedLaw(
        the_law, {constant: params[constant] for constant in the_law.names}, {**the_law.convention, **convention}
    )


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
