"""What comes into a transfer between devices: feature views, costs and probes, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from evonas import Genome, Problem
from evonas.errors import DataError
from evonas.space import FloatArray
from evonas.surrogates.encoding import checked_view, feature_views, space_views

Views = Mapping[str, FloatArray]
"""Feature views: name -> features of the same designs, shape (designs, columns of the view).

Views named ``KIND:VARIANT`` with the same kind have the same columns: graph variants, what a device
may make of a design (all of it, or what is left when dead parts are removed, say). What an
operation costs is then carried over from one variant to the other.
"""


def problem_views(problem: Problem, genomes: Sequence[Genome]) -> dict[str, FloatArray]:
    """Describe designs by the problem's own feature views where it has some, else by its genes.

    Beside the genes, features of the problem's own are one more view.

    Returns:
        Name -> array of shape (genomes, columns).

    Raises:
        ProblemError: A view is no such array, or a value is not finite.
    """
    own = problem.views(genomes)
    if own:
        return {n: checked_view(problem, n, view, len(genomes)) for n, view in own.items()}
    views = space_views(problem.space, genomes)
    return views | feature_views(problem, genomes)


def as_numbers(values: object, what: str) -> FloatArray:
    """Read an array; ``what`` names it in messages.

    Raises:
        DataError: The array holds something else than numbers, or its rows differ in length.
    """
    try:
        return np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise DataError(f"{what} cannot be read as an array of numbers") from None


def as_views(features: FloatArray | Views) -> dict[str, FloatArray]:
    """Name a plain array's view, and check shapes and values.

    Raises:
        DataError: There is no view with a column, one is not a finite array of shape (designs,
            columns), or two of one kind have different columns.
    """
    views = features if isinstance(features, Mapping) else {"features": features}
    checked = {name: as_numbers(view, f"view '{name}'") for name, view in views.items()}
    if not checked:
        raise DataError("designs have no view; give at least one")
    designs = len(np.atleast_1d(next(iter(checked.values()))))
    first: dict[str, str] = {}
    for name, view in checked.items():
        if view.ndim != 2 or len(view) != designs:
            raise DataError(f"view '{name}' has the shape {view.shape}; it must be ({designs}, n)")
        if not np.isfinite(view).all():
            raise DataError(f"view '{name}' holds a value that is not finite")
        kind, colon, _ = name.partition(":")
        other = first.setdefault(kind, name) if colon else name
        if view.shape[1] != checked[other].shape[1]:
            raise DataError(
                f"view '{other}' has {checked[other].shape[1]} columns and '{name}' has "
                f"{view.shape[1]}; views KIND:VARIANT of the same kind have the same columns"
            )
    if not any(view.shape[1] for view in checked.values()):
        raise DataError("designs have no view with a column; give at least one")
    return checked


def with_variants_together(views: Views) -> dict[str, FloatArray]:
    """Add one view for each kind with several graph variants: all of them side by side."""
    kinds: dict[str, list[FloatArray]] = {}
    for name, view in views.items():
        kind, colon, _ = name.partition(":")
        if colon:
            kinds.setdefault(kind, []).append(view)
    together = {f"{kind}:": np.hstack(parts) for kind, parts in kinds.items() if len(parts) > 1}
    return {**views, **together}


def check_views(features: FloatArray | Views, own: Views) -> dict[str, FloatArray]:
    """Take the feature views that a transfer has, in its order; others are left out.

    Args:
        features: Feature views of any designs, or an array of shape (designs, columns).
        own: Feature views of the transfer's designs.

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


def check_proxy_costs(proxy_costs: FloatArray, designs: int, devices: int) -> FloatArray:
    """Check what designs cost the proxy devices.

    Raises:
        DataError: The shape is not (designs, devices), or a cost is not a positive number.
    """
    costs = as_numbers(proxy_costs, "proxy costs")
    if costs.shape != (designs, devices):
        raise DataError(
            f"proxy costs have the shape {costs.shape}; it must be ({designs}, {devices}), "
            "designs and devices"
        )
    if not (np.isfinite(costs) & (costs > 0)).all():
        raise DataError("a proxy's cost is not a positive number; leave that design out")
    return costs


def check_indices(probes: Sequence[int] | FloatArray, designs: int) -> list[int]:
    """Check indices of designs.

    Raises:
        DataError: The indices are not one row of whole numbers, or one is of no design.
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
    """Check what the probes cost the new device, shape (probes,).

    Raises:
        DataError: There is not one cost a probe, or one is not a positive number.
    """
    measured = _one_each(costs, "costs", probes)
    if not (np.isfinite(measured) & (measured > 0)).all():
        raise DataError("a probe's cost is not a positive number; leave that probe out")
    return measured


def check_spread(spread: Sequence[float] | FloatArray, probes: int) -> FloatArray:
    """Check the relative deviations of the probes' measurements, shape (probes,).

    Raises:
        DataError: There is not one deviation a probe, or one is negative or not finite.
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
