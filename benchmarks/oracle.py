"""A surrogate that knows most of a table: how much a better one could gain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from xgboost import XGBRegressor

from benchmarks.tabular import Tabular
from evonas.space import FloatArray, Genome
from evonas.surrogates.encoding import metric_groups
from evonas.surrogates.initial_design import initial_design

FOLDS = 5

GROUPS = 50
"""Designs whose errors are predicted to spread alike share a deviation."""

SAMPLED: dict[str, Any] = {"subsample": 0.8, "colsample_bytree": 0.5, "n_jobs": 1}
MEANS: dict[str, Any] = {
    **SAMPLED,
    "n_estimators": 300,
    "max_depth": 6,
    "learning_rate": 0.07,
    "min_child_weight": 2,
}
QUANTILES: dict[str, Any] = {
    **SAMPLED,
    "objective": "reg:quantileerror",
    "quantile_alpha": [0.16, 0.84],
    "n_estimators": 60,
    "max_depth": 4,
    "learning_rate": 0.15,
    "min_child_weight": 20,
}


class OracleSurrogate:
    """An :class:`evonas.protocols.Surrogate` whose trees know four fifths of all designs.

    Each design is predicted by trees that were fitted without it, and nothing is learnt while
    searching. What lies between the quantiles of the error at 16 and 84 % is predicted in the same
    way; the deviation is the root mean square error of designs of which that is similar.

    Args:
        tabular: The whole table.
        seed: Seed of the folds and the trees.
    """

    def __init__(self, tabular: Tabular, seed: int) -> None:
        problem, genomes = tabular.problem, tabular.genomes
        self._problem = problem
        self._row = tabular.row
        self._known: dict[str, tuple[FloatArray, FloatArray]] = {}
        folds = PredefinedSplit(np.random.default_rng(seed).permutation(len(genomes)) % FOLDS)
        mean_trees = XGBRegressor(**MEANS, random_state=seed)
        error_trees = XGBRegressor(**QUANTILES, random_state=seed)
        for objective in problem.objectives:
            name = objective.metric
            values = np.array([problem.evaluate(genome, [name])[name] for genome in genomes])
            groups = metric_groups(problem, problem.metric(name), genomes)
            features = np.hstack([view for group in groups for view in group.views])
            means = cross_val_predict(mean_trees, features, values, cv=folds).astype(float)
            features = np.column_stack([features, means])
            ends = cross_val_predict(error_trees, features, values - means, cv=folds)
            spread = np.diff(ends.astype(float))[:, 0]
            group = np.argsort(np.argsort(spread)) * GROUPS // len(means)
            squares = np.bincount(group, np.square(means - values)) / np.bincount(group)
            self._known[name] = means, np.sqrt(squares)[group]

    def initial_design(self, genomes: Sequence[Genome], n: int) -> list[int]:
        """Begin as EvoNAS's own surrogate would; see the protocol."""
        return initial_design(self._problem, genomes, n)

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
