"""The predictor of a richly measured device."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray

from evonas.errors import DataError
from evonas.space import FloatArray
from evonas.surrogates.transfer.additive import column_costs, with_constant

ROUNDS = 300

LEAST_ADDED = 1e-9
"""Least cost that columns add up to, as a share of the constant's."""


class ProxyModel:
    """Costs that add up, corrected by XGBoost; monotone in named columns.

    Non-negative costs of the columns come first (see
    :func:`evonas.surrogates.transfer.additive.column_costs`); gradient-boosted trees (Chen and
    Guestrin 2016) then learn the logarithm of what is left.

    Args:
        rising: Columns that the cost never falls with (the width knob, say).
        additive: Whether to begin with costs that add up.
    """

    def __init__(self, rising: Sequence[int] = (), *, additive: bool = True) -> None:
        self._rising, self._additive = list(rising), additive

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
        """How many features of a design it was fitted to."""
        return len(self._costs) - 1

    def predict(self, features: FloatArray) -> FloatArray:
        """Predict costs of shape (n,)."""
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
            DataError: It is damaged.
        """
        model = cls()
        model._costs = saved["columns"]
        try:
            raw = bytearray(zlib.decompress(saved["trees"].tobytes()))
            model._booster = xgboost.Booster(model_file=raw)
        except (zlib.error, xgboost.core.XGBoostError):
            raise DataError("a known device's saved model is damaged; fit it again") from None
        return model
