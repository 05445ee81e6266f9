"""The routed models of the Step Law authors, with the activated parameters as N (Li et al. 2025, arXiv 2503.04715)."""

from jaxlaws.records.published.step_law import load_active as load

__all__ = ["load"]
