"""A truth for every law and inputs to evaluate it at: what the tests of all laws share. A new law is one row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from jaxlaws.inputs import INPUTS
from jaxlaws.laws.law import Law
from jaxlaws.laws.table import LAWS

#: Input → range of its values, drawn log-uniformly; whole numbers where both ends are integers.
RANGES: dict[str, tuple[float, float]] = {
    "N": (1e8, 1e10),
    "D": (1e9, 1e11),
    "B": (1e5, 1e6),
    "steps": (1e3, 1e5),
    "S": (0.3, 7.0),
    "V": (1e-5, 1e-3),
    "lr": (3e-5, 3e-4),
    "peak": (3e-4, 3.1e-4),
    "onset": (1e-4, 3e-4),
    "lr_sum": (1e-3, 3.0),
    "sum_at": (0.05, 0.3),
    "S_phase": (0.01, 1.0),
    "age_phase": (1.0, 1e4),
    "phase_start": (500, 2000),
    "replay": (0.05, 0.8),
    "sum_after": (0.01, 0.3),
    "trace": (0.01, 0.1),
    "reference": (2.0, 3.0),
    "U": (5e8, 2e10),
    "C": (1e18, 1e22),
    "streams": (1.0, 8.0),
    "N_mean": (1e8, 1e10),
    "N_vocab": (2e6, 1e8),
    "bits_w": (3.0, 12.0),
    "bits_a": (3.0, 12.0),
    "bits_kv": (3.0, 12.0),
    "bits_post": (3.0, 6.0),
    "age": (1.0, 1e4),
    "eta": (1e-4, 1e-2),
    "decay": (0.01, 1.0),
    "aspect": (16.0, 256.0),
    "experts": (1.0, 512.0),
    "examples": (100.0, 1e6),
    "bpb": (0.4, 2.0),
    "L": (2.0, 5.0),
    "x": (1e-4, 1e-1),
}


@dataclass(frozen=True)
class Sample:
    """Constants of a law that its data could have.

    Attributes:
      params: by name, or of a preset `variant`.
      parts: of an input of several columns.
      ranges: of inputs, where others than `RANGES` are meant.
      recover: how far a fit to 200 exact losses may be off in any unitless constant, as a share.
    """

    params: Mapping[str, float] | str
    parts: tuple[str, ...] = ()
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    recover: float = 1e-4

    def law(self, name: str) -> Law:
        """The law, with the constants of its parts."""
        law = LAWS[name]
        return law.of_parts(self.parts) if law.of_parts and self.parts else law

    def constants(self, name: str) -> dict[str, float]:
        """Its constants."""
        return dict(LAWS[name].presets[self.params].values) if isinstance(self.params, str) else dict(self.params)

    def inputs(self, name: str, count: int, seed: int = 0) -> dict[str, np.ndarray]:
        """Inputs of a point law [count], [count, parts] or, of a curve law, [count, 4] events."""
        rng, out = np.random.default_rng(seed), {}
        for key in self.law(name).inputs:
            row = INPUTS[key]
            if row.many:
                out[key] = rng.dirichlet(np.ones(len(self.parts)), count)
                continue
            shape = (count,) if row.events is None else (count, 4)
            if key == "drop":
                out[key] = 1e-5 * rng.standard_normal(shape)
            elif key == "log_lr":
                out[key] = np.log(rng.uniform(3e-5, 3e-4, shape))
            else:
                low, high = (self.ranges or RANGES).get(key) or RANGES[key]
                value = np.exp(rng.uniform(np.log(low), np.log(high), shape))
                out[key] = np.rint(value) if isinstance(low, int) and isinstance(high, int) else value
        return out


_CPT = {"L0": 3.0, "A": 0.4, "alpha": 0.6, "C1": 0.3, "C2": 0.4, "B": -0.7, "E": 20.0, "beta": 0.3}
_CPT_SIZE = {"gamma1": 0.2, "gamma2": 0.1, "gamma3": 0.3, "F": 400.0, "C1": 0.003, "C2": 0.04}
_NOISE_MEMORY = {"L0": 3.0, "A": 0.4, "alpha": 0.57, "B": 30.0, "kappa": 0.18, "zeta": 0.57, "C": 1500.0, "beta": 0.2}
_NOISE_MEMORY_SIZE = {"L0": 2.0, "gamma": 0.25, "F": 500.0, "phi": 0.35}

#: Law → its sample.
SAMPLES: dict[str, Sample] = {
    "chinchilla": Sample("epoch"),
    "kaplan": Sample("published"),
    "critical_batch": Sample(
        {"N_c": 6e13, "alpha_N": 0.077, "S_c": 2.1e3, "alpha_S": 0.76, "B_star": 2.1e8, "alpha_B": 0.21}
    ),
    "farseer": Sample("published"),
    "multi_power": Sample("25M"),
    "annealing": Sample("25M"),
    "annealing_size": Sample(
        {"L0": 1.5, "A": 0.9, "alpha": 0.5, "B": 40.0, "beta": 0.25, "C": 0.1, "gamma": 0.1, "lambda": 0.99}
    ),
    "opl": Sample({"L0": 2.9, "A": 0.6, "alpha": 0.5}),
    "lldl": Sample({"L0": 2.9, "A": 0.6, "alpha": 0.5, "B": 400.0}),
    "fsl": Sample({"L0": 2.8, "c1": 0.5, "s": 0.6, "c2": 300.0, "c3": 1.0, "c4": 20.0, "gamma": 0.8}, recover=1e-3),
    "cpt": Sample(_CPT, recover=1e-2),
    "cpt_carried": Sample(_CPT, recover=1e-2),
    "cpt_size": Sample(_CPT | _CPT_SIZE, recover=1e-2),
    "cpt_replay_first": Sample(_CPT | {"a1": 0.06, "a2": 3.0}, recover=1e-2),
    "cpt_replay_second": Sample(_CPT | {"B": -0.05, "a1": 0.06, "a2": 3.0}, recover=1e-2),
    "noise_law": Sample({"alpha": 0.26}),
    "noise_memory": Sample(_NOISE_MEMORY, recover=1e-2),
    "noise_memory_reduced": Sample({"L0": 3.0, "A": 0.4, "alpha": 0.57, "B": 25.0, "C": 1500.0}, recover=1e-2),
    "noise_memory_size": Sample({**_NOISE_MEMORY, **_NOISE_MEMORY_SIZE, "B": 0.15}, recover=1e-2),
    "noise_memory_batch": Sample({**_NOISE_MEMORY, "B": 5e4}, recover=1e-2),
    "noise_memory_size_batch": Sample({**_NOISE_MEMORY, **_NOISE_MEMORY_SIZE, "B": 250.0}, recover=1e-2),
    "bound": Sample({"L0": 2.8, "A": 0.5, "B": 3.0, "alpha": 0.4}),
    "routed": Sample({"a": -0.083, "b": -0.12, "c": 0.01, "d": 1.11, "E_s": 2.1, "E_m": 240.0}),
    "mixing": Sample({"c": 1.5, "t_web": 0.3, "t_code": 1.1, "t_books": -0.4}, parts=("web", "code", "books")),
    "three_term": Sample(
        {"E": 1.8, "A": 480.0, "B": 30.0, "C": 90.0, "alpha": 0.35, "beta": 0.5, "gamma": 0.6},
    ),
    "broken_power": Sample({"a": 0.5, "b": 0.3, "c0": 0.3, "c1": -0.9, "d1": 3e-3, "f1": 0.3}),
    "broken_power_2": Sample(
        {"a": 2.0, "b": 0.3, "c0": 0.4, "c1": -0.4, "d1": 1e-3, "f1": 0.2, "c2": -0.9, "d2": 2e-2, "f2": 0.2}
    ),
    "rectified": Sample({"B": 900.0, "D_l": 250.0, "beta": 0.6, "E": 0.8}),
    "task_bits": Sample({"E": 0.4, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658}),
    "task_accuracy": Sample({"a": 0.7, "k": -5.0, "x_0": 0.9, "b": 0.25}),
    "task_error": Sample({"epsilon": 0.85, "k": 2.1, "gamma": 0.7}),
    "mist": Sample(
        {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658}
        | {"eta_q": 0.01, "eta_0": 1.8, "eta_N": -0.7, "eta_D": 0.3, "B_q": 0.008, "B_0": 0.6, "B_N": 0.05}
        | {"B_D": 0.57, "decay_q": 0.003, "decay_0": 0.3, "decay_N": 0.1, "decay_D": -0.15}
        | {"aspect_q": 0.004, "aspect_0": 10.0, "aspect_N": 0.1, "aspect_D": 0.01}
    ),
    "mist_lr_batch": Sample(
        {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658}
        | {"eta_q": 0.01, "eta_0": 1.8, "eta_N": -0.7, "eta_D": 0.3, "B_q": 0.008, "B_0": 0.6, "B_N": 0.05, "B_D": 0.57}
    ),
    "power_of_params": Sample({"E": 1.9, "A": 480.0, "alpha": 0.35}),
    "power_of_tokens": Sample({"E": 1.9, "A": 2000.0, "alpha": 0.37}),
    "power_of_flops": Sample({"E": 1.9, "A": 1500.0, "alpha": 0.16}),
    "data_constrained": Sample("muennighoff"),
    "parallel": Sample({"E": 1.3, "A": 50.0, "alpha": 0.2, "k": 0.35}),
    "mean_params": Sample({"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658}),
    "vocabulary": Sample({"E": 6.0, "A1": 150.0, "A2": 40.0, "B": 2000.0, "alpha1": 0.3, "alpha2": 0.25, "beta": 0.36}),
    "precision": Sample(
        {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658}
        | {"gamma_w": 2.7, "gamma_a": 2.2, "gamma_kv": 0.96, "C_T": 0.06, "gamma_D": 0.5, "gamma_N": 0.32}
        | {"gamma_post": 0.6, "C_w": 0.4, "C_a": 0.5, "C_kv": 0.8}
    ),
}
