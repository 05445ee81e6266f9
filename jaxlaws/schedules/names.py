"""The schedules of commands by name, and the fields of each. No numpy, since `jaxlaws recommend` imports it."""

from __future__ import annotations

#: Most steps of a schedule: more would take gigabytes, and are a mistake.
MOST_STEPS = 10_000_000
_WARMUP = ("warmup_fraction", "warmup_steps", "warmup_shape")
_FLOOR = ("floor", "floor_lr")
_DECAY = (*_FLOOR, "cooldown", "shape")
#: Families whose file has every step, the warm-up included → the fields that a spec of them may name.
FROM_FILE: dict[str, tuple[str, ...]] = {
    "refined": ("file", "smooth", "exponent"),
    "table": ("file",),
    "optax": ("file",),
}
#: Family → the fields that a spec of it may name, without `OF_THE_RUN`.
NAMES: dict[str, tuple[str, ...]] = FROM_FILE | {
    name: (*_WARMUP, *fields)
    for name, fields in {
        "constant": (),
        "cosine": _FLOOR,
        "linear": _FLOOR,
        "rex": _FLOOR,
        "uba": (*_FLOOR, "phi"),
        "wsd": _DECAY,
        "inverse_sqrt": _DECAY,
        "wsd_cycles": (*_DECAY, "cycles", "growth"),
        "cosine_restarts": (*_FLOOR, "cycles", "growth"),
        "step": ("milestones", "values"),
        "infinite": (*_FLOOR, "descent", "level", "cooldown"),
        "power": (*_DECAY, "a", "b"),
    }.items()
}
#: Fields of the power law that its config takes from the run.
OF_THE_RUN = ("batch_sequences", "seq_len")
