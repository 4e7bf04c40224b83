"""Work on many arrays, in chunks that fit into memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]

ELEMENTS = 4_000_000
"""Numbers that a chunk holds at most, unless one array alone has more."""


def chunks(count: int, size: int) -> list[Indices]:
    """Split the numbers of ``count`` arrays of ``size`` elements each into chunks."""
    return np.array_split(np.arange(count), min(count, 1 + count * size // ELEMENTS))
