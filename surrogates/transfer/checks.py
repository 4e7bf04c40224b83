"""Checks of what comes with a new device's probes, and with designs to predict."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evonas.errors import DataError
from evonas.space import FloatArray
from evonas.surrogates.transfer.views import Views, as_numbers, as_views


def check_views(features: FloatArray | Views, own: Views) -> dict[str, FloatArray]:
    """Take the views that a transfer has, in its order; others are left out.

    Args:
        features: Of any designs.
        own: Of the transfer's designs.

    Raises:
        DataError: A view is missing, or has other columns.
    """
    views = as_views(features)
    for name, view in own.items():
        if name not in views:
            given = ", ".join(f"'{other}'" for other in views)
            raise DataError(f"the designs lack the view '{name}'; given are {given}")
        if views[name].shape[1] != view.shape[1]:
            raise DataError(
                f"view '{name}' has {views[name].shape[1]} columns; "
                f"the transfer's own has {view.shape[1]}"
            )
    return {name: views[name] for name in own}


def check_known(known: FloatArray, designs: int, devices: int) -> FloatArray:
    """Check what designs cost the known devices.

    Raises:
        DataError: The shape is not (designs, devices), or a cost is not a positive number.
    """
    costs = as_numbers(known, "known costs")
    if costs.shape != (designs, devices):
        raise DataError(
            f"known costs have the shape {costs.shape}; it must be ({designs}, {devices}), "
            "designs and devices"
        )
    if not (np.isfinite(costs) & (costs > 0)).all():
        raise DataError("a known cost is not a positive number; leave that design out")
    return costs


def check_indices(probes: Sequence[int] | FloatArray, designs: int) -> list[int]:
    """Check indices of designs.

    Raises:
        DataError: They are not one row of whole numbers, or one is of no design.
    """
    numbers = as_numbers(probes, "probes")
    if numbers.ndim != 1 or np.asarray(probes).dtype == bool:
        raise DataError("probes are neither indices of shape (k,) nor features of shape (k, n)")
    for number in numbers:
        if not number.is_integer():
            raise DataError(f"probe {number} is no design; indices are whole numbers")
        if not 0 <= number < designs:
            raise DataError(f"probe {number:.0f} is no design; there are {designs}")
    return [int(number) for number in numbers]


def check_costs(costs: Sequence[float] | FloatArray, probes: int) -> FloatArray:
    """Check what the probes cost the new device.

    Raises:
        DataError: There is not one for each probe, or one is not a positive number.
    """
    measured = _one_each(costs, "costs", probes)
    if not (np.isfinite(measured) & (measured > 0)).all():
        raise DataError("a probe's cost is not a positive number; leave that probe out")
    return measured


def check_spread(spread: Sequence[float] | FloatArray, probes: int) -> FloatArray:
    """Check the relative deviations of the probes' measurements.

    Raises:
        DataError: There is not one for each probe, or one is negative or not finite.
    """
    noise = _one_each(spread, "spreads", probes)
    if not (np.isfinite(noise) & (noise >= 0)).all():
        raise DataError("a probe's spread is not a number of 0 or more; leave that probe out")
    return noise


def _one_each(values: Sequence[float] | FloatArray, what: str, probes: int) -> FloatArray:
    numbers = as_numbers(values, what)
    if numbers.shape != (probes,):
        raise DataError(
            f"{what} have the shape {numbers.shape}; it must be ({probes},), one a probe"
        )
    return numbers
