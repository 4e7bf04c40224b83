"""How alike designs are before any is evaluated: for each view a linear trend and a smooth part.

Equations are those of Rasmussen and Williams (2006).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from evonas.space import FloatArray

TREND, SMOOTH, NOISE = 0.3, 0.5, 0.05
"""Shares of the variance that are expected of the linear trends, the smooth parts, the noise."""

PRIOR_WIDTH = 1.5
"""Standard deviation of the priors of the hyperparameters' logarithms."""

MAP_WIDTH = 0.35
"""Standard deviation of the priors of the entries of maps, around those of the identity."""

Alike = tuple[tuple[int, int], ...]
"""Of every kind of parts of a view: how many there are, and how many columns one of them has.

In the order of the columns. Parts of a kind mean the same, column for column; a kind may have one
part only. Empty when no parts are known.
"""


@dataclass(frozen=True)
class Layout:
    """How the columns of a view belong together.

    Parts that are alike are mapped linearly before distances are taken, all of a kind by the same
    map, so that options that make little difference come close to one another. Genes are placed
    by what their options do, as in the latent variables of Zhang et al. (2020, "A latent variable
    approach to Gaussian process modeling with qualitative and quantitative factors").

    Args:
        width: Number of columns.
        alike: What its first columns are parts of; the columns after them are not mapped.
    """

    width: int
    alike: Alike = ()

    @property
    def entries(self) -> int:
        """Number of entries of its maps."""
        return sum(width**2 for _, width in self.alike)

    def kinds(self) -> Iterator[tuple[slice, int]]:
        """Give the columns of every kind of parts, and how many columns one part has."""
        start = 0
        for count, width in self.alike:
            yield slice(start, start + count * width), width
            start += count * width

    def maps(self, entries: FloatArray) -> Iterator[tuple[slice, FloatArray]]:
        """Give the columns of every kind of parts, and their map, shape (columns, columns)."""
        start = 0
        for columns, width in self.kinds():
            yield columns, entries[start : start + width**2].reshape(width, width)
            start += width**2

    def mapped(self, view: FloatArray, entries: FloatArray) -> FloatArray:
        """Map the parts of a view that are alike; shape (rows, columns)."""
        if not self.alike:
            return view
        mapped = view.copy()
        for columns, by in self.maps(entries):
            own = view[:, columns]
            mapped[:, columns] = (parts(own, len(by)) @ by).reshape(own.shape)
        return mapped


def parts(columns: FloatArray, width: int) -> FloatArray:
    """Put one part in each row."""
    return columns.reshape(-1, width)


class Expected(NamedTuple):
    """What is expected of the hyperparameters before anything is known, shape (parameters,) each.

    Args:
        values: Logarithms, of each view the length (distance at which rows are no longer alike),
            the variance of the smooth part and that of the trend; that of the noise's variance;
            then the entries of the maps.
        deviations: Standard deviations of their priors.
        bounds: Shape (parameters, 2).
    """

    values: FloatArray
    deviations: FloatArray
    bounds: FloatArray


def expected(layouts: Sequence[Layout]) -> Expected:
    """Say what is expected of the hyperparameters.

    Columns are to be scaled so that two rows are at a distance of about 1 in every view.
    """
    views = len(layouts)
    values = np.log([*[1.0, SMOOTH / views, TREND / views] * views, NOISE])
    bounds = np.log([*[(5e-2, 1e2), (1e-6, 1e3), (1e-6, 1e3)] * views, (1e-8, 1e1)])
    identities = [np.eye(width).ravel() for layout in layouts for _, width in layout.alike]
    entries = sum(layout.entries for layout in layouts)
    return Expected(
        np.concatenate([values, *identities]),
        np.repeat([PRIOR_WIDTH, MAP_WIDTH], [len(values), entries]),
        np.vstack([bounds, np.tile([-np.inf, np.inf], (entries, 1))]),
    )


class Hyperparameters(NamedTuple):
    """Hyperparameters in their own units.

    Args:
        views: Length, variance of the smooth part, and that of the trend; shape (views, 3).
        noise: Variance.
        entries: Of every view's maps.
    """

    views: FloatArray
    noise: float
    entries: list[FloatArray]

    @classmethod
    def of(cls, layouts: Sequence[Layout], flat: FloatArray) -> Hyperparameters:
        """Take apart what :func:`expected` lists."""
        *logarithms, noise = flat[: 3 * len(layouts) + 1]
        entries = flat[len(logarithms) + 1 :]
        stops = np.cumsum([layout.entries for layout in layouts])[:-1]
        views = np.exp(logarithms).reshape(-1, 3)
        return cls(views, float(np.exp(noise)), np.split(entries, stops))


