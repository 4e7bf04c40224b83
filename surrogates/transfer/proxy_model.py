"""The predictor of a proxy device, which was measured on many designs.

What every column of a view costs is fitted first, none less than nothing; trees correct the sum.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray
from scipy.optimize import nnls

from evonas.errors import DataError
from evonas.space import FloatArray

ROUNDS = 300
"""Number of trees."""

LEAST_ADDED = 1e-9
"""Least cost that columns add up to, as a share of the constant's."""

RIDGE = 1e-3
"""How strongly the columns are drawn towards equal shares of the cost."""

LEAST = 0.02
"""Least share of the cost that all columns together have."""

CHEAP = 0.3
"""Costs below this share of the median count by their absolute error."""


def with_constant(view: FloatArray) -> FloatArray:
    """Put a column of ones before a view of shape (designs, columns)."""
    return np.hstack([np.ones((len(view), 1)), view])


def column_costs(view: FloatArray, costs: FloatArray) -> FloatArray:
    """Fit what columns cost by non-negative ridge regression of relative errors.

    Args:
        view: Feature view, shape (designs, columns). Columns with negative values cost nothing.
        costs: Costs of the designs, positive, shape (designs,).

    Returns:
        Costs of a constant and of a unit of every column, shape (1 + columns,), in the unit of
        the costs.
    """
    columns = with_constant(view)
    means = columns.mean(axis=0)
    used = (columns >= 0).all(axis=0) & (means > 1e-9)
    columns, count, median = columns[:, used] / means[used], int(used.sum()), np.median(costs)
    weight = 1 / np.maximum(costs, CHEAP * median)
    weighted = columns * weight[:, None]
    prior = RIDGE * len(costs) / median**2
    root = np.linalg.cholesky(weighted.T @ weighted + prior * np.eye(count))
    right = weighted.T @ (costs * weight) + prior * median / count
    fitted = nnls(root.T, np.linalg.solve(root, right))[0]
    found = np.zeros(len(used))
    found[used] = np.maximum(fitted, LEAST * median / count) / means[used]
    return found


class ProxyModel:
    """Costs that add up, corrected by XGBoost; monotone in named columns.

    Non-negative costs of the columns come first (see :func:`column_costs`); gradient-boosted trees
    (Chen and Guestrin 2016) then learn the logarithm of what is left.

    Args:
        rising: Indices of columns that the cost never falls with (the width knob, say).
        additive: Whether to begin with costs that add up.
    """

    def __init__(self, rising: Sequence[int] = (), *, additive: bool = True) -> None:
        self._rising, self._additive = list(rising), additive

    def fit(self, features: FloatArray, costs: FloatArray) -> ProxyModel:
        """Fit to features of shape (n, columns) and costs of shape (n,); NaN costs are left out.

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
            "eta": 0.05,
            "subsample": 0.8,
            "colsample_bytree": 0.6,
            "min_child_weight": 2,
            "monotone_constraints": tuple(directions),
            "nthread": 1,
            "seed": 0,
        }
        columns = features[used] if self._additive else np.zeros_like(features[used])
        self._costs = column_costs(columns, costs[used])
        data = self._matrix(features[used])
        data.set_label(np.log(costs[used]))
        self._booster = xgboost.train(parameters, data, ROUNDS)
        return self

    @property
    def columns(self) -> int:
        """Number of columns that it was fitted to."""
        return len(self._costs) - 1

    def predict(self, features: FloatArray) -> FloatArray:
        """Predict costs of shape (n,) from features of shape (n, columns)."""
        predicted: FloatArray = np.exp(self._booster.predict(self._matrix(features)).astype(float))
        return predicted

    def _matrix(self, features: FloatArray) -> xgboost.DMatrix:
        """Features, with what the additive part predicts to start from."""
        added = with_constant(features)[:, self._costs > 0] @ self._costs[self._costs > 0]
        # Never nothing, in whatever unit; what is constant always costs something.
        floor = LEAST_ADDED * self._costs[0]
        return xgboost.DMatrix(features, base_margin=np.log(np.maximum(added, floor)))

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The fitted model: costs of columns, and XGBoost's UBJSON, compressed."""
        packed = zlib.compress(bytes(self._booster.save_raw("ubj")))
        return {"columns": self._costs, "trees": np.frombuffer(packed, dtype=np.uint8)}

    @classmethod
    def from_arrays(cls, saved: Mapping[str, NDArray[Any]]) -> ProxyModel:
        """Read what :meth:`to_arrays` gave; it predicts the same.

        Raises:
            DataError: The model is damaged.
        """
        model = cls()
        model._costs = saved["columns"]
        try:
            raw = bytearray(zlib.decompress(saved["trees"].tobytes()))
            model._booster = xgboost.Booster(model_file=raw)
        except (zlib.error, xgboost.core.XGBoostError):
            raise DataError("a proxy device's saved model is damaged; fit it again") from None
        return model
