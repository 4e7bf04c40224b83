"""The proxy devices: what designs cost them, and what these costs are made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.cluster.hierarchy import linkage

from evonas.errors import DataError
from evonas.space import FloatArray
from evonas.surrogates.transfer.inputs import Views, as_numbers, as_views
from evonas.surrogates.transfer.proxy_model import CHEAP, ProxyModel, column_costs, with_constant

MEASURED, PREDICTED = "", "smooth"
"""Variants of the costs: measured, and as the devices' own models predict them.

Profiles hold these names.
"""

FLOOR = 0.05
"""Least cost that is carried over to a graph variant, as a share of the device's median."""

MODEL_ROWS = 4000
"""Designs that the model of a proxy device is trained on, at most."""

MEAN_ERROR = 0.8
"""Mean absolute error of a normal variable, in standard deviations."""

CHECKED = 3
"""Proxy devices whose models are cross-checked, at most."""


class ProxyDevices:
    """Devices that were measured on the designs of a transfer, and their own models.

    Args:
        features: Array of shape (designs, columns), or feature views of the designs.
        costs: Costs of the designs (latency in ms, energy in mJ), positive, shape (designs,
            devices); NaN where a device lacks a design. ``None``: no device.
        families: Names of the devices' families, one a device; left out, each is one of its own.
        rising: Indices of columns, of all views side by side, that costs never fall with.
        seed: Seed of the choice of designs that models are trained on.
        models: The devices' own models; left out, they are fitted when needed.
        model_error: See the property; left out, it is found when needed.

    Attributes:
        views: The feature views, checked.
        measured: ``costs``, gaps included.
        costs: ``costs``, gaps filled by the devices' own models.
        families: One name a device.

    Raises:
        DataError: Shapes do not fit, a cost is not positive, or a feature is not finite.
    """

    def __init__(
        self,
        features: FloatArray | Views,
        costs: FloatArray | None = None,
        families: Sequence[str] | None = None,
        *,
        rising: Sequence[int] = (),
        seed: int = 0,
        models: list[ProxyModel] | None = None,
        model_error: float | None = None,
    ) -> None:
        self.views = as_views(features)
        designs = len(next(iter(self.views.values())))
        table = np.empty((designs, 0)) if costs is None else as_numbers(costs, "proxy costs")
        if table.ndim != 2 or len(table) != designs:
            raise DataError(
                f"proxy costs have the shape {table.shape}; it must be ({designs}, devices)"
            )
        if families is not None and len(families) != table.shape[1]:
            raise DataError(f"{len(families)} families are given for {table.shape[1]} devices")
        if (table[np.isfinite(table)] <= 0).any():
            raise DataError("a proxy device has a cost that is not positive")
        self.measured = table
        self.families = list(families or (str(number) for number in range(table.shape[1])))
        self.rising, self.seed = list(rising), seed
        self._models, self._model_error = models, model_error
        gaps = ~np.isfinite(table)
        self.costs = np.where(gaps, self.predict(self.views), table) if gaps.any() else table

    @property
    def models(self) -> list[ProxyModel]:
        """The devices' own models, fitted when first needed."""
        if self._models is None:
            inputs = np.hstack(list(self.views.values()))
            some = np.random.default_rng(self.seed).permutation(len(inputs))[:MODEL_ROWS]
            self._models = [
                ProxyModel(self.rising).fit(inputs[some], costs[some]) for costs in self.measured.T
            ]
        return self._models

    @property
    def model_error(self) -> float:
        """Standard deviation of the logarithm of the error of the devices' own models.

        It is that of models that are fitted to four fifths of the designs, on the other fifth.
        """
        if self._model_error is None:
            inputs = np.hstack(list(self.views.values()))
            order = np.random.default_rng(self.seed).permutation(len(inputs))[:MODEL_ROWS]
            rest, most = np.split(order, [max(1, len(order) // 5)])
            errors = [0.0]
            for costs in self.costs.T[:CHECKED]:
                found = ProxyModel(self.rising).fit(inputs[most], costs[most])
                logarithms = np.log(found.predict(inputs[rest]) / costs[rest])
                errors.append(float(np.clip(np.abs(logarithms), 0, 1).mean()))
            self._model_error = sum(errors) / max(1, len(errors) - 1) / MEAN_ERROR
        return self._model_error

    def predict(self, views: Views) -> FloatArray:
        """Predict the costs of any designs by the devices' own models, shape (designs, devices)."""
        inputs = np.hstack([views[name] for name in self.views])
        columns = [model.predict(inputs) for model in self.models]
        return np.column_stack(columns) if columns else np.empty((len(inputs), 0))


class RelativeCosts:
    """Costs of proxy devices in several variants, relative to each device's median.

    Args:
        views: Feature views of designs.
        costs: Costs of the designs, positive and without gaps, shape (designs, devices).
        predicted: The same costs as the devices' own models predict them, without the noise.
    """

    def __init__(self, views: Views, costs: FloatArray, predicted: FloatArray) -> None:
        self._medians = np.median(costs, axis=0)
        self._variants = _operation_costs(views, costs / self._medians)
        self.count = costs.shape[1]
        self.variants = [MEASURED, PREDICTED, *self._variants] if self.count else []
        self.parts = [
            (name, device, column_costs(view, relative))
            for name, view in views.items()
            if (view >= 0).all()
            for device, relative in enumerate((costs / self._medians).T)
        ]
        self._clusters = _clusters(predicted / self._medians)

    def members(self, variant: str) -> list[tuple[str, list[int]]]:
        """Kinds of prior means in a variant, and the devices that each is the mean of."""
        found = [("each", [device]) for device in range(self.count)]
        if variant == PREDICTED:
            found += [("group", cluster) for cluster in self._clusters]
        if self.count > 1:
            found.append(("mean", list(range(self.count))))
        return found

    def of(self, views: Views, costs: FloatArray, predicted: FloatArray) -> list[FloatArray]:
        """Relative costs of designs in each variant, shape (designs, devices) each."""
        if not self.count:
            return []
        found = [np.maximum(given / self._medians, 1e-4) for given in (costs, predicted)]
        for name, weights in self._variants.values():
            found.append(np.maximum(with_constant(views[name]) @ weights, FLOOR))
        return found

    def contributions(self, views: Views) -> list[FloatArray]:
        """What each column of a view (first: a constant) adds to a device's relative cost.

        Returns:
            For each of ``parts`` an array of shape (designs, 1 + columns of the view), positive.
        """
        return [with_constant(views[name]) * weights for name, _, weights in self.parts]


def _clusters(costs: FloatArray) -> list[list[int]]:
    """Clusters of devices by average linkage, of more than one device and fewer than all.

    Args:
        costs: Relative costs, shape (designs, devices).
    """
    count = costs.shape[1]
    if count < 3:
        return []
    logarithms = np.log(np.maximum(costs, 1e-4))
    members = [[device] for device in range(count)]
    for left, right, *_ in linkage((logarithms - logarithms.mean(axis=0)).T, "average"):
        members.append(members[int(left)] + members[int(right)])
    return members[count:-1]


def _operation_costs(views: Views, relative: FloatArray) -> dict[str, tuple[str, FloatArray]]:
    """Fit what an operation costs every device by least squares.

    The costs are those in the graph variant that fits the device best. Of several kinds of views
    with variants, the one with the fewest columns counts.

    Returns:
        Graph variant -> its view, and costs of shape (1 + columns, devices); a constant is first.
    """
    kinds: dict[str, list[str]] = {}
    for name in views:
        kind, colon, _ = name.partition(":")
        if colon and name != f"{kind}:":
            kinds.setdefault(kind, []).append(name)
    kinds = {kind: names for kind, names in kinds.items() if len(names) > 1}
    if not kinds or not relative.shape[1]:
        return {}
    names = min(kinds.values(), key=lambda names: views[names[0]].shape[1])
    best: list[tuple[float, FloatArray]] = []
    for costs in relative.T:
        weight = 1 / np.maximum(costs, CHEAP)
        fits = []
        for name in names:
            columns = with_constant(views[name])
            found = np.linalg.lstsq(columns * weight[:, None], costs * weight, rcond=None)[0]
            error = np.abs((columns @ found - costs) * weight).mean()
            fits.append((float(error), found))
        best.append(min(fits, key=lambda fit: fit[0]))
    weights = np.array([found for _, found in best]).T
    return {name.partition(":")[2]: (name, weights) for name in names}
