"""The runs of `noise_law` whose LR changes, each with the loss of its reference of constant LR at equal LR sums."""

from jaxlaws.records.published.noise_law import load_pairs as load

__all__ = ["load"]
