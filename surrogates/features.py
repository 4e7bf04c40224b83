"""Numbers that describe a genome to a model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evonas import Choice, Genome, Problem, Space
from evonas.problem import Metric
from evonas.space import FloatArray


def space_features(space: Space, genomes: Sequence[Genome]) -> FloatArray:
    """Describe genomes by their genes.

    A choice gives one column an option (one-hot) and, when its options are numbers, their value
    too; any other gene gives its value. A gene that can be inactive has one more column that says
    whether it is active; its other columns are 0 when it is not.

    Returns:
        Array of shape (number of genomes, number of columns).
    """
    columns: list[list[float]] = []
    for gene in space.genes:
        values = [genome.get(gene.name) for genome in genomes]
        if gene.when:
            columns.append([float(value is not None) for value in values])
        numeric = True
        if isinstance(gene, Choice):
            columns += [[float(value == option) for value in values] for option in gene.options]
            numeric = all(isinstance(option, int | float) for option in gene.options)
        if numeric:
            columns.append([0.0 if value is None else float(value) for value in values])
    return np.array(columns).T.reshape(len(genomes), -1)


class Features:
    """Describes the genomes of a problem, by the problem's own features where it has some.

    The genes that a metric is monotone in come first, one column each, so that its model can be
    held to it.

    Args:
        problem: What the genomes belong to.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        named = {g for m in problem.metrics for g in (*m.rises_with, *m.falls_with)}
        self._named = [g for g in problem.space.names if g in named]

    def __call__(self, genomes: Sequence[Genome]) -> FloatArray:
        """Return an array of shape (number of genomes, number of columns)."""
        space = self._problem.space
        codes = space.encode(genomes)[:, [space.names.index(g) for g in self._named]]
        own = self._problem.features(genomes)
        rest = space_features(space, genomes) if own is None else np.asarray(own, dtype=float)
        return np.hstack([codes, rest])

    def directions(self, metric: Metric) -> list[int]:
        """Say for each of the first columns whether the metric rises (1), falls (-1) or neither."""
        return [(g in metric.rises_with) - (g in metric.falls_with) for g in self._named]
