"""What a search expects of designs that it has not evaluated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evonas.errors import InfeasibleError
from evonas.memory import Memory
from evonas.pareto import non_dominated
from evonas.problem import Problem
from evonas.protocols import Surrogate
from evonas.records import Evaluation, Prediction, Status
from evonas.space import FloatArray, Genome

ENOUGH = 10
"""Evaluations from which on there is a forecast."""

TINY = 1e-12
"""Least standard deviation of a prediction; 0 marks a value that is known."""


@dataclass(frozen=True)
class Outlook:
    """Predictions for n designs; a value that is known has the deviation 0.

    Args:
        means: Metric -> array of shape (n,), in the metric's unit.
        deviations: Metric -> array of shape (n,), standard deviations.
        impossible: Shape (n,): designs that are known to have no values.
    """

    means: Mapping[str, FloatArray]
    deviations: Mapping[str, FloatArray]
    impossible: NDArray[np.bool_]

    def predictions(self, row: int) -> dict[str, Prediction]:
        """Return the predictions of one design, those of known values left out."""
        return {
            metric: Prediction(float(self.means[metric][row]), float(deviations[row]))
            for metric, deviations in self.deviations.items()
            if deviations[row] > 0
        }


class Forecast:
    """Keeps what was evaluated, and predicts from it what objectives and constraints need.

    Values in memory are used as they are, cheap metrics are computed, and only expensive ones are
    predicted. The surrogate is fitted again when it is needed and something new is known, on rows
    in the order of proposal, so that a forecast does not depend on the order in which workers
    finish.

    Args:
        problem: What is searched.
        surrogate: Predicts the expensive metrics.
    """

    def __init__(self, problem: Problem, surrogate: Surrogate) -> None:
        self._problem = problem
        self._surrogate = surrogate
        self._memory = Memory(problem)
        self._evaluations: list[Evaluation] = []
        self._fitted = 0
        needed = [o.metric for o in problem.objectives] + [c.metric for c in problem.constraints]
        self._metrics = [problem.metric(name) for name in dict.fromkeys(needed)]
        self._expensive = [m.name for m in self._metrics if m.expensive]

    @property
    def ready(self) -> bool:
        """Whether enough is known to predict anything."""
        return len(self._evaluations) >= ENOUGH

    @property
    def evaluations(self) -> Sequence[Evaluation]:
        """Everything observed that has values, in the order of proposal."""
        return self._evaluations

    def observe(self, evaluations: Iterable[Evaluation]) -> None:
        """Learn from evaluations; failures have no values and teach nothing."""
        for evaluation in evaluations:
            if all(m.name in evaluation.values for m in self._metrics):
                self._memory.add(evaluation)
                self._evaluations.append(evaluation)
        self._evaluations.sort(key=lambda evaluation: evaluation.candidate.id)

    def front(self) -> list[Evaluation]:
        """Return the feasible evaluations that no other dominates."""
        feasible = [e for e in self._evaluations if e.status is Status.OK]
        return [feasible[i] for i in non_dominated(self.costs(feasible))]

    def costs(self, evaluations: Sequence[Evaluation]) -> FloatArray:
        """Return objectives as costs, shape (evaluations, objectives)."""
        objectives = self._problem.objectives
        rows = [[o.sign * e.values[o.metric] for o in objectives] for e in evaluations]
        return np.array(rows).reshape(len(rows), len(objectives))

    def outlook(self, genomes: Sequence[Genome]) -> Outlook:
        """Predict designs; the forecast must be ready."""
        if self._fitted != len(self._evaluations):
            self._fit()
        names = [m.name for m in self._metrics]
        predicted = self._surrogate.predict(genomes, self._expensive) if self._expensive else {}
        zeros = np.zeros(len(genomes))
        means = {name: zeros.copy() for name in names}
        deviations = {name: zeros.copy() for name in names}
        for name, (mean, deviation) in predicted.items():
            means[name], deviations[name] = mean.copy(), np.maximum(deviation, TINY)
        impossible = np.zeros(len(genomes), dtype=bool)
        for row, genome in enumerate(genomes):
            known = self._known(genome)
            if known is None:
                impossible[row] = True
                continue
            for name, value in known.items():
                means[name][row], deviations[name][row] = value, 0.0
        return Outlook(means, deviations, impossible)

    def _known(self, genome: Genome) -> dict[str, float] | None:
        """Return what need not be predicted; ``None`` for a design that has no values."""
        recalled = self._memory.recall(genome, self._metrics)
        known = {name: value for name, (_, value) in recalled.items()}
        missing = [m.name for m in self._metrics if not m.expensive and m.name not in known]
        if missing:
            try:
                values = self._problem.evaluate(genome, missing)
            except InfeasibleError:
                return None
            known |= {name: float(values[name]) for name in missing}
        return known

    def _fit(self) -> None:
        rows = self._evaluations
        values = {name: np.array([row.values[name] for row in rows]) for name in self._expensive}
        if values:
            self._surrogate.fit([row.candidate.genome for row in rows], values)
        self._fitted = len(rows)
