"""Hypervolume over the course of a search, for the benchmarks that compare searches."""

from __future__ import annotations

import numpy as np

from evonas.pareto import hypervolume
from evonas.space import FloatArray

REFERENCE = 1.1
"""In every objective, of costs scaled to the ideal and nadir point."""


def scale(costs: FloatArray, front: FloatArray) -> FloatArray:
    """Scale costs so that a front's ideal point is 0 and its nadir point 1.

    Args:
        costs: Shape (designs, objectives).
        front: Shape (members, objectives).
    """
    ideal, nadir = front.min(axis=0), front.max(axis=0)
    scaled: FloatArray = (costs - ideal) / np.where(nadir > ideal, nadir - ideal, 1.0)
    return scaled


def curve(costs: FloatArray) -> FloatArray:
    """Compute the hypervolume after every evaluation.

    Args:
        costs: Scaled, shape (evaluations, objectives); infinite for designs without values.

    Returns:
        Shape (evaluations,).

    >>> curve(np.array([[0.1, 1.0], [np.inf, np.inf], [1.0, 0.1], [1.0, 1.0]])).round(2).tolist()
    [0.1, 0.1, 0.19, 0.19]
    """
    reference = np.full(costs.shape[1], REFERENCE)
    front, volumes = np.empty((0, costs.shape[1])), [0.0]
    for cost in costs:
        volumes.append(volumes[-1])
        if (cost < reference).all() and not (front <= cost).all(axis=1).any():
            front = np.vstack([front[~(front >= cost).all(axis=1)], cost])
            volumes[-1] = hypervolume(front, reference)
    return np.array(volumes[1:])
