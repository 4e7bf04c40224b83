"""A surrogate of a whole problem: one model a metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evonas import Genome, Problem
from evonas.space import FloatArray
from surrogates.blend import Blend
from surrogates.features import metric_features, monotone_genes


class MetricModels:
    """An :class:`evonas.protocols.Surrogate` of one :class:`surrogates.blend.Blend` a metric.

    Args:
        problem: Gives the metrics and describes the genomes.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._models = {m.name: Blend(list(monotone_genes(m).values())) for m in problem.metrics}

    def fit(self, genomes: Sequence[Genome], values: Mapping[str, FloatArray]) -> None:
        """Fit the models of the metrics in ``values``; see the protocol."""
        features = self._features(genomes, list(values))
        for metric, column in values.items():
            self._models[metric].fit(features[metric], column)

    def predict(
        self, genomes: Sequence[Genome], metrics: Sequence[str]
    ) -> dict[str, tuple[FloatArray, FloatArray]]:
        """Predict mean and standard deviation; see the protocol."""
        features = self._features(genomes, metrics)
        return {metric: self._models[metric].predict(features[metric]) for metric in metrics}

    def _features(self, genomes: Sequence[Genome], metrics: Sequence[str]) -> dict[str, FloatArray]:
        """Describe genomes to each metric's model; metrics with no direction share one array."""
        found: dict[tuple[tuple[str, int], ...], FloatArray] = {}
        described = {}
        for name in metrics:
            metric = self._problem.metric(name)
            key = tuple(monotone_genes(metric).items())
            if key not in found:
                found[key] = metric_features(self._problem, metric, genomes)
            described[name] = found[key]
        return described
