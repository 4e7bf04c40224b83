"""Gradient-boosted trees, monotone where the metric is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xgboost

from evonas.space import FloatArray

ROUNDS = 150
"""Number of trees."""

FOLDS = 4
"""Parts of the rows that are left out in turn."""


class Trees:
    """XGBoost (Chen and Guestrin 2016) with squared error, which honours monotone constraints.

    Args:
        directions: 1, -1 or 0 for each of the first columns: the score rises, falls, or neither.
        seed: Seed of the sampling of rows and columns for every tree.
    """

    def __init__(self, directions: Sequence[int] = (), seed: int = 0) -> None:
        self._directions = list(directions)
        self._seed = seed

    def fit(self, features: FloatArray, scores: FloatArray) -> None:
        """Fit to rows of shape (n, columns) and their scores of shape (n,)."""
        free = [0] * (features.shape[1] - len(self._directions))
        parameters = {
            "max_depth": 4,
            "eta": 0.08,
            "subsample": 0.8,
            "colsample_bytree": 0.5,
            "min_child_weight": 2,
            "monotone_constraints": (*self._directions, *free),
            "nthread": 1,
            "seed": self._seed,
        }
        self._booster = xgboost.train(parameters, xgboost.DMatrix(features, scores), ROUNDS)

    def predict(self, features: FloatArray) -> FloatArray:
        """Predict the scores of rows of shape (n, columns), shape (n,)."""
        predicted: FloatArray = self._booster.inplace_predict(features).astype(float)
        return predicted


def out_of_fold(features: FloatArray, scores: FloatArray, directions: Sequence[int]) -> FloatArray:
    """Predict every row by trees that were fitted without it (cross-validation).

    Row i is in fold i mod ``FOLDS``.

    Args:
        features: Rows of shape (n, columns).
        scores: Their scores, shape (n,).
        directions: See :class:`Trees`.

    Returns:
        Scores of shape (n,).
    """
    fold = np.arange(len(scores)) % FOLDS
    predicted = np.empty(len(scores))
    for number in range(FOLDS):
        trees = Trees(directions)
        trees.fit(features[fold != number], scores[fold != number])
        predicted[fold == number] = trees.predict(features[fold == number])
    return predicted
