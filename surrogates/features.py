"""Numbers that describe a genome to a model."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evonas import Choice, Genome, Problem, Real, Space
from evonas.errors import ProblemError
from evonas.problem import Metric
from evonas.space import FloatArray, Value

FEW = 12
"""Values of a gene up to which each gets a column of its own."""


@dataclass(frozen=True)
class Group:
    """Views of the same n designs that a model sees together or not at all.

    Args:
        views: Arrays of shape (n, columns).
        reading: Whether they follow one of several readings of the designs, see
            :meth:`evonas.Problem.views`.
    """

    views: Sequence[FloatArray]
    reading: bool = False

    def first(self, rows: int) -> Group:
        """Keep the first rows."""
        return Group([view[:rows] for view in self.views], self.reading)


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
            numeric = gene.numeric
        if numeric:
            columns.append([0.0 if value is None else float(value) for value in values])
    return np.array(columns).T.reshape(len(genomes), -1)


def space_views(space: Space, genomes: Sequence[Genome]) -> dict[str, FloatArray]:
    """Describe designs by their genes, in two ways.

    ``genes`` has the columns of :func:`space_features`; integer genes of few values are one-hot
    too. ``counts`` says how often each option occurs among the active genes that have the same
    options; genes without a like are left as they are.

    Returns:
        Name -> array of shape (designs, columns); ``counts`` only if some genes are alike.
    """
    genes = [space_features(space, genomes)]
    alike: dict[tuple[Value, ...], list[str]] = {}
    for gene in space.genes:
        if isinstance(gene, Real) or gene.size > FEW:
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
        lone = [gene.name for gene in space.genes if isinstance(gene, Real) or gene.size > FEW]
        columns += [
            np.array([[float(genome.get(name, 0.0))] for genome in genomes]) for name in lone
        ]
        views["counts"] = np.hstack(columns)
    return views


def _one_hot(genomes: Sequence[Genome], name: str, options: Sequence[Value]) -> FloatArray:
    rows = [[float(genome.get(name) == option) for option in options] for genome in genomes]
    return np.array(rows).reshape(len(genomes), len(options))


def monotone_genes(metric: Metric) -> dict[str, int]:
    """Map each gene that a metric rises with to 1, and each that it falls with to -1."""
    return dict.fromkeys(metric.rises_with, 1) | dict.fromkeys(metric.falls_with, -1)


def feature_views(problem: Problem, genomes: Sequence[Genome]) -> dict[str, FloatArray]:
    """Describe designs by the features of a problem's own, a view of every kind.

    Returns:
        Name -> array of shape (designs, columns); empty if the problem has none.

    Raises:
        ProblemError: Features are not finite, or no such array.
    """
    features = problem.features(genomes)
    if features is None:
        return {}
    kinds = features if isinstance(features, Mapping) else {"features": features}
    return {name: checked_view(problem, name, kind, len(genomes)) for name, kind in kinds.items()}


def checked_view(problem: Problem, name: str, view: object, designs: int) -> FloatArray:
    """Read a view of a problem's own.

    Returns:
        Array of shape (designs, columns).

    Raises:
        ProblemError: It is no such array, or a value is not finite.
    """
    where = f"'{name}' that problem '{type(problem.own).__name__}' describes designs by"
    try:
        found = np.asarray(view, dtype=float)
    except (TypeError, ValueError):
        raise ProblemError(f"{where} cannot be read as an array of numbers") from None
    if found.ndim != 2 or len(found) != designs:
        raise ProblemError(f"{where} has the shape {found.shape}; it must be ({designs}, columns)")
    if not np.isfinite(found).all():
        raise ProblemError(f"{where} holds a value that is not finite")
    return found


def metric_views(problem: Problem, metric: Metric, genomes: Sequence[Genome]) -> dict[str, Group]:
    """Describe genomes to a metric's model, in groups of views that are taken or left together.

    A problem's own features and views are taken where it has some, else its genes. Features are a
    group, and so are the views of one reading (see :meth:`evonas.Problem.views`). A metric that
    is monotone in genes is described by the genes alone, those first and in one column each: held
    to them, its model cannot be led astray by a feature that follows them too.

    Returns:
        Name -> group.
    """
    named = monotone_genes(metric)
    space = problem.space
    if named:
        codes = space.encode(genomes)[:, [space.names.index(gene) for gene in named]]
        own = np.hstack([codes, space_features(space, genomes, without=named)])
        return {"genes": Group([own])}
    readings: dict[tuple[str, bool], list[FloatArray]] = {}
    for name, view in problem.views(genomes).items():
        _, colon, reading = name.rpartition(":")
        checked = checked_view(problem, name, view, len(genomes))
        readings.setdefault((reading, bool(colon)), []).append(checked)
    groups = {name: Group(views, reading) for (name, reading), views in readings.items()}
    features = feature_views(problem, genomes)
    if features:
        groups["features"] = Group(list(features.values()))
    return groups or {name: Group([view]) for name, view in space_views(space, genomes).items()}
