"""One model of (design, device) pairs: a new device needs its anchors only, and no training.

Scaling up after Bingqian Lu et al., "Scaling Up Deep Neural Network Optimization for Edge
Inference" (2020): the device is part of the input.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evonas.errors import DataError
from evonas.space import FloatArray
from evonas.surrogates.transfer.proxy_model import ProxyModel

PAIRS = 40_000
"""(Design, device) pairs that the model is trained on, at most."""


class JointPredictor:
    """XGBoost over the features of a design and the description of a device.

    A device is described by its costs on fixed anchor designs, each relative to their geometric
    mean, and by stated features (cores, clock, memory bandwidth). What is predicted is the cost
    relative to that mean, so that the scale of a device is never extrapolated.
    """

    def fit(
        self,
        features: FloatArray,
        known: FloatArray,
        anchors: FloatArray,
        rng: np.random.Generator,
        stated: FloatArray | None = None,
    ) -> JointPredictor:
        """Train on known devices.

        Args:
            features: Of designs, shape (n, columns).
            known: Costs, shape (n, devices), positive; NaN where a device lacks a design.
            anchors: Indices of the anchor designs; every device must have them.
            rng: Chooses the pairs.
            stated: Features of the devices, shape (devices, features).

        Raises:
            DataError: A device lacks an anchor.
        """
        if not np.isfinite(known[anchors]).all():
            device = int(np.flatnonzero(~np.isfinite(known[anchors]).all(axis=0))[0])
            raise DataError(f"known device {device} lacks an anchor design; measure all of them")
        pairs = np.argwhere(np.isfinite(known))
        pairs = pairs[rng.permutation(len(pairs))[:PAIRS]]
        described = [
            self._describe(known[anchors, device], None if stated is None else stated[device])
            for device in range(known.shape[1])
        ]
        inputs = np.hstack(
            [features[pairs[:, 0]], np.array([text for text, _ in described])[pairs[:, 1]]]
        )
        scales = np.array([scale for _, scale in described])
        self._model = ProxyModel(additive=False)
        self._model.fit(inputs, known[pairs[:, 0], pairs[:, 1]] / scales[pairs[:, 1]])
        return self

    @staticmethod
    def _describe(costs: FloatArray, stated: FloatArray | None) -> tuple[FloatArray, float]:
        scale = float(np.exp(np.log(costs).mean()))
        parts = [np.log(costs / scale)] + ([] if stated is None else [np.asarray(stated)])
        return np.concatenate(parts), scale

    def predict(
        self, features: FloatArray, anchor_costs: FloatArray, stated: FloatArray | None = None
    ) -> FloatArray:
        """Predict costs on a device.

        Args:
            features: Of designs, shape (n, columns).
            anchor_costs: The device's costs of the anchor designs, positive.
            stated: Its stated features, if the model was trained with some.

        Returns:
            Costs of shape (n,).

        Raises:
            DataError: An anchor's cost is not positive, or there are not as many features, anchors
                and stated features as the model was trained with.
        """
        if not (np.isfinite(anchor_costs) & (anchor_costs > 0)).all():
            raise DataError("an anchor's cost is not a positive number; measure all of them")
        described, scale = self._describe(anchor_costs, stated)
        inputs = np.hstack([features, np.tile(described, (len(features), 1))])
        if inputs.shape[1] != self._model.columns:
            given = "without stated features" if stated is None else f"{np.size(stated)} stated"
            raise DataError(
                f"the model was trained with {self._model.columns} features, anchors and stated "
                f"features in all; given are {features.shape[1]} features and "
                f"{len(anchor_costs)} anchors, {given}"
            )
        return self._model.predict(inputs) * scale

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The trained model as arrays."""
        return self._model.to_arrays()

    @classmethod
    def from_arrays(cls, saved: Mapping[str, NDArray[Any]]) -> JointPredictor:
        """Read what :meth:`to_arrays` gave; it predicts the same."""
        joint = cls()
        joint._model = ProxyModel.from_arrays(saved)
        return joint
