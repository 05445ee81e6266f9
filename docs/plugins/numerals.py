"""Data: the whole numbers written one after another, as bytes."""

import numpy as np

from jaxlaws.data.config import READS
from jaxlaws.data.tokens import SOURCES, windows


def numerals(config):
    """Half a million numbers, cut into windows of `seq_len` tokens, some of them for validation."""
    text = " ".join(map(str, range(500_000))).encode()
    return windows(np.frombuffer(text, np.uint8), config)


READS["numerals"] = ("source", "seq_len", "vocab", "val_fraction")
SOURCES["numerals"] = numerals
