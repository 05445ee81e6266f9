"""A law along schedules with an input of its own, the tokens a model was warm-started with: a variant of `bound`."""

from jaxlaws.inputs import INPUTS, Input
from jaxlaws.laws.curves.bound import LAW as BOUND
from jaxlaws.laws.law import Parameter
from jaxlaws.laws.variant import variant

INPUTS["seen"] = Input("tokens seen before the run", column="tokens_before", unit="seen", zero=True)


def shift(params, inputs):
    """−K · seen: what a model that has seen tokens before is ahead by, in nats."""
    return -params["K"] * inputs["seen"]


LAW = variant(
    BOUND,
    name="warm_start",
    formula=f"{BOUND.formula} - K seen",
    reference="an example of docs/laws.md",
    inputs=(*BOUND.inputs, "seen"),
    parameters=(Parameter("K", "nats gained by a token seen before", units={"seen": -1}),),
    shift=shift,
)
