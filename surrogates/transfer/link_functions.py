"""Link functions: under which function of a cost its terms add up."""

from __future__ import annotations

import numpy as np

from evonas.space import FloatArray

LINKS = ("identity", "log")
"""Link functions by number. The square root, in between, explained no device better."""


def apply_link(link: int, cost: FloatArray) -> FloatArray:
    """Map costs to what is modelled, f(cost); the shape stays, here and below."""
    mapped: FloatArray = np.log(cost) if link else cost
    return mapped


def invert_link(link: int, value: FloatArray) -> FloatArray:
    """Map what is modelled to costs, which are positive."""
    cost: FloatArray = np.exp(np.clip(value, -20, 20)) if link else np.maximum(value, 1e-3)
    return cost


def link_slope(link: int, cost: FloatArray) -> FloatArray:
    """Derivative of the link function at a cost, f'(cost)."""
    slopes: FloatArray = 1 / cost if link else np.ones_like(cost)
    return slopes
