"""Values of metrics that are known, so that nothing is measured twice."""

from __future__ import annotations

from collections.abc import Iterable

from evonas.problem import Metric, Problem
from evonas.records import Evaluation
from evonas.space import Genome, genome_key

Key = tuple[str, str]
"""A metric's name and the key of what it depends on (:meth:`Problem.memory_key`)."""


class Memory:
    """Values of metrics, and which candidate is measuring what right now.

    Args:
        problem: The problem, which says what each metric depends on.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._measured = problem.measured_metrics
        self._known: dict[Key, tuple[int, float]] = {}
        self._measuring: dict[Key, int] = {}

    def _key(self, metric: str, genome: Genome) -> Key:
        return metric, genome_key(self._problem.memory_key(metric, genome))

    def recall(
        self, genome: Genome, metrics: Iterable[Metric] | None = None
    ) -> dict[str, tuple[int, float]]:
        """Return what is known of a genome.

        Args:
            genome: The design, in canonical form.
            metrics: Measured metrics that are wanted; ``None`` means all of them.

        Returns:
            Metric -> (id of the candidate that it was measured of, value in the metric's unit).
        """
        wanted = self._measured if metrics is None else metrics
        keys = {m.name: self._key(m.name, genome) for m in wanted}
        return {name: self._known[key] for name, key in keys.items() if key in self._known}

    def is_measuring(self, genome: Genome, metrics: Iterable[str]) -> bool:
        """Whether another candidate is measuring one of these metrics with the same key."""
        return any(self._key(metric, genome) in self._measuring for metric in metrics)

    def start(self, candidate: int, genome: Genome, metrics: Iterable[str]) -> None:
        """Note that a candidate is measuring these metrics."""
        for metric in metrics:
            self._measuring[self._key(metric, genome)] = candidate

    def add(self, evaluation: Evaluation) -> None:
        """Keep an evaluation's values; the first measurement of a value stays."""
        candidate = evaluation.candidate
        for metric in self._measured:
            key = self._key(metric.name, candidate.genome)
            if self._measuring.get(key) == candidate.id:
                del self._measuring[key]
            if metric.name in evaluation.values:
                self._known.setdefault(key, (candidate.id, evaluation.values[metric.name]))
