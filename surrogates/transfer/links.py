"""Under which function of a cost its parts add up."""

from __future__ import annotations

import numpy as np

from evonas.space import FloatArray

LINKS = ("identity", "sqrt", "log")


def apply_link(link: int, cost: FloatArray) -> FloatArray:
    """Map costs to what is modelled."""
    mapped: FloatArray = (cost, np.sqrt, np.log)[link](cost) if link else cost  # type: ignore[operator]
    return mapped


def invert_link(link: int, value: FloatArray) -> FloatArray:
    """Map what is modelled to costs, which are positive."""
    if link == 2:
        cost: FloatArray = np.exp(np.clip(value, -20, 20))
    else:
        positive = np.maximum(value, 1e-3)
        cost = positive**2 if link == 1 else positive
    return cost


def link_slope(link: int, cost: FloatArray) -> FloatArray:
    """Derivative of the link at a cost."""
    slopes: FloatArray = (np.ones_like(cost), 0.5 / np.sqrt(cost), 1 / cost)[link]
    return slopes
