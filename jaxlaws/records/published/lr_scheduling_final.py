"""WSD runs over peak LR × cooldown × horizon, each with a curve of one point: the loss after the last step."""

from jaxlaws.records.published.lr_scheduling import load_final as load

__all__ = ["load"]
