"""A surrogate of a whole problem: one model a metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evonas import Genome, Problem
from evonas.space import FloatArray
from surrogates.blend import Blend
from surrogates.features import Features


class MetricModels:
    """An :class:`evonas.protocols.Surrogate` of one :class:`surrogates.blend.Blend` a metric.

    Args:
        problem: Gives the metrics and describes the genomes.
    """

    def __init__(self, problem: Problem) -> None:
        self._features = Features(problem)
        self._models = {m.name: Blend(self._features.directions(m)) for m in problem.metrics}

    def fit(self, genomes: Sequence[Genome], values: Mapping[str, FloatArray]) -> None:
        """Fit the models of the metrics in ``values``; see the protocol."""
        features = self._features(genomes)
        for metric, column in values.items():
            self._models[metric].fit(features, column)

    def predict(
        self, genomes: Sequence[Genome], metrics: Sequence[str]
    ) -> dict[str, tuple[FloatArray, FloatArray]]:
        """Predict mean and standard deviation; see the protocol."""
        features = self._features(genomes)
        return {metric: self._models[metric].predict(features) for metric in metrics}
