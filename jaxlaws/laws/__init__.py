"""The laws, one file each, data plus pure functions of constants; they know no fitter, no table of runs and no model.

    >>> import jaxlaws
    >>> print(jaxlaws.laws.LAWS["chinchilla"].formula)
    L = E + A/N^alpha + B/D^beta

`LAWS` is name → law; the others are what a law of your own is made of (docs/laws.md).
"""

from jaxlaws.inputs import INPUTS, Input
from jaxlaws.laws.law import Coordinates, Law, Parameter, Preset
from jaxlaws.laws.table import LAWS
from jaxlaws.laws.variant import variant

__all__ = ["INPUTS", "LAWS", "Coordinates", "Input", "Law", "Parameter", "Preset", "variant"]
