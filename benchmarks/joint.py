"""One model of (design, device) pairs: a new device needs a few anchor designs, and no training.

The device is part of the input, as in Bingqian Lu et al., "Scaling Up Deep Neural Network
Optimization for Edge Inference" (2020).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evonas.space import FloatArray
from evonas.surrogates.transfer import ProxyModel

PAIRS = 40_000
"""(Design, device) pairs that the model is trained on, at most."""


def predict_jointly(
    features: FloatArray,
    known: FloatArray,
    anchors: NDArray[np.intp],
    costs: FloatArray,
    rng: np.random.Generator,
) -> FloatArray:
    """Train XGBoost on known devices, and predict the costs of all designs on another one.

    A device is described by its costs on the anchor designs, each relative to their geometric
    mean. What is predicted is the cost relative to that mean, so that the scale of a device is
    never extrapolated.

    Args:
        features: Features of the designs, shape (designs, columns).
        known: Costs on the known devices, shape (designs, devices), positive; NaN where a device
            lacks a design. A device that lacks an anchor teaches nothing.
        anchors: Rows of the anchor designs, shape (anchors,).
        costs: Costs of the anchor designs on the other device, shape (anchors,).
        rng: Chooses the pairs.

    Returns:
        Costs of shape (designs,).

    Raises:
        DataError: No known device has all anchors.
    """
    known = known[:, np.isfinite(known[anchors]).all(axis=0)]
    pairs = np.argwhere(np.isfinite(known))
    designs, devices = pairs[rng.permutation(len(pairs))[:PAIRS]].T
    scales = np.exp(np.log(known[anchors]).mean(axis=0))
    described = np.log(known[anchors] / scales).T
    model = ProxyModel(additive=False).fit(
        np.hstack([features[designs], described[devices]]),
        known[designs, devices] / scales[devices],
    )
    scale = float(np.exp(np.log(costs).mean()))
    device = np.tile(np.log(costs / scale), (len(features), 1))
    return model.predict(np.hstack([features, device])) * scale
