"""Views of designs: what transfer between devices knows about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from evonas import Choice, Genome, Problem, Real, Space
from evonas.errors import DataError
from evonas.space import FloatArray, Value
from surrogates.features import space_features

Views = Mapping[str, FloatArray]
"""Name -> features of the same designs, shape (designs, columns of the view).

Views named ``KIND:READING`` with the same kind have the same columns: what a device may make of a
design (all of it, or what is left when dead parts are removed, say). What an operation costs is
then carried over from one reading to the other.
"""


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


def as_views(features: FloatArray | Views) -> dict[str, FloatArray]:
    """Name a plain array's view, and check shapes and values.

    Raises:
        DataError: There is no view, or one is not a finite array of shape (designs, columns).
    """
    views = features if isinstance(features, Mapping) else {"features": features}
    checked = {name: np.asarray(view, dtype=float) for name, view in views.items()}
    if not checked:
        raise DataError("designs have no view; give at least one")
    designs = len(next(iter(checked.values())))
    for name, view in checked.items():
        if view.ndim != 2 or len(view) != designs:
            raise DataError(f"view '{name}' has the shape {view.shape}; it must be ({designs}, n)")
        if not np.isfinite(view).all():
            raise DataError(f"view '{name}' holds a value that is not finite")
    return checked


def _one_hot(genomes: Sequence[Genome], name: str, options: Sequence[Value]) -> FloatArray:
    rows = [[float(genome.get(name) == option) for option in options] for genome in genomes]
    return np.array(rows).reshape(len(genomes), len(options))
