"""Several validation losses of the same runs, fitted by one law of the mixture: their weighted mean and its optimum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxlaws.errors import BadInput, unknown
from jaxlaws.fitting.result import LossFit
from jaxlaws.inputs import INPUTS

if TYPE_CHECKING:
    from jaxlaws.records.table import Runs


class Mixture(NamedTuple):
    """Shares of the training data.

    Attributes:
      shares: domain → share; they sum to 1.
      loss: weighted mean of the losses there, nats a token.
      losses: target → its loss there.
    """

    shares: Mapping[str, float]
    loss: float
    losses: Mapping[str, float]


@dataclass(frozen=True)
class Domains:
    """One fit for each target of the same runs.

    Attributes:
      fits: target → fit of a law that reads shares and nothing else.
    """

    fits: Mapping[str, LossFit]

    def at(self, shares: Mapping[str, float], weights: Mapping[str, float] | None = None) -> Mixture:
        """The losses of a mixture and their mean Σ_i s_i L_i.

        Args:
          shares: domain → share; domains that are not named have none.
          weights: target → s_i, divided by their sum; without them all targets count alike.

        Raises:
          BadInput: a domain or target is unknown, a weight is negative, or the shares do not sum to 1.
        """
        from jaxlaws.fitting.predict import predict

        inputs: dict[str, Any] = {self._column: shares}
        losses = {name: float(predict(fit, **inputs).value) for name, fit in self.fits.items()}
        s = self._weights(weights)
        return Mixture(dict(shares), float(s @ list(losses.values())), losses)

    def best(self, weights: Mapping[str, float] | None = None) -> Mixture:
        """The mixture with the lowest weighted mean among those whose every share lies in the range of the runs.

        The mean of exponential terms is convex in the shares, so that the minimum over the simplex is the only one.

        Args: see `at`.
        """
        import jax
        import jax.numpy as jnp
        from scipy.optimize import minimize

        fits, s = list(self.fits.values()), self._weights(weights)
        law = fits[0].model
        symbol = law.inputs[0]

        def mean(r):
            return sum(weight * fit.model.predict(fit.params, {symbol: r}) for weight, fit in zip(s, fits, strict=True))

        bounds = [fits[0].ranges[f"{self._column}.{part}"] for part in law.parts]
        low, high = np.array(bounds).T
        start = low + (high - low) * (1 - low.sum()) / (high - low).sum()
        with jax.enable_x64(True):
            value_and_slope = jax.jit(jax.value_and_grad(mean))
            optimum = minimize(
                lambda r: tuple(map(np.asarray, value_and_slope(jnp.asarray(r)))),
                start,
                jac=True,
                bounds=bounds,
                constraints={"type": "eq", "fun": lambda r: r.sum() - 1, "jac": np.ones_like},
                method="SLSQP",
                options={"ftol": 1e-12, "maxiter": 500},
            )
        shares = np.clip(optimum.x, low, high)
        return self.at(dict(zip(law.parts, (shares / shares.sum()).tolist(), strict=True)), weights)

    @property
    def _column(self) -> str:
        return INPUTS[next(iter(self.fits.values())).model.inputs[0]].column

    def _weights(self, weights: Mapping[str, float] | None) -> np.ndarray:
        for name, value in (weights or {}).items():
            if name not in self.fits:
                raise unknown("target", name, self.fits)
            if not (np.isfinite(value) and value >= 0):
                raise BadInput(f"the weight of {name} is {value}, expected a number of at least 0.")
        s = np.array([1.0 if weights is None else weights.get(name, 0.0) for name in self.fits])
        if not s.sum() > 0:
            raise BadInput("every weight is 0, expected one above 0.")
        return s / s.sum()


def fit_domains(law: str, runs: Runs, targets: Sequence[str] | None = None, **options: Any) -> Domains:
    """Fit a law of the mixture to several validation losses of the same runs.

    Args:
      law: of which shares of domains are the one input, such as `mixing`.
      runs: with columns `share.NAME` and `val_loss.NAME`.
      targets: names of the losses; all of them without it.
      **options: of `jaxlaws.fitting.fit.fit`.

    Raises:
      BadInput: the law reads anything else, or the runs state no such losses.
    """
    from jaxlaws.fitting.fit import fit
    from jaxlaws.laws.table import get

    inputs = get(law).inputs
    if len(inputs) != 1 or not INPUTS[inputs[0]].many:
        raise BadInput(f"the law {law} reads {', '.join(inputs)}, expected a law of shares alone, such as mixing.")
    names = tuple(runs.targets if targets is None else targets)
    if not names:
        raise BadInput(f"{runs.source} has no column val_loss.NAME, expected one for each domain.")
    return Domains({name: fit(law, replace(runs, target=name), **options) for name in names})
