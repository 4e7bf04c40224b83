"""The posterior of designs that were not evaluated: what is expected of them, and how surely."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evonas.derived import derivation_order, propagate
from evonas.evaluation import evaluate
from evonas.memory import Memory
from evonas.one_hot import OneHot
from evonas.pareto import non_dominated
from evonas.problem import Problem, objective_costs
from evonas.protocols import Surrogate
from evonas.records import Candidate, Evaluation, Prediction, Status, Task
from evonas.space import FloatArray, Genome, genome_key

ENOUGH = 10
"""Number of evaluations from which on designs are predicted."""

OPTIMISM = 0.5
"""Number of standard deviations by which an optimistic prediction is better than its mean."""

TINY = 1e-12
"""Least standard deviation of a prediction; 0 marks a value that is known."""

NEAREST = 5
"""Number of nearest neighbours that estimate how likely a design has values."""

Pairs = list[tuple[float, float]]
"""Mean and standard deviation of every metric that objectives and constraints need."""


@dataclass(frozen=True)
class Posterior:
    """Predictions for n designs; a value that is known has the deviation 0.

    Args:
        means: Metric -> array of shape (n,), in the metric's unit.
        deviations: Metric -> array of shape (n,), standard deviations.
        success: Probability of having values, shape (n,); 0 where it is known that there are none.
    """

    means: Mapping[str, FloatArray]
    deviations: Mapping[str, FloatArray]
    success: FloatArray

    @property
    def impossible(self) -> NDArray[np.bool_]:
        """Designs that are known to have no values, shape (n,)."""
        impossible: NDArray[np.bool_] = self.success == 0
        return impossible

    def predictions(self, row: int) -> dict[str, Prediction]:
        """Return the predictions of one design, those of known values left out."""
        return {
            metric: Prediction(float(self.means[metric][row]), float(deviations[row]))
            for metric, deviations in self.deviations.items()
            if deviations[row] > 0
        }


class PosteriorModel:
    """Keeps what was evaluated, and predicts from it what objectives and constraints need.

    Values in memory are used as they are, cheap metrics are computed, and only expensive ones are
    predicted. The surrogate is fitted again when it is needed and something new is known, on rows
    in the order of proposal, so that a posterior does not depend on the order in which workers
    finish.

    Args:
        problem: The problem to search.
        surrogate: Surrogate that predicts the expensive metrics.
    """

    def __init__(self, problem: Problem, surrogate: Surrogate) -> None:
        self._problem = problem
        self._surrogate = surrogate
        self._memory = Memory(problem)
        self._evaluations: list[Evaluation] = []
        self._failures: list[Evaluation] = []
        self._one_hot = OneHot(problem.space)
        self._vectors: FloatArray | None = None
        self._fitted = 0
        self._least: dict[str, float] = {}
        self._cache: dict[str, Pairs | None] = {}
        needed = [o.metric for o in problem.objectives] + [c.metric for c in problem.constraints]
        self._metrics = list(dict.fromkeys(needed))
        order = derivation_order(problem, self._metrics)
        # In the order of the objectives: models are fitted one after the other.
        self._parts = [m for m in order if not m.derived_from]
        self._parts.sort(
            key=lambda m: self._metrics.index(m.name) if m.name in self._metrics else len(order)
        )
        self._expensive = [m.name for m in self._parts if m.expensive]
        self._nothing: Pairs = [(0.0, 0.0) for _ in self._metrics]

    @property
    def ready(self) -> bool:
        """Whether enough is known to predict anything."""
        return sum(e.source is None for e in self._evaluations) >= ENOUGH

    @property
    def evaluations(self) -> Sequence[Evaluation]:
        """Everything observed that has values, in the order of proposal."""
        return self._evaluations

    def observe(self, evaluations: Iterable[Evaluation]) -> None:
        """Learn from evaluations; those without values teach where others may fail."""
        for evaluation in evaluations:
            if all(name in evaluation.values for name in self._metrics):
                self._memory.add(evaluation)
                self._evaluations.append(evaluation)
            else:
                self._failures.append(evaluation)
        for seen in (self._evaluations, self._failures):
            seen.sort(key=lambda evaluation: evaluation.candidate.id)
        self._vectors = None

    def initial_design(self, genomes: Sequence[Genome], n: int) -> list[Genome]:
        """Choose the designs to begin with."""
        return [genomes[row] for row in self._surrogate.initial_design(genomes, n)]

    def front(self) -> list[Evaluation]:
        """Return the feasible evaluations that no other dominates."""
        feasible = [e for e in self._evaluations if e.status is Status.OK]
        return [feasible[i] for i in non_dominated(self.costs(feasible))]

    def costs(self, evaluations: Sequence[Evaluation]) -> FloatArray:
        """Return objectives as costs; see :func:`evonas.problem.objective_costs`."""
        return objective_costs(self._problem.objectives, evaluations)

    def least_costs(self) -> FloatArray:
        """Bound costs from below, shape (objectives,).

        An objective to minimise that was never negative, such as a time, is taken to be never so.
        """
        seen = self.costs(self._evaluations)
        minimised = np.array([objective.sign > 0 for objective in self._problem.objectives])
        return np.where(minimised & (seen >= 0).all(axis=0), 0.0, -np.inf)

    def posterior(self, genomes: Sequence[Genome]) -> Posterior:
        """Predict designs; the model must be :attr:`ready`.

        Args:
            genomes: Designs, in canonical form.
        """
        if self._fitted != len(self._evaluations):
            self._fit()
        keys = [genome_key(genome) for genome in genomes]
        new = {key: g for key, g in zip(keys, genomes, strict=True) if key not in self._cache}
        if new:
            self._cache.update(zip(new, self._predict(list(new.values())), strict=True))
        rows = [self._cache[key] for key in keys]
        table = np.array([row or self._nothing for row in rows])
        table = table.reshape(len(rows), len(self._metrics), 2)
        return Posterior(
            {name: table[:, column, 0] for column, name in enumerate(self._metrics)},
            {name: table[:, column, 1] for column, name in enumerate(self._metrics)},
            np.where([row is None for row in rows], 0.0, self._success(genomes)),
        )

    def _success(self, genomes: Sequence[Genome]) -> FloatArray:
        """Estimate how likely designs have values, shape (n,).

        This is the share of successes among the nearest neighbours, weighted by inverse distance
        and shrunk towards a half as if by one more of them, so that it is never 0 or 1. As long as
        nothing has failed, it is 1.
        """
        if not self._failures:
            return np.ones(len(genomes))
        if self._vectors is None:  # Looking ahead asks many times between two observations.
            seen = (*self._evaluations, *self._failures)
            self._vectors = self._encode([evaluation.candidate.genome for evaluation in seen])
        own, others = self._encode(genomes), self._vectors
        products = 2 * np.einsum("nc,mc->nm", own, others)
        squares = np.square(own).sum(axis=1)[:, None] + np.square(others).sum(axis=1) - products
        few = min(NEAREST, len(others))
        nearest = np.argpartition(squares, few - 1, axis=1)[:, :few]
        distances = np.sqrt(np.maximum(np.take_along_axis(squares, nearest, axis=1), 0))
        weights = 1 / np.maximum(distances, 1e-6)
        weights *= few / weights.sum(axis=1, keepdims=True)
        successes = (weights * (nearest < len(self._evaluations))).sum(axis=1)
        share: FloatArray = (successes + 0.5) / (few + 1)
        return share

    def _encode(self, genomes: Sequence[Genome]) -> FloatArray:
        return self._one_hot(self._problem.space.encode(genomes))

    def _predict(self, genomes: Sequence[Genome]) -> list[Pairs | None]:
        """Predict mean and deviation of every metric; ``None`` for a design that has no values."""
        predicted = self._surrogate.predict(genomes, self._expensive) if self._expensive else {}
        known = [self._known(genome) for genome in genomes]
        there = [row for row, values in enumerate(known) if values is not None]
        means, deviations = {}, {}
        for name in (m.name for m in self._parts):
            mean, deviation = np.zeros(len(genomes)), np.zeros(len(genomes))
            if name in predicted:
                mean = np.array(predicted[name][0], dtype=float)
                deviation = np.maximum(predicted[name][1], TINY)
            for row, values in enumerate(known):
                if values is not None and name in values:
                    mean[row], deviation[row] = values[name], 0.0
            means[name], deviations[name] = mean[there], deviation[there]
        means, deviations = propagate(self._problem, self._metrics, means, deviations, self._least)
        found: list[Pairs | None] = [None] * len(genomes)
        for column, row in enumerate(there):
            pairs = [
                (float(means[name][column]), float(deviations[name][column]))
                for name in self._metrics
            ]
            if np.isfinite(pairs).all():  # A derived metric may have no value there.
                found[row] = pairs
        return found

    def _known(self, genome: Genome) -> dict[str, float] | None:
        """Return the parts that need not be predicted; ``None`` for a design without values."""
        recalled = self._memory.recall(genome, self._parts)
        known = {name: value for name, (_, value) in recalled.items()}
        missing = tuple(m.name for m in self._parts if not m.expensive and m.name not in known)
        if missing:
            evaluation = evaluate(self._problem, Task(Candidate(-1, genome, -1), missing))
            if evaluation.status is not Status.OK:
                return None
            known |= evaluation.values
        return known

    def forget(self) -> None:
        """Forget predictions, which are cached within a round of proposals.

        Nothing is kept between rounds, so that a resumed search goes on as one without a break.
        """
        self._cache.clear()

    def _fit(self) -> None:
        # Free designs share their expensive values with an evaluated one, and teach nothing new.
        rows = [row for row in self._evaluations if row.source is None]
        values = {name: np.array([row.values[name] for row in rows]) for name in self._expensive}
        # Parts that were never negative, such as times, are taken to be never so.
        self._least = {name: 0.0 for name, column in values.items() if (column >= 0).all()}
        if values:
            self._surrogate.fit([row.candidate.genome for row in rows], values)
        self._fitted = len(self._evaluations)
        self.forget()
