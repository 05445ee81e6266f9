"""Generators of overrides: keys that there are and are not, with values that mean something, nothing or harm."""

from hypothesis import strategies as st

from jaxlaws.config import TrainConfig, keys

KEYS = sorted(keys(TrainConfig))
_WORDS = (
    "1 0 -1 3 1.5 1e300 nan inf null true ??? ${tokens} ${nope} ${oc.env:NOPE} ${ [ {a [1,2] {a:1} 500k "
    '7B \'x "x" cosine wsd adamw sgd stdlib mup auto none 1,2 choice(1,2) range(1,4) range(0,1,0) '
    "range(1,1e9) interval(1e-3,1e-2) interval(1,0) logspace(1e-3,1e-2,3) logspace(0,1,2) glob(*) tag(a) "
    "sort(3,1) int(x) [.5,.7] .inf "
)
VALUES = _WORDS.split()


def values() -> st.SearchStrategy[str]:
    """What stands behind the = of an override."""
    numbers = st.one_of(st.integers().map(str), st.floats().map(repr))
    return st.one_of(st.sampled_from(VALUES), numbers, st.text(max_size=12), st.just("9" * 5000), st.just("[" * 300))


def overrides() -> st.SearchStrategy[str]:
    """One argument of `jaxlaws train`: mostly KEY=VALUE."""
    prefix = st.sampled_from([""] * 12 + ["+", "++", "~", "hydra.", "-", "--"])
    key = st.one_of(st.sampled_from(KEYS), st.sampled_from(KEYS), st.text(max_size=8), st.just("model@a"))
    pairs = st.tuples(prefix, key, st.just("="), values()).map("".join)
    return st.one_of(pairs, pairs, pairs, st.text(max_size=20))
