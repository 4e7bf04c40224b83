"""Dominance and hypervolume over costs (every column is minimised)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pymoo.indicators.hv import HV
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

from evonas.space import FloatArray


def dominates(first: FloatArray, second: FloatArray) -> NDArray[np.bool_]:
    """Say which points dominate which: no worse in any objective, and better in one.

    Args:
        first: Costs, shape (number of objectives, ...).
        second: Costs of a shape that broadcasts with it.

    Returns:
        Whether each point of ``first`` dominates that of ``second``, shape (...).

    >>> dominates(np.array([[1.0, 2.0], [2.0, 2.0]]), np.array([[1.0], [3.0]])).tolist()
    [True, False]
    """
    # One row an objective: numpy goes along few long rows faster than along many short ones.
    return np.asarray((first <= second).all(axis=0) & (first < second).any(axis=0))


def non_dominated(costs: FloatArray) -> NDArray[np.intp]:
    """Find the rows that no other row dominates; equal rows stay together.

    Args:
        costs: Array of shape (number of points, number of objectives), finite.

    Returns:
        Indices in ascending order.

    >>> non_dominated(np.array([[1.0, 2.0], [2.0, 1.0], [2.0, 2.0]])).tolist()
    [0, 1]
    """
    if len(costs) == 0:
        return np.empty(0, dtype=np.intp)
    front: NDArray[np.intp] = NonDominatedSorting().do(costs, only_non_dominated_front=True)
    return front


def hypervolume(costs: FloatArray, reference: FloatArray) -> float:
    """Measure the volume that the points dominate, up to the reference point.

    Args:
        costs: Array of shape (number of points, number of objectives).
        reference: Array of shape (number of objectives,).

    Returns:
        Volume in the product of the objectives' units; points beyond the reference add nothing.

    >>> hypervolume(np.array([[0.0, 0.5], [0.5, 0.0]]), np.array([1.0, 1.0]))
    0.75
    """
    inside = costs[(costs < reference).all(axis=1)] if len(costs) else costs
    return float(HV(ref_point=reference)(inside)) if len(inside) else 0.0


class FrontTracker:
    """The front of a growing set of points, and its hypervolume, kept up to date.

    The hypervolume is relative to the box between the reference point and the best values of the
    first points, so that it has no unit and never falls. An objective without a reference of its
    own takes the worst value of the first points.

    Args:
        references: Reference cost of each objective, shape (number of objectives,); NaN where it
            is the worst of the first points.
        first: Number of first points, from which the box is made.
    """

    def __init__(self, references: FloatArray, first: int) -> None:
        self._given = references
        self._first = first
        self._first_points: list[FloatArray] = []
        self._costs: FloatArray = np.empty((len(references), 0))
        self._box: tuple[FloatArray, float] | None = None

    @property
    def costs(self) -> FloatArray:
        """The front's costs, shape (front size, number of objectives)."""
        return self._costs.T

    def add(self, cost: FloatArray) -> bool:
        """Add a point.

        Args:
            cost: Its costs, shape (number of objectives,).

        Returns:
            Whether it enters the front.
        """
        if self._box is None:
            self._first_points.append(cost)
            if len(self._first_points) == self._first:
                self._box = self._make_box()
        column = cost[:, np.newaxis]
        if dominates(self._costs, column).any():
            return False
        self._costs = np.hstack([self._costs[:, ~dominates(column, self._costs)], column])
        return True

    def _make_box(self) -> tuple[FloatArray, float]:
        points = np.array(self._first_points)
        reference = np.where(np.isnan(self._given), points.max(axis=0), self._given)
        sides = reference - points.min(axis=0)
        return reference, float(np.prod(np.where(sides > 0, sides, 1.0)))

    @property
    def hypervolume(self) -> float:
        """Relative hypervolume; 0 without a point, and provisional while the box is made."""
        if not self._costs.size:
            return 0.0
        reference, volume = self._box or self._make_box()
        return hypervolume(self.costs, reference) / volume
