"""The surrogate of a problem: one model a metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evonas import Genome, Problem
from evonas.space import FloatArray
from evonas.surrogates.encoding import FeatureGroup, metric_groups, monotone_genes
from evonas.surrogates.ensemble import EnsembleRegressor
from evonas.surrogates.initial_design import initial_design
from evonas.surrogates.scaling import LogBelow, Standard
from evonas.surrogates.threads import one_thread


class MetricModels:
    """A surrogate with one :class:`evonas.surrogates.ensemble.EnsembleRegressor` for each metric.

    Args:
        problem: The problem whose metrics are predicted, and which describes the genomes.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        # Costs add up, and are minimised. What is maximised crowds below what can be reached.
        maximised = {o.metric for o in problem.objectives if o.sign < 0}
        self._models = {
            m.name: EnsembleRegressor(
                list(monotone_genes(m).values()), LogBelow if m.name in maximised else Standard
            )
            for m in problem.metrics
        }

    @one_thread
    def initial_design(self, genomes: Sequence[Genome], n: int) -> list[int]:
        """Choose the initial design; see the protocol."""
        return initial_design(self._problem, genomes, n)

    @one_thread
    def fit(self, genomes: Sequence[Genome], values: Mapping[str, FloatArray]) -> None:
        """Fit the models of the metrics in ``values``; see the protocol."""
        groups = self._groups(genomes, list(values))
        for metric, column in values.items():
            self._models[metric].fit(groups[metric], column)

    @one_thread
    def predict(
        self, genomes: Sequence[Genome], metrics: Sequence[str]
    ) -> dict[str, tuple[FloatArray, FloatArray]]:
        """Predict mean and standard deviation; see the protocol."""
        groups = self._groups(genomes, metrics)
        return {metric: self._models[metric].predict(groups[metric]) for metric in metrics}

    def _groups(
        self, genomes: Sequence[Genome], metrics: Sequence[str]
    ) -> dict[str, list[FeatureGroup]]:
        """Describe genomes to each metric's model; metrics with no direction share the groups."""
        found: dict[tuple[tuple[str, int], ...], list[FeatureGroup]] = {}
        described = {}
        for name in metrics:
            metric = self._problem.metric(name)
            key = tuple(monotone_genes(metric).items())
            if key not in found:
                found[key] = metric_groups(self._problem, metric, genomes)
            described[name] = found[key]
        return described
