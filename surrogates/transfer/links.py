"""Under which function of a cost its parts add up."""

from __future__ import annotations

import numpy as np

from evonas.space import FloatArray

LINKS = ("identity", "log")
"""By number. The square root, in between, explained no device better."""


def apply_link(link: int, cost: FloatArray) -> FloatArray:
    """Map costs to what is modelled."""
    mapped: FloatArray = np.log(cost) if link else cost
    return mapped


def invert_link(link: int, value: FloatArray) -> FloatArray:
    """Map what is modelled to costs, which are positive."""
    cost: FloatArray = np.exp(np.clip(value, -20, 20)) if link else np.maximum(value, 1e-3)
    return cost


def link_slope(link: int, cost: FloatArray) -> FloatArray:
    """Derivative of the link at a cost."""
    slopes: FloatArray = 1 / cost if link else np.ones_like(cost)
    return slopes
