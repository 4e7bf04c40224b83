"""A surrogate that is told most of a table, to tell what a better one could gain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xgboost
from numpy.typing import NDArray

from evonas.space import FloatArray, Genome
from surrogates.features import metric_groups
from surrogates.telling import opening

if TYPE_CHECKING:
    from runners.bench.prune_methods import Oracle

FOLDS = 5

GROUPS = 50
"""Designs whose errors are predicted to spread alike share a deviation."""

MEANS: dict[str, Any] = {"max_depth": 6, "eta": 0.07, "min_child_weight": 2}
QUANTILES: dict[str, Any] = {
    "objective": "reg:quantileerror",
    "quantile_alpha": np.array([0.16, 0.84]),
    "max_depth": 4,
    "eta": 0.15,
    "min_child_weight": 20,
}
SAMPLED: dict[str, Any] = {"subsample": 0.8, "colsample_bytree": 0.5, "nthread": 1}


class Informed:
    """An :class:`evonas.protocols.Surrogate` whose trees know four fifths of all designs.

    Each design is predicted by trees that were fitted without it, and nothing is learnt while
    searching. What lies between the quantiles of the error at 16 and 84 % is predicted in the same
    way; the deviation is the root mean square error of designs of which that is similar.

    Args:
        oracle: The whole table.
        seed: Of the folds and the trees.
    """

    def __init__(self, oracle: Oracle, seed: int) -> None:
        problem, genomes = oracle.problem, oracle.genomes
        self._problem = problem
        self._row = oracle.row
        self._known: dict[str, tuple[FloatArray, FloatArray]] = {}
        fold = np.random.default_rng(seed).permutation(len(genomes)) % FOLDS
        for objective in problem.objectives:
            name = objective.metric
            values = np.array([problem.evaluate(genome, [name])[name] for genome in genomes])
            groups = metric_groups(problem, problem.metric(name), genomes)
            features = np.hstack([view for group in groups for view in group.views])
            means = _out_of_fold(features, values, fold, MEANS | {"seed": seed}, 300)
            features = np.column_stack([features, means])
            ends = _out_of_fold(features, values - means, fold, QUANTILES | {"seed": seed}, 60)
            spread = ends[:, 1] - ends[:, 0]
            group = np.argsort(np.argsort(spread)) * GROUPS // len(means)
            squares = np.bincount(group, np.square(means - values)) / np.bincount(group)
            self._known[name] = means, np.sqrt(squares)[group]

    def opening(self, genomes: Sequence[Genome], n: int) -> list[int]:
        """Begin as EvoNAS's own surrogate would; see the protocol."""
        return opening(self._problem, genomes, n)

    def fit(self, genomes: Sequence[Genome], values: Mapping[str, FloatArray]) -> None:
        """Learn nothing more."""

    def predict(
        self, genomes: Sequence[Genome], metrics: Sequence[str]
    ) -> dict[str, tuple[FloatArray, FloatArray]]:
        """Predict mean and standard deviation; see the protocol.

        What the table does not hold is infeasible, so that it does not matter what is said of it.
        """
        rows = [self._row(genome) or 0 for genome in genomes]
        return {name: (self._known[name][0][rows], self._known[name][1][rows]) for name in metrics}


def _out_of_fold(
    features: FloatArray,
    values: FloatArray,
    fold: NDArray[np.int_],
    parameters: dict[str, Any],
    rounds: int,
) -> FloatArray:
    """Predict every row by trees that were fitted to the other folds."""
    rows, blocks = [], []
    for number in range(FOLDS):
        own = fold == number
        data = xgboost.QuantileDMatrix(features[~own], values[~own])
        booster = xgboost.train(parameters | SAMPLED, data, rounds)
        rows.append(np.flatnonzero(own))
        blocks.append(booster.inplace_predict(features[own]))
    predicted: FloatArray = np.concatenate(blocks)[np.argsort(np.concatenate(rows))].astype(float)
    return predicted
