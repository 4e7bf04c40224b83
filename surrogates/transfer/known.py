"""What the known devices' costs are read as, and made of."""

from __future__ import annotations

import numpy as np
from scipy.cluster.hierarchy import linkage

from evonas.space import FloatArray
from evonas.surrogates.transfer.additive import FEW, column_costs, with_constant
from evonas.surrogates.transfer.views import Views

MEASURED, SMOOTH = "", "smooth"
"""Readings: costs as they were measured, and as the devices' own predictors give them."""

FLOOR = 0.05
"""Least cost that is carried over, as a share of the device's median."""


class KnownDevices:
    """Costs of known devices under several readings, relative to each device's median.

    Args:
        views: Of designs, see :data:`evonas.surrogates.transfer.views.Views`.
        costs: Positive and without gaps, shape (designs, devices).
        smooth: Likewise, as the devices' own predictors give them, without the noise.
    """

    def __init__(self, views: Views, costs: FloatArray, smooth: FloatArray) -> None:
        self._medians = np.median(costs, axis=0)
        self._carried = _carried_costs(views, costs / self._medians)
        self.count = costs.shape[1]
        self.readings = [MEASURED, SMOOTH, *self._carried] if self.count else []
        self.parts = [
            (name, device, column_costs(view, relative))
            for name, view in views.items()
            if (view >= 0).all()
            for device, relative in enumerate((costs / self._medians).T)
        ]
        self._groups = _groups(smooth / self._medians)

    def members(self, reading: str) -> list[tuple[str, list[int]]]:
        """Kinds of bases under a reading, and the devices that each is the mean of."""
        found = [("each", [device]) for device in range(self.count)]
        if reading == SMOOTH:
            found += [("group", group) for group in self._groups]
        if self.count > 1:
            found.append(("mean", list(range(self.count))))
        return found

    def read(self, views: Views, costs: FloatArray, smooth: FloatArray) -> list[FloatArray]:
        """Relative costs of designs under each reading, shape (designs, devices) each."""
        if not self.count:
            return []
        read = [np.maximum(given / self._medians, 1e-4) for given in (costs, smooth)]
        for name, weights in self._carried.values():
            read.append(np.maximum(with_constant(views[name]) @ weights, FLOOR))
        return read

    def contributions(self, views: Views) -> list[FloatArray]:
        """What each column of a view (first: a constant) adds to a known device's relative cost.

        Returns:
            For each of ``parts`` an array of shape (designs, 1 + columns of the view), positive.
        """
        return [with_constant(views[name]) * weights for name, _, weights in self.parts]


def _groups(costs: FloatArray) -> list[list[int]]:
    """Devices that are alike, by average linkage; more than one and fewer than all."""
    count = costs.shape[1]
    if count < 3:
        return []
    logarithms = np.log(np.maximum(costs, 1e-4))
    members = [[device] for device in range(count)]
    for left, right, *_ in linkage((logarithms - logarithms.mean(axis=0)).T, "average"):
        members.append(members[int(left)] + members[int(right)])
    return members[count:-1]


def _carried_costs(views: Views, relative: FloatArray) -> dict[str, tuple[str, FloatArray]]:
    """Reading -> its view and what every known device's operations cost, by least squares.

    The costs are those under the reading that fits the device best. Of several kinds of views
    with readings the one with the fewest columns counts.
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
        weight = 1 / np.maximum(costs, FEW)
        fits = []
        for name in names:
            columns = with_constant(views[name])
            found = np.linalg.lstsq(columns * weight[:, None], costs * weight, rcond=None)[0]
            error = np.abs((columns @ found - costs) * weight).mean()
            fits.append((float(error), found))
        best.append(min(fits, key=lambda fit: fit[0]))
    weights = np.array([found for _, found in best]).T
    return {name.partition(":")[2]: (name, weights) for name in names}
