"""What `import jaxlaws` offers: fits and advice from whatever holds runs. Each loads only what it needs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from jaxlaws.errors import BadInput, unknown
from jaxlaws.text import brief

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from jaxlaws.designs.schedule import Design
    from jaxlaws.fits import Fit
    from jaxlaws.fitting.result import LossFit
    from jaxlaws.laws.call import FittedLaw
    from jaxlaws.laws.law import Law
    from jaxlaws.recommender.hyperfit import HyperFit
    from jaxlaws.recommender.recommendation import Recommendation
    from jaxlaws.records.arrays import Data

Progress = Callable[[str, int, int], None]


def law(
    name: str | os.PathLike[str] | LossFit | Law,
    params: Mapping[str, Any] | None = None,
    convention: Mapping[str, str] = MappingProxyType({}),
) -> FittedLaw:
    """A law with its constants as a function, which JAX differentiates, compiles and batches.

    It gives what `jaxlaws predict` computes.

        >>> import jax, jaxlaws
        >>> law = jaxlaws.law("multi_power:25M")
        >>> lr = jaxlaws.schedule("wsd", steps=2000, peak_lr=3e-4, warmup_steps=100)
        >>> loss, slope = jax.value_and_grad(law)(lr)
        >>> print(f"{loss:.3f} nats", slope.shape)
        3.801 nats (2000,)
        >>> print(f'{jaxlaws.law("chinchilla:epoch")(N=7e9, D=1.4e12):.4f}')
        2.0739

    Args:
      name: a preset `LAW:VARIANT`, a fit or its file; or a law, as `jaxlaws laws` lists them or of your own, with
        `params`.
      params: constants by name, of a law.
      convention: what they mean, where it is not what the law says: {"warmup_ld": "excluded"}.

    Raises:
      BadInput: there is no such law, preset or file, or the constants are not those of the law.
    """
    import numpy as np

    from jaxlaws.fitting.predict import open_fit
    from jaxlaws.laws.call import FittedLaw, is_concrete, numbers
    from jaxlaws.laws.law import Law
    from jaxlaws.laws.table import LAWS, add, get

    for what, names in {"params": params or {}, "convention": convention}.items():
        if not isinstance(names, Mapping):
            raise BadInput(f"{what} is {brief(names)}, expected a mapping of names to values.")
    if isinstance(name, Law):
        add(name)
        name = name.name
    if not (isinstance(name, str) and name in LAWS):
        if params is not None:
            raise BadInput(f"params are given with {name}, which has constants: give the name of a law with them.")
        fit = open_fit(os.fspath(name) if isinstance(name, os.PathLike) else name)
        return FittedLaw(fit.model, dict(fit.params), {**fit.convention, **convention})
    the_law = get(str(name), convention)
    if the_law.several and not the_law.parts:
        column = the_law.several[0]
        raise BadInput(f"the law {name} has constants by {column}: give convention={{'{column}': 'NAME,NAME'}}.")
    for constant in params or ():
        if constant not in the_law.names:
            raise unknown(f"constant of {name}", constant, the_law.names)
    missing = [constant for constant in the_law.names if constant not in (params or {})]
    if missing or params is None:
        presets = f", or take a preset: {', '.join(f'{name}:{one}' for one in the_law.presets)}" * bool(the_law.presets)
        raise BadInput(f"the law {name} has no constants {', '.join(missing)}: give them as params={{…}}{presets}.")
    for constant, value in params.items():
        array = numbers(constant, value)
        if array.ndim or (is_concrete(array) and not np.isfinite(array)):
            raise BadInput(f"{constant} is {brief(value)}, expected one finite number: jax.vmap takes several laws.")
    return FittedLaw(
        the_law, {constant: params[constant] for constant in the_law.names}, {**the_law.convention, **convention}
    )


def fit(law: str | Law, data: Data, *, progress: Progress | None = None, **options: Any) -> Fit:
    """Fit a law of the loss, or of LR and batch (`step_law`), to runs.

        >>> import jaxlaws
        >>> jaxlaws.fit("step_law", "runs.csv").status
        'converged'

    Args:
      law: name, as `jaxlaws laws` lists them, or a law of your own, which is added to the table of laws.
      data: of `jaxlaws.open_runs`; what that opens without further words: a frame, a file, a sweep, a tracker; or
        arrays such as {"N": n, "D": d, "loss": loss} (`jaxlaws.records.arrays.runs_of_arrays`).
      progress: called with (stage, done, total) while a law of the loss is fitted.
      **options: of `jaxlaws.fitting.fit.fit` or `jaxlaws.recommender.estimate.estimate`.

    Raises:
      BadInput: the law is unknown or has no such option, the runs cannot be understood, or they are too few.
    """
    from jaxlaws.laws.law import Law
    from jaxlaws.laws.table import LAWS, add
    from jaxlaws.recommender.estimate import HYPER_LAWS, estimate, refuse
    from jaxlaws.records.arrays import as_runs

    if isinstance(law, Law):
        add(law)
        law = law.name
    if not isinstance(law, str) or (law not in LAWS and law not in HYPER_LAWS):
        raise unknown("law", brief(law), fitted_laws())
    if law in HYPER_LAWS:
        refuse(law, options)
        return estimate(as_runs(data), law=law, **options)
    from jaxlaws.fitting.columns import metric_of
    from jaxlaws.fitting.fit import fit as fit_loss

    if progress is not None:
        options["progress"] = progress
    return fit_loss(law, as_runs(data, reads_curves(law), metric_of(LAWS[law])), **options)


def fitted_laws() -> tuple[str, ...]:
    """The names of the laws that `fit` takes."""
    from jaxlaws.laws.table import LAWS
    from jaxlaws.recommender.estimate import HYPER_LAWS

    return (*LAWS, *HYPER_LAWS)


def reads_curves(law: str) -> bool:
    """Whether a law is fitted to losses along runs."""
    from jaxlaws.laws.table import LAWS

    return law in LAWS and LAWS[law].kind == "curve"


def recommend(*, law: HyperFit | Data | None = None, **question: Any) -> Recommendation:
    """The peak LR and batch for a run of N parameters and D tokens, from published runs or your own.

        >>> import jaxlaws
        >>> advice = jaxlaws.recommend(params=7e9, tokens=1.4e12)
        >>> print(f"{advice.peak_lr.value:.2e}, {advice.batch_tokens.value:.2e} tokens a step")
        6.64e-04, 2.81e+06 tokens a step

    Args:
      law: a preset, a fit or its file; runs, a frame or arrays of them, to which `step_law` then is fitted.
      **question: of `jaxlaws.recommender.answer.recommend`: params, tokens and the rest.

    Raises:
      BadInput: the question makes no sense, or the law is not defined for it.
      Untrusted: the fit is not to be trusted or the question is absurd, and `force` is not given.
    """
    from jaxlaws.recommender.answer import recommend as answer
    from jaxlaws.recommender.hyperfit import HyperFit

    if law is None:
        return answer(**question)
    if isinstance(law, str | os.PathLike | HyperFit):
        return answer(law=law, **question)
    from jaxlaws.recommender.estimate import estimate
    from jaxlaws.records.arrays import as_runs

    return answer(law=estimate(as_runs(law)), **question)


def design(
    fit: LossFit | str | os.PathLike[str],
    steps: int | Sequence[int],
    peak_lr: float | tuple[float, float],
    warmup_steps: int = 0,
    **options: Any,
) -> Design:
    """The schedule of the lowest final loss that a fit predicts, for one horizon or several that share a trunk.

        >>> import jaxlaws
        >>> best = jaxlaws.design("multi_power:25M", steps=2000, peak_lr=3e-4, warmup_steps=100, knots=4)
        >>> best.form, best.lr[0].shape
        ('knots(4)', (2000,))

    Args:
      fit: of a law of loss along a schedule, its file or a preset.
      steps: T, warm-up included; or several.
      peak_lr: or the range in which it is free.
      warmup_steps: W, the same for every horizon.
      **options: of `jaxlaws.designs.schedule.design`.

    Raises:
      BadInput: an impossible request, or a fit that no schedule can be designed with.
    """
    from jaxlaws.designs.schedule import design as best_schedule
    from jaxlaws.fitting.predict import open_fit

    law_fit = open_fit(os.fspath(fit) if isinstance(fit, os.PathLike) else fit)
    return best_schedule(law_fit, steps, peak_lr, warmup_steps, **options)


def plot(what: Any, path: str | os.PathLike[str] | None = None) -> Figure:
    """A figure of a fit, a schedule or runs, written to a file (PNG, SVG or PDF) where `path` is given.

        >>> import jaxlaws
        >>> figure = jaxlaws.plot(jaxlaws.schedule("wsd", steps=1000, peak_lr=3e-4), "wsd.png")
        >>> figure = jaxlaws.plot("sweeps/lr_batch")

    Args:
      what: a fit or its file; lr[steps] or a design; or what holds runs: of each a curve, or the loss over peak LR and
        batch in every cell (N, D) where the runs have none.
      path: of the file.

    Raises:
      BadInput: nothing that can be drawn, or a file with another ending.
    """
    from jaxlaws import figures

    return figures.write(path, lambda: _figure(what))


def _figure(what: Any) -> Figure:
    """The figure of `plot`."""
    import numpy as np

    from jaxlaws import figures
    from jaxlaws.fits import Fit
    from jaxlaws.records.arrays import as_runs

    if isinstance(what, str | os.PathLike) and os.fspath(what).endswith(".json"):
        what = Fit.load(os.fspath(what))
    if isinstance(what, Fit):
        return what.figure(None)
    if hasattr(what, "__array__") and not hasattr(what, "columns"):
        what = np.asarray(what)
    if isinstance(what, np.ndarray) or hasattr(what, "lr"):
        lrs = [what] if isinstance(what, np.ndarray) else what.lr
        if any(np.ndim(lr) != 1 or not np.size(lr) or not np.all(np.isfinite(lr)) for lr in lrs):
            raise BadInput("a schedule to draw is expected to have the shape [steps] and a finite LR at every step.")
        return figures.schedules([(f"{len(lr)} steps", np.asarray(lr), 1) for lr in lrs], "steps")
    return figures.runs(as_runs(what))