def split(rows: FloatArray, layouts: Sequence[Layout]) -> list[FloatArray]:
    """Take the columns of all views apart."""
    return np.split(rows, np.cumsum([layout.width for layout in layouts])[:-1], axis=1)


def distances(own: FloatArray, other: FloatArray) -> FloatArray:
    """Euclidean distances, shape (own rows, other rows)."""
    squares = np.square(own).sum(axis=1)[:, None] + np.square(other).sum(axis=1)
    squares -= (2 * own) @ other.T
    # Rounding makes some negative.
    found: FloatArray = np.sqrt(np.maximum(squares, 0))
    return found


def _matern(distance: FloatArray) -> FloatArray:
    """Matérn covariance with 5/2 degrees of freedom (eq. 4.17), distances times the root of 5."""
    covariance: FloatArray = (1 + distance + distance**2 / 3) * np.exp(-distance)
    return covariance


class Placed(NamedTuple):
    """Rows, and where they are in every view in units of its length over the root of 5."""

    rows: FloatArray
    places: list[FloatArray]

    def some(self, start: int, stop: int) -> Placed:
        """Some of the rows."""
        return Placed(self.rows[start:stop], [place[start:stop] for place in self.places])


class Kernel:
    """The covariance of what is observed, but for the noise.

    Args:
        layouts: Of the views.
        hyperparameters: As :func:`expected` lists them.

    Attributes:
        noise: Variance of the noise.
    """

    def __init__(self, layouts: Sequence[Layout], hyperparameters: FloatArray) -> None:
        self._layouts = layouts
        views, self.noise, self._entries = Hyperparameters.of(layouts, hyperparameters)
        self._length, self._smooth, trend = views.T
        self._trend = np.repeat(trend, [layout.width for layout in layouts])

    def place(self, rows: FloatArray) -> Placed:
        """Say where rows of shape (n, columns) are."""
        views = split(rows, self._layouts)
        parameters = zip(self._layouts, views, self._entries, self._length, strict=True)
        return Placed(
            rows,
            [
                layout.mapped(view, entries) * (np.sqrt(5) / length)
                for layout, view, entries, length in parameters
            ],
        )

    def __call__(self, own: Placed, other: Placed) -> FloatArray:
        """Covariance, shape (own rows, other rows)."""
        covariance: FloatArray = (own.rows * self._trend) @ other.rows.T
        for variance, a, b in zip(self._smooth, own.places, other.places, strict=True):
            covariance += variance * _matern(distances(a, b))
        return covariance

    def variance(self, rows: FloatArray) -> FloatArray:
        """Variance of rows of shape (n, columns), shape (n,)."""
        variance: FloatArray = np.square(rows) @ self._trend + self._smooth.sum()
        return variance


def standardisation(
    features: FloatArray, layouts: Sequence[Layout]
) -> tuple[FloatArray, FloatArray]:
    """Centre and factor of every column under which rows are at a distance of about 1 in a view.

    Columns that are the same everywhere say nothing: their factor is 0. Columns that mean the same
    in parts that are alike have the same factor.
    """
    factors = []
    for view, layout in zip(split(features, layouts), layouts, strict=True):
        variance = view.var(axis=0)
        for columns, width in layout.kinds():
            own = parts(variance[columns], width)  # The same numbers, in other rows.
            own[:] = own.mean(axis=0)
        deviation = np.sqrt(variance)
        used = deviation > 1e-12
        count = max(1, int(used.sum()))
        factors.append(used / np.where(used, deviation, 1.0) / np.sqrt(count))
    return features.mean(axis=0), np.concatenate(factors)


def prior_covariance(views: Sequence[FloatArray]) -> tuple[FloatArray, float]:
    """Say how designs' scores go together before any is known, in units of their variance.

    Args:
        views: Of the same n designs, shape (n, columns) each.

    Returns:
        Covariance without noise, shape (n, n), and the noise's variance.
    """
    features, layouts = np.hstack(views), [Layout(view.shape[1]) for view in views]
    centre, factors = standardisation(features, layouts)
    kernel = Kernel(layouts, expected(layouts).values)
    placed = kernel.place((features - centre) * factors)
    return kernel(placed, placed), NOISE
