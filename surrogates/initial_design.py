"""The initial design: what to evaluate so that it tells most about all other designs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evonas import Genome, Problem
from evonas.space import FloatArray
from evonas.surrogates.encoding import feature_views, space_views
from evonas.surrogates.process.kernel import prior_covariance


def least_integrated_variance(
    covariance: FloatArray, noise: float, n: int, known: int = 0
) -> list[int]:
    """Choose greedily the designs that leave the least integrated variance (Cohn 1996).

    Args:
        covariance: Prior covariance of all designs, shape (designs, designs).
        noise: Noise variance of an evaluation.
        n: Number of designs to choose; fewer are chosen if there are not that many.
        known: Number of designs, the first ones, that are evaluated already.

    Returns:
        Indices of designs, the most informative first.
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


def initial_design(problem: Problem, genomes: Sequence[Genome], n: int) -> list[int]:
    """Choose the designs to begin a search with, before any is evaluated.

    They fill the space of the problem's own features, or of its genes if it has none, and reach
    its ends, as a Gaussian process on them would have it.

    Args:
        problem: The problem that describes the designs.
        genomes: The designs to choose from.
        n: Number of designs to choose; fewer are chosen if there are not that many.

    Returns:
        Indices of designs, the most informative first.
    """
    views = feature_views(problem, genomes) or space_views(problem.space, genomes)
    covariance, noise = prior_covariance(list(views.values()))
    return least_integrated_variance(covariance, noise, n)
