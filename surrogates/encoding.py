"""Numbers that describe a genome to a model."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evonas import Choice, Genome, Integer, Problem, Real, Space
from evonas.errors import ProblemError
from evonas.problem import Metric
from evonas.space import FloatArray, Gene, Value
from evonas.surrogates.process.kernel import Alike, Layout

FEW = 12
"""Values of a gene up to which each gets a column of its own."""


@dataclass(frozen=True)
class Group:
    """Views of the same n designs that a model sees together or not at all.

    Args:
        views: Arrays of shape (n, columns).
        reading: Whether they follow one of several readings of the designs, see
            :meth:`evonas.Problem.views`.
        alike: Of each view, which of its columns mean the same; left out, nothing is known.
    """

    views: Sequence[FloatArray]
    reading: bool = False
    alike: Sequence[Alike] = ()

    @property
    def layouts(self) -> list[Layout]:
        """Of the views."""
        alike = self.alike or [()] * len(self.views)
        return [Layout(v.shape[1], parts) for v, parts in zip(self.views, alike, strict=True)]

    def first(self, rows: int) -> Group:
        """Keep the first rows."""
        return Group([view[:rows] for view in self.views], self.reading, self.alike)


def gene_features(
    gene: Gene, genomes: Sequence[Genome], options: Sequence[Value] = ()
) -> FloatArray:
    """Describe genomes by one gene.

    A choice gives one column an option (one-hot) and, when its options are numbers, their value
    too; any other gene gives its value. A gene that can be inactive has one more column that says
    whether it is active; its other columns are 0 when it is not.

    Args:
        gene: Of the genomes.
        genomes: To describe.
        options: What gets a column each; left out, the options of a choice.

    Returns:
        Array of shape (number of genomes, number of columns).
    """
    if isinstance(gene, Choice):
        options = gene.options
    columns = [_activity(gene, genomes), _one_hot(genomes, gene.name, options)]
    if _is_number(gene):
        columns.append(_values(genomes, gene.name))
    return np.hstack(columns)


def _is_number(gene: Gene) -> bool:
    return not isinstance(gene, Choice) or gene.numeric


def _activity(gene: Gene, genomes: Sequence[Genome]) -> FloatArray:
    """Say whether a gene is active, in one column; in none if it always is."""
    if not gene.when:
        return np.empty((len(genomes), 0))
    return np.array([[float(gene.name in genome)] for genome in genomes]).reshape(-1, 1)


def space_features(
    space: Space, genomes: Sequence[Genome], without: Collection[str] = ()
) -> FloatArray:
    """Describe genomes by their genes, see :func:`gene_features`.

    Args:
        space: What the genomes belong to.
        genomes: To describe.
        without: Genes to leave out, but for whether they are active.

    Returns:
        Array of shape (number of genomes, number of columns).
    """
    columns = [
        (_activity if gene.name in without else gene_features)(gene, genomes)
        for gene in space.genes
    ]
    return np.hstack(columns)


def space_views(space: Space, genomes: Sequence[Genome]) -> dict[str, FloatArray]:
    """Describe designs by their genes, in two ways; see :func:`space_groups`.

    The columns of ``genes`` stand in the order of the genes, those that only integers of few
    values have last. Kits and profiles of devices hold such columns: they must stay where they are.

    Returns:
        Name -> array of shape (designs, columns).
    """
    genes = [space_features(space, genomes)]
    genes += [
        _one_hot(genomes, gene.name, tuple(gene.values()))
        for gene in space.genes
        if isinstance(gene, Integer) and gene.size <= FEW
    ]
    return {"genes": np.hstack(genes), **_counts(space, genomes)}


def space_groups(space: Space, genomes: Sequence[Genome]) -> dict[str, Group]:
    """Describe designs by their genes, in two ways.

    ``genes`` has the columns of :func:`gene_features`; integer genes of few values are one-hot,
    too. Genes with the same few options stand side by side, as parts that are alike; one without a
    like is a kind of its own, and genes of more values come last. ``counts`` says how often each
    option occurs among the active genes that have the same few options; of other genes it has the
    value, or the option if that is no number.

    Returns:
        Name -> group of one view; ``counts`` only if some genes are alike.
    """
    kinds, others = _kinds(space)
    columns: list[FloatArray] = []
    alike: list[tuple[int, int]] = []
    for options, genes in kinds.items():
        for conditional in (False, True):
            own = [
                gene_features(gene, genomes, options)
                for gene in genes
                if bool(gene.when) == conditional
            ]
            columns += own
            if own:
                alike.append((len(own), own[0].shape[1]))
    columns += [gene_features(gene, genomes) for gene in others]
    counts = {name: Group([view]) for name, view in _counts(space, genomes).items()}
    return {"genes": Group([np.hstack(columns)], alike=[tuple(alike)]), **counts}


def _kinds(space: Space) -> tuple[dict[tuple[Value, ...], list[Gene]], list[Gene]]:
    """Put genes of the same few options together; return the others beside."""
    kinds: dict[tuple[Value, ...], list[Gene]] = {}
    others: list[Gene] = []
    for gene in space.genes:
        if isinstance(gene, Real) or gene.size > FEW:
            others.append(gene)
        else:
            kinds.setdefault(tuple(gene.values()), []).append(gene)
    return kinds, others


def _counts(space: Space, genomes: Sequence[Genome]) -> dict[str, FloatArray]:
    """Count options among genes that are alike; empty if none are. See :func:`space_groups`."""
    kinds, others = _kinds(space)
    if all(len(genes) == 1 for genes in kinds.values()):
        return {}
    counts = [
        np.sum([_one_hot(genomes, gene.name, options) for gene in genes], axis=0)
        for options, genes in kinds.items()
    ]
    counts += [
        _values(genomes, gene.name)
        if _is_number(gene)
        else _one_hot(genomes, gene.name, tuple(gene.values()))
        for gene in others
    ]
    return {"counts": np.hstack(counts)}


def _values(genomes: Sequence[Genome], name: str) -> FloatArray:
    """The value of a gene in one column, 0 where it is not active."""
    return np.array([[float(genome.get(name, 0.0))] for genome in genomes]).reshape(-1, 1)


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


def metric_groups(problem: Problem, metric: Metric, genomes: Sequence[Genome]) -> list[Group]:
    """Describe genomes to a metric's model, in groups of views that are taken or left together.

    A problem's own features and views are taken where it has some, and beside them its genes as one
    more reading; else its genes alone. Features are a group, and so are the views of one reading
    (see :meth:`evonas.Problem.views`). A metric that is monotone in genes is described by the genes
    alone, those first and in one column each: held to them, its model cannot be led astray by a
    feature that follows them too.
    """
    named = monotone_genes(metric)
    space = problem.space
    if named:
        codes = space.encode(genomes)[:, [space.names.index(gene) for gene in named]]
        own = np.hstack([codes, space_features(space, genomes, without=named)])
        return [Group([own])]
    readings: dict[tuple[str, bool], list[FloatArray]] = {}
    for name, view in problem.views(genomes).items():
        _, colon, reading = name.rpartition(":")
        checked = checked_view(problem, name, view, len(genomes))
        readings.setdefault((reading, bool(colon)), []).append(checked)
    groups = [Group(views, reading) for (_, reading), views in readings.items()]
    features = feature_views(problem, genomes)
    if features:
        groups.append(Group(list(features.values())))
    genes = list(space_groups(space, genomes).values())
    if not groups:
        return genes
    # What a problem knows may mislead; its genes are as good a reading as any.
    views = [view for group in genes for view in group.views]
    alike = [layout.alike for group in genes for layout in group.layouts]
    return [*groups, Group(views, reading=True, alike=alike)]
