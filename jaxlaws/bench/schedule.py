"""The best schedule for the published Multi-Power Law against optimisers for which every step is a variable."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxlaws.bench import Row, median_seconds
from jaxlaws.designs.objective import final_loss
from jaxlaws.designs.schedule import Design, design
from jaxlaws.fitting.predict import open_fit
from jaxlaws.laws.call import FittedLaw

#: The published setting, with the authors' own warm-up from 0.
STEPS, WARMUP, PEAK = 24_000, 2160, 3e-4
#: Loss that the authors' 10,000 Adam steps reach.
PUBLISHED = 3.149677
_ADAM_STEPS, _ADAM_RATE = 10_000, 1e-3
_LONG = (100_000, 1_000_000)


def rows(repeats: int = 5) -> list[Row]:
    """Seconds of a warm design and the loss that it reaches, beside Adam and L-BFGS-B on all 21,840 drops."""
    from scipy.optimize import minimize

    _free(0)
    seconds, best = median_seconds(lambda: _free(0), repeats)
    ends = [value for seed in range(10) for value in _free(seed).starts]
    note = f"loss ours {best.loss[0]:.6f}, authors {PUBLISHED}, baseline {{:.6f}}"
    value, curve = _full()

    def scipys():
        with jax.enable_x64(True):
            start = _from_linear(STEPS - WARMUP)
            bounds = [(0.0, None)] * len(start)
            options = {"maxiter": 1000, "maxfun": 2000, "ftol": 1e-15, "gtol": 1e-11}
            return minimize(
                lambda y: [np.asarray(part) for part in value(y)],
                start,
                jac=True,
                method="L-BFGS-B",
                bounds=bounds,
                options=options,
            ).x

    adam = _adam(value)
    adam(1)
    out = []
    for name, work in (("scipy L-BFGS-B, all drops", scipys), ("optax Adam, 10,000 steps", lambda: adam(_ADAM_STEPS))):
        base, y = median_seconds(work, 1)
        theirs = final_loss(_fit(), np.r_[PEAK * _warm(), curve(y)], WARMUP)
        out.append(Row("multi_power:25M, 24,000 steps: the free curve", seconds, base, name, note.format(theirs)))
    out[0] = out[0]._replace(
        note=f"{out[0].note}; {len(ends)} random starts end within {np.ptp(ends):.1e} of each other"
    )
    smooth = design(_fit(), STEPS, PEAK, WARMUP, knots=8, warm=_warm())
    seconds, smooth = median_seconds(lambda: design(_fit(), STEPS, PEAK, WARMUP, knots=8, warm=_warm()), repeats)
    out.append(Row("the same, a smooth decay of 8 knots", seconds, note=f"loss {smooth.loss[0]:.6f}"))
    for steps in _LONG:
        design(_fit(), steps, PEAK, WARMUP)
        seconds, long = median_seconds(partial(design, _fit(), steps, PEAK, WARMUP), repeats)
        out.append(Row(f"the free curve, {steps:,} steps", seconds, note=f"loss {long.loss[0]:.6f}"))
    return out


def _fit():
    """The published constants; the LR changes of the warm-up are left out, as in the authors' optimiser."""
    fit = open_fit("multi_power:25M")
    return replace(fit, convention={**fit.convention, "warmup_ld": "excluded"})


def _warm() -> np.ndarray:
    return np.linspace(0.0, 1.0, WARMUP)


def _free(seed: int) -> Design:
    return design(_fit(), STEPS, PEAK, WARMUP, warm=_warm(), seed=seed)


def _full():
    """(value and gradient of the loss, LR curve) of the drops of ln LR [steps]: the free problem as it is."""
    fit, warm = _fit(), PEAK * _warm()
    law = FittedLaw(fit.model, fit.params, fit.convention)

    def value(y):
        return law(jnp.concatenate([warm, PEAK * jnp.exp(-jnp.cumsum(y))]), warmup_steps=WARMUP)

    return jax.jit(jax.value_and_grad(value)), lambda y: PEAK * np.exp(-np.cumsum(np.asarray(y)))


def _from_linear(drops: int) -> np.ndarray:
    return -np.diff(np.log(np.r_[1.0, np.linspace(1.0, 0.01, drops)]))


def _adam(value):
    """Adam with a cosine-decayed rate, projected to drops that are not negative."""

    def run(start, steps):
        rule = optax.adam(optax.cosine_decay_schedule(_ADAM_RATE, _ADAM_STEPS))

        def step(_, state):
            y, moments = state
            update, moments = rule.update(value(y)[1], moments)
            return jnp.maximum(optax.apply_updates(y, update), 0.0), moments

        return jax.lax.fori_loop(0, steps, step, (start, rule.init(start)))[0]

    program = jax.jit(run)

    def work(steps):
        with jax.enable_x64(True):
            return np.asarray(program(jnp.asarray(_from_linear(STEPS - WARMUP)), steps))

    return work
