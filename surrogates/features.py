"""Numbers that describe a genome to a model."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from evonas import Choice, Genome, Problem, Space
from evonas.problem import Metric
from evonas.space import FloatArray


def space_features(
    space: Space, genomes: Sequence[Genome], without: Collection[str] = ()
) -> FloatArray:
    """Describe genomes by their genes.

    A choice gives one column an option (one-hot) and, when its options are numbers, their value
    too; any other gene gives its value. A gene that can be inactive has one more column that says
    whether it is active; its other columns are 0 when it is not.

    Args:
        space: What the genomes belong to.
        genomes: To describe.
        without: Genes to leave out, but for whether they are active.

    Returns:
        Array of shape (number of genomes, number of columns).
    """
    columns: list[list[float]] = []
    for gene in space.genes:
        values = [genome.get(gene.name) for genome in genomes]
        if gene.when:
            columns.append([float(value is not None) for value in values])
        if gene.name in without:
            continue
        numeric = True
        if isinstance(gene, Choice):
            columns += [[float(value == option) for value in values] for option in gene.options]
            numeric = all(isinstance(option, int | float) for option in gene.options)
        if numeric:
            columns.append([0.0 if value is None else float(value) for value in values])
    return np.array(columns).T.reshape(len(genomes), -1)


def monotone_genes(metric: Metric) -> dict[str, int]:
    """Map each gene that a metric rises with to 1, and each that it falls with to -1."""
    return dict.fromkeys(metric.rises_with, 1) | dict.fromkeys(metric.falls_with, -1)


def metric_features(problem: Problem, metric: Metric, genomes: Sequence[Genome]) -> FloatArray:
    """Describe genomes to the model of a metric, by the problem's own features where it has some.

    A metric that is monotone in genes is described by the genes alone, those first and in one
    column each: held to them, its model cannot be led astray by a feature that follows them too.

    Returns:
        Array of shape (number of genomes, number of columns).
    """
    named = monotone_genes(metric)
    own = None if named else problem.features(genomes)
    if own is not None:
        return np.asarray(own, dtype=float)
    space = problem.space
    codes = space.encode(genomes)[:, [space.names.index(gene) for gene in named]]
    return np.hstack([codes, space_features(space, genomes, without=named)])
