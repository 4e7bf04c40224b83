"""Features of genomes: the arrays that models are fitted to."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evonas import Choice, Genome, Integer, Problem, Real, Space
from evonas.errors import ProblemError
from evonas.problem import Metric
from evonas.space import FloatArray, Gene, Value
from evonas.surrogates.process.kernel import KernelLayout, TiedBlocks

ONE_HOT = 12
"""Largest number of values of a gene that is one-hot encoded."""


@dataclass(frozen=True)
class FeatureGroup:
    """Feature views of the same n designs that a model uses together or not at all.

    Args:
        views: Arrays of shape (n, columns).
        variant: Whether the views describe one of several variants of the designs' graphs, see
            :meth:`evonas.Problem.views`.
        tied: The tied blocks of every view; left out, none are known.
    """

    views: Sequence[FloatArray]
    variant: bool = False
    tied: Sequence[TiedBlocks] = ()

    @property
    def layouts(self) -> list[KernelLayout]:
        """One kernel layout a view."""
        tied = self.tied or [()] * len(self.views)
        return [KernelLayout(v.shape[1], own) for v, own in zip(self.views, tied, strict=True)]

    def first(self, rows: int) -> FeatureGroup:
        """Keep the first rows."""
        return FeatureGroup([view[:rows] for view in self.views], self.variant, self.tied)


def gene_features(
    gene: Gene, genomes: Sequence[Genome], options: Sequence[Value] = ()
) -> FloatArray:
    """Describe genomes by one gene.

    A choice gives one column for each option (one-hot) and, when its options are numbers, their
    value too; any other gene gives its value. A gene that can be inactive has one more column that
    says whether it is active; its other columns are 0 when it is not.

    Args:
        gene: The gene.
        genomes: The genomes.
        options: Values that get a column each; left out, the options of a choice.

    Returns:
        Array of shape (genomes, columns).
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
        space: The space of the genomes.
        genomes: The genomes.
        without: Names of genes of which only the column that says whether they are active stays.

    Returns:
        Array of shape (genomes, columns).
    """
    columns = [
        (_activity if gene.name in without else gene_features)(gene, genomes)
        for gene in space.genes
    ]
    return np.hstack(columns)


def space_views(space: Space, genomes: Sequence[Genome]) -> dict[str, FloatArray]:
    """Describe genomes by two feature views of their genes; see :func:`space_groups`.

    The columns of ``genes`` stand in the order of the genes, the one-hot columns of integers last.
    Kits and profiles of devices hold such columns: they must stay where they are.

    Returns:
        Name -> array of shape (designs, columns).
    """
    genes = [space_features(space, genomes)]
    genes += [
        _one_hot(genomes, gene.name, tuple(gene.values()))
        for gene in space.genes
        if isinstance(gene, Integer) and gene.size <= ONE_HOT
    ]
    return {"genes": np.hstack(genes), **_counts(space, genomes)}


def space_groups(space: Space, genomes: Sequence[Genome]) -> dict[str, FeatureGroup]:
    """Describe genomes by two feature groups of their genes.

    ``genes`` has the columns of :func:`gene_features`; integers of up to ``ONE_HOT`` values are
    one-hot, too. Genes with the same options stand side by side, as tied blocks; a gene without a
    like is a set of its own, and genes of more values come last. ``counts`` says how often each
    option occurs among the active genes that have the same options; of other genes it has the
    value, or the option if that is no number.

    Returns:
        Name -> group of one view; ``counts`` only if some genes have the same options.
    """
    shared, others = _shared_options(space)
    columns: list[FloatArray] = []
    tied: list[tuple[int, int]] = []
    for options, genes in shared.items():
        for conditional in (False, True):
            own = [
                gene_features(gene, genomes, options)
                for gene in genes
                if bool(gene.when) == conditional
            ]
            columns += own
            if own:
                tied.append((len(own), own[0].shape[1]))
    columns += [gene_features(gene, genomes) for gene in others]
    counts = {name: FeatureGroup([view]) for name, view in _counts(space, genomes).items()}
    return {"genes": FeatureGroup([np.hstack(columns)], tied=[tuple(tied)]), **counts}


def _shared_options(space: Space) -> tuple[dict[tuple[Value, ...], list[Gene]], list[Gene]]:
    """Put genes of the same options together; return those of too many values beside."""
    shared: dict[tuple[Value, ...], list[Gene]] = {}
    others: list[Gene] = []
    for gene in space.genes:
        if isinstance(gene, Real) or gene.size > ONE_HOT:
            others.append(gene)
        else:
            shared.setdefault(tuple(gene.values()), []).append(gene)
    return shared, others


def _counts(space: Space, genomes: Sequence[Genome]) -> dict[str, FloatArray]:
    """Count options among genes that share them; empty if none do. See :func:`space_groups`."""
    shared, others = _shared_options(space)
    if all(len(genes) == 1 for genes in shared.values()):
        return {}
    counts = [
        np.sum([_one_hot(genomes, gene.name, options) for gene in genes], axis=0)
        for options, genes in shared.items()
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
    """Describe genomes by the problem's own features, a feature view of every kind.

    Returns:
        Name -> array of shape (genomes, columns); empty if the problem has none.

    Raises:
        ProblemError: Features are not finite, or no such array.
    """
    features = problem.features(genomes)
    if features is None:
        return {}
    kinds = features if isinstance(features, Mapping) else {"features": features}
    return {name: checked_view(problem, name, kind, len(genomes)) for name, kind in kinds.items()}


def checked_view(problem: Problem, name: str, view: object, designs: int) -> FloatArray:
    """Read a feature view that a problem gave.

    Returns:
        Array of shape (designs, columns).

    Raises:
        ProblemError: The view is no such array, or a value is not finite.
    """
    where = f"'{name}' that problem '{type(problem.unwrapped).__name__}' describes designs by"
    try:
        found = np.asarray(view, dtype=float)
    except (TypeError, ValueError):
        raise ProblemError(f"{where} cannot be read as an array of numbers") from None
    if found.ndim != 2 or len(found) != designs:
        raise ProblemError(f"{where} has the shape {found.shape}; it must be ({designs}, columns)")
    if not np.isfinite(found).all():
        raise ProblemError(f"{where} holds a value that is not finite")
    return found


def metric_groups(
    problem: Problem, metric: Metric, genomes: Sequence[Genome]
) -> list[FeatureGroup]:
    """Describe genomes to the model of a metric.

    A problem's own features are one group, and the views of every graph variant (see
    :meth:`evonas.Problem.views`) are another; the genes stand beside them as one more variant. A
    problem without either is described by its genes alone. A metric that is monotone in genes is
    described by the genes alone too, those first and in one column each: held to them, its model
    cannot be led astray by a feature that follows them too.

    Args:
        problem: The problem.
        metric: One of its metrics.
        genomes: The genomes.

    Raises:
        ProblemError: The problem's features or views are not finite arrays of shape (genomes,
            columns).
    """
    named = monotone_genes(metric)
    space = problem.space
    if named:
        codes = space.encode(genomes)[:, [space.names.index(gene) for gene in named]]
        own = np.hstack([codes, space_features(space, genomes, without=named)])
        return [FeatureGroup([own])]
    variants: dict[tuple[str, bool], list[FloatArray]] = {}
    for name, view in problem.views(genomes).items():
        _, colon, variant = name.rpartition(":")
        checked = checked_view(problem, name, view, len(genomes))
        variants.setdefault((variant, bool(colon)), []).append(checked)
    groups = [FeatureGroup(views, variant) for (_, variant), views in variants.items()]
    features = feature_views(problem, genomes)
    if features:
        groups.append(FeatureGroup(list(features.values())))
    genes = list(space_groups(space, genomes).values())
    if not groups:
        return genes
    # What a problem says of its designs may mislead; its genes may serve better.
    views = [view for group in genes for view in group.views]
    tied = [layout.tied for group in genes for layout in group.layouts]
    return [*groups, FeatureGroup(views, variant=True, tied=tied)]
