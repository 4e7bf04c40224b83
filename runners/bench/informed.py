"""A surrogate that has seen most of a table, to tell what a better one could gain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from evonas.space import FloatArray, Genome
from surrogates.features import metric_groups
from surrogates.telling import opening
from surrogates.trees import out_of_fold

if TYPE_CHECKING:
    from runners.bench.prune_methods import Oracle

FOLDS = 8

GROUPS = 20
"""Designs of similar prediction share a deviation."""


class Informed:
    """An :class:`evonas.protocols.Surrogate` whose trees know seven eighths of all designs.

    Each design is predicted by trees that were fitted without it, and nothing is learnt while
    searching. The deviation is the root mean square error among designs with similar predictions.

    Args:
        oracle: The whole table.
    """

    def __init__(self, oracle: Oracle) -> None:
        problem, genomes = oracle.problem, oracle.genomes
        self._problem = problem
        self._row = oracle.row
        self._known: dict[str, tuple[FloatArray, FloatArray]] = {}
        for objective in problem.objectives:
            name = objective.metric
            values = np.array([problem.evaluate(genome, [name])[name] for genome in genomes])
            groups = metric_groups(problem, problem.metric(name), genomes)
            features = np.hstack([view for group in groups for view in group.views])
            means = out_of_fold(features, values, [], FOLDS)
            group = np.argsort(np.argsort(means)) * GROUPS // len(means)
            squares = np.bincount(group, np.square(means - values)) / np.bincount(group)
            self._known[name] = means, np.sqrt(squares)[group]

    def opening(self, genomes: Sequence[Genome], n: int) -> list[int]:
        """Begin as EvoNAS's own surrogate would; see the protocol."""
        return opening(self._problem, genomes, n)

    def fit(self, genomes: Sequence[Genome], values: Mapping[str, FloatArray]) -> None:
        """Learn nothing more."""

    def predict(
        self, genomes: Sequence[Genome], metrics: Sequence[str]
    ) -> dict[str, tuple[FloatArray, FloatArray]]:
        """Predict mean and standard deviation; see the protocol.

        What the table does not hold is infeasible, so that it does not matter what is said of it.
        """
        rows = [self._row(genome) or 0 for genome in genomes]
        return {name: (self._known[name][0][rows], self._known[name][1][rows]) for name in metrics}
