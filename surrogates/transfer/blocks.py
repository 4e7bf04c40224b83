"""Work on many arrays a few at a time."""

from __future__ import annotations

import numpy as np

from evonas.surrogates.transfer.priors import Indices

ELEMENTS = 4_000_000
"""How many are held at once."""


def blocks(count: int, size: int) -> list[Indices]:
    """Split arrays, ``count`` of ``size`` elements each, so that some can be held at once."""
    return np.array_split(np.arange(count), min(count, 1 + count * size // ELEMENTS))
