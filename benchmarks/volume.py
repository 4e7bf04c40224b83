"""Hypervolume over the course of a search, for the benchmarks that compare searches."""

from __future__ import annotations

import numpy as np

from evonas.pareto import hypervolume, non_dominated
from evonas.space import FloatArray

REFERENCE = 1.1
"""Reference point in every objective, of costs scaled to the ideal and nadir point."""


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
    front, volume, volumes = np.empty((0, costs.shape[1])), 0.0, []
    for cost in costs:
        if (cost < reference).all():
            front = np.vstack([front, cost])
            front = front[non_dominated(front)]
            volume = hypervolume(front, reference)
        volumes.append(volume)
    return np.array(volumes)


def evaluations_until(curve: FloatArray, share: float) -> int | None:
    """Count the evaluations until a share of the hypervolume is reached; ``None`` if it never is.

    >>> evaluations_until(np.array([0.5, 0.8, 0.9]), 0.8), evaluations_until(np.array([0.5]), 0.8)
    (2, None)
    """
    reached = np.flatnonzero(curve >= share - 1e-12)
    return int(reached[0]) + 1 if len(reached) else None
