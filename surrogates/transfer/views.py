"""Views of designs: what transfer between devices knows about them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evonas import Choice, Genome, Problem, Real, Space
from evonas.space import FloatArray, Value
from surrogates.features import space_features


def space_views(space: Space, genomes: Sequence[Genome]) -> dict[str, FloatArray]:
    """Describe designs by their genes, in two ways.

    ``genes`` has the columns of :func:`surrogates.features.space_features`; integer genes of few
    values are one-hot too. ``counts`` says how often each option occurs among the active genes
    that have the same options; genes without a like are left as they are.

    Returns:
        Name -> array of shape (designs, columns); ``counts`` only if some genes are alike.
    """
    genes = [space_features(space, genomes)]
    alike: dict[tuple[Value, ...], list[str]] = {}
    for gene in space.genes:
        if isinstance(gene, Real) or gene.size > 12:
            continue
        options = tuple(gene.values())
        alike.setdefault(options, []).append(gene.name)
        if not isinstance(gene, Choice):
            genes.append(_one_hot(genomes, gene.name, options))
    views = {"genes": np.hstack(genes)}
    if any(len(names) > 1 for names in alike.values()):
        columns = [
            np.sum([_one_hot(genomes, name, options) for name in names], axis=0)
            for options, names in alike.items()
        ]
        lone = [gene.name for gene in space.genes if isinstance(gene, Real) or gene.size > 12]
        columns += [
            np.array([[float(genome.get(name, 0.0))] for genome in genomes]) for name in lone
        ]
        views["counts"] = np.hstack(columns)
    return views


def problem_views(problem: Problem, genomes: Sequence[Genome]) -> dict[str, FloatArray]:
    """Describe designs by the problem's own views where it has some, else by its genes.

    Features of the problem's own are one more view.
    """
    own = problem.views(genomes)
    if own:
        return {name: np.asarray(view, dtype=float) for name, view in own.items()}
    views = space_views(problem.space, genomes)
    features = problem.features(genomes)
    if features is not None:
        views["features"] = np.asarray(features, dtype=float)
    return views


def _one_hot(genomes: Sequence[Genome], name: str, options: Sequence[Value]) -> FloatArray:
    rows = [[float(genome.get(name) == option) for option in options] for genome in genomes]
    return np.array(rows).reshape(len(genomes), len(options))
