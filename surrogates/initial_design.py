"""Which designs to evaluate so that they tell most about all others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evonas import Genome, Problem
from evonas.space import FloatArray
from evonas.surrogates.encoding import feature_views, space_views
from evonas.surrogates.process.kernel import prior_covariance


def least_variance(covariance: FloatArray, noise: float, n: int, known: int = 0) -> list[int]:
    """Choose greedily the designs that leave the least integrated variance (Cohn 1996).

    Args:
        covariance: Of all designs before any is evaluated, shape (designs, designs).
        noise: Variance of an evaluation.
        n: How many to choose; fewer if there are not that many designs.
        known: How many of the first designs are evaluated already.

    Returns:
        Their indices, the most telling first.
    """
    chosen: list[int] = []
    for step in range(min(known + n, len(covariance))):
        gain = (covariance**2).sum(axis=0) / (np.diag(covariance) + noise)
        gain[chosen] = -np.inf
        best = step if step < known else int(gain.argmax())
        chosen.append(best)
        column = covariance[:, best]
        covariance = covariance - np.outer(column, column) / (column[best] + noise)
    return chosen[known:]


def opening(problem: Problem, genomes: Sequence[Genome], n: int) -> list[int]:
    """Choose the designs to begin a search with, when nothing is known but the designs.

    They fill the space of the problem's own features, or of its genes if it has none, and reach
    its ends, as a Gaussian process on them would have it.

    Args:
        problem: Describes the designs.
        genomes: The designs to choose from.
        n: How many to choose; fewer if there are not that many designs.

    Returns:
        Their indices, the most telling first.
    """
    views = feature_views(problem, genomes) or space_views(problem.space, genomes)
    covariance, noise = prior_covariance(list(views.values()))
    return least_variance(covariance, noise, n)
