"""Every point of Chinchilla's isoFLOP figure, with those that the replications leave out."""

from jaxlaws.records.published.isoflop import load_all as load

__all__ = ["load"]
