"""The predictor of a richly measured device."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import xgboost

from evonas.errors import DataError
from evonas.space import FloatArray

ROUNDS = 300


class ProxyModel:
    """XGBoost (Chen and Guestrin 2016) of the logarithm of a cost, monotone in named columns.

    Args:
        rising: Columns that the cost never falls with (the width knob, say).
    """

    def __init__(self, rising: Sequence[int] = ()) -> None:
        self._rising = list(rising)

    def fit(self, features: FloatArray, costs: FloatArray) -> ProxyModel:
        """Fit to designs of shape (n, columns) and their costs (n,); NaN costs are left out.

        Raises:
            DataError: Fewer than two designs have a cost, or one has a cost that is not positive.
        """
        used = np.isfinite(costs)
        if used.sum() < 2:
            raise DataError(f"a proxy has {int(used.sum())} measured designs; it needs 2 or more")
        if (costs[used] <= 0).any():
            raise DataError("a proxy holds a cost that is not positive")
        directions = [int(column in self._rising) for column in range(features.shape[1])]
        parameters = {
            "max_depth": 4,
            "eta": 0.1,
            "subsample": 0.8,
            "colsample_bytree": 0.6,
            "min_child_weight": 2,
            "monotone_constraints": tuple(directions),
            "nthread": 1,
            "seed": 0,
        }
        data = xgboost.DMatrix(features[used], np.log(costs[used]))
        self._booster = xgboost.train(parameters, data, ROUNDS)
        return self

    def predict(self, features: FloatArray) -> FloatArray:
        """Predict costs of shape (n,)."""
        predicted: FloatArray = np.exp(
            self._booster.predict(xgboost.DMatrix(features)).astype(float)
        )
        return predicted

    def to_json(self) -> dict[str, Any]:
        """The fitted model as plain JSON."""
        model: dict[str, Any] = json.loads(self._booster.save_raw("json").decode())
        return {"rising": self._rising, "model": model}

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> ProxyModel:
        """Read what :meth:`to_json` gave; it predicts the same."""
        model = cls(saved["rising"])
        raw = bytearray(json.dumps(saved["model"]).encode())
        model._booster = xgboost.Booster(model_file=raw)
        return model
