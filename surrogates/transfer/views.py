"""Views of designs: what transfer between devices knows about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from evonas import Genome, Problem
from evonas.errors import DataError
from evonas.space import FloatArray
from evonas.surrogates.encoding import checked_view, feature_views, space_views

Views = Mapping[str, FloatArray]
"""Name -> features of the same designs, shape (designs, columns of the view).

Views named ``KIND:READING`` with the same kind have the same columns: what a device may make of a
design (all of it, or what is left when dead parts are removed, say). What an operation costs is
then carried over from one reading to the other.
"""


def problem_views(problem: Problem, genomes: Sequence[Genome]) -> dict[str, FloatArray]:
    """Describe designs by the problem's own views where it has some, else by its genes.

    Features of the problem's own are one more view.
    """
    own = problem.views(genomes)
    if own:
        return {n: checked_view(problem, n, view, len(genomes)) for n, view in own.items()}
    views = space_views(problem.space, genomes)
    return views | feature_views(problem, genomes)


def as_numbers(values: object, what: str) -> FloatArray:
    """Read an array.

    Raises:
        DataError: It holds something else than numbers, or its rows differ in length.
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
                f"{view.shape[1]}; views KIND:READING of the same kind have the same columns"
            )
    if not any(view.shape[1] for view in checked.values()):
        raise DataError("designs have no view with a column; give at least one")
    return checked
