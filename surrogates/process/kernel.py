"""The covariance of scores: for each feature view a linear term and a Matérn term.

The notation and the equations are those of :mod:`evonas.surrogates.process`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from evonas.space import FloatArray

LINEAR, SIGNAL, NOISE = 0.3, 0.5, 0.05
"""Prior means of the linear variance, the signal variance (over all views) and the noise."""

PRIOR_WIDTH = 1.5
"""Standard deviation of the priors of the hyperparameters' logarithms."""

MAP_WIDTH = 0.35
"""Standard deviation of the priors of the entries of maps, around those of the identity."""

TiedBlocks = tuple[tuple[int, int], ...]
"""For every set of tied blocks of a view: the number of blocks, and the columns of each.

The sets stand in the order of the columns. Tied blocks mean the same, column for column; a set may
have one block only. The tuple is empty when no blocks are known.
"""


@dataclass(frozen=True)
class KernelLayout:
    """How the columns of a feature view belong together.

    Tied blocks are mapped linearly before distances are taken, all blocks of a set by the same map,
    so that options that make little difference come close to one another. Genes are placed by what
    their options do, as in the latent variables of Zhang et al. (2020, "A latent variable approach
    to Gaussian process modeling with qualitative and quantitative factors").

    Args:
        width: Number of columns.
        tied: The tied blocks that its first columns make up; the columns after them are not mapped.
    """

    width: int
    tied: TiedBlocks = ()

    @property
    def entries(self) -> int:
        """Number of entries of its maps."""
        return sum(width**2 for _, width in self.tied)

    def sets(self) -> Iterator[tuple[slice, int]]:
        """Give the columns of every set of tied blocks, and the number of columns of one block."""
        start = 0
        for count, width in self.tied:
            yield slice(start, start + count * width), width
            start += count * width

    def maps(self, entries: FloatArray) -> Iterator[tuple[slice, FloatArray]]:
        """Give the columns of every set of tied blocks, and their map, shape (width, width)."""
        start = 0
        for columns, width in self.sets():
            yield columns, entries[start : start + width**2].reshape(width, width)
            start += width**2

    def mapped(self, view: FloatArray, entries: FloatArray) -> FloatArray:
        """Map the tied blocks of a view of shape (n, width); the shape stays."""
        if not self.tied:
            return view
        mapped = view.copy()
        for columns, by in self.maps(entries):
            own = view[:, columns]
            mapped[:, columns] = (as_blocks(own, len(by)) @ by).reshape(own.shape)
        return mapped


def as_blocks(columns: FloatArray, width: int) -> FloatArray:
    """Put one block of ``width`` columns in each row."""
    return columns.reshape(-1, width)


class HyperPrior(NamedTuple):
    """The normal prior of the hyperparameters, shape (parameters,) each.

    Args:
        means: For each view the logarithms of its length scale, its signal variance and its linear
            variance; the logarithm of the noise variance; then the entries of the maps.
        deviations: Standard deviations.
        bounds: Limits of the hyperparameters, shape (parameters, 2).
    """

    means: FloatArray
    deviations: FloatArray
    bounds: FloatArray


def hyperprior(layouts: Sequence[KernelLayout]) -> HyperPrior:
    """Give the prior of the hyperparameters for views with these layouts.

    Columns are to be scaled so that two rows are at a distance of about 1 in every view.
    """
    views = len(layouts)
    means = np.log([*[1.0, SIGNAL / views, LINEAR / views] * views, NOISE])
    bounds = np.log([*[(5e-2, 1e2), (1e-6, 1e3), (1e-6, 1e3)] * views, (1e-8, 1e1)])
    identities = [np.eye(width).ravel() for layout in layouts for _, width in layout.tied]
    entries = sum(layout.entries for layout in layouts)
    return HyperPrior(
        np.concatenate([means, *identities]),
        np.repeat([PRIOR_WIDTH, MAP_WIDTH], [len(means), entries]),
        np.vstack([bounds, np.tile([-np.inf, np.inf], (entries, 1))]),
    )


class Hyperparameters(NamedTuple):
    """Hyperparameters in their own units.

    Args:
        views: Length scale, signal variance and linear variance of every view; shape (views, 3).
        noise: Noise variance.
        entries: Entries of the maps of every view.
    """

    views: FloatArray
    noise: float
    entries: list[FloatArray]

    @classmethod
    def of(cls, layouts: Sequence[KernelLayout], flat: FloatArray) -> Hyperparameters:
        """Take apart a vector in the order of :class:`HyperPrior`."""
        *logarithms, noise = flat[: 3 * len(layouts) + 1]
        entries = flat[len(logarithms) + 1 :]
        stops = np.cumsum([layout.entries for layout in layouts])[:-1]
        views = np.exp(logarithms).reshape(-1, 3)
        return cls(views, float(np.exp(noise)), np.split(entries, stops))


def split(rows: FloatArray, layouts: Sequence[KernelLayout]) -> list[FloatArray]:
    """Split rows of shape (n, columns) into their views."""
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


class KernelInputs(NamedTuple):
    """Rows, and their mapped coordinates in every view, in length scales over the root of 5."""

    rows: FloatArray
    coordinates: list[FloatArray]

    def part(self, start: int, stop: int) -> KernelInputs:
        """Take the rows from ``start`` to before ``stop``."""
        return KernelInputs(self.rows[start:stop], [view[start:stop] for view in self.coordinates])


class Kernel:
    """The covariance of scores without the noise.

    Args:
        layouts: One layout a view.
        hyperparameters: Vector in the order of :class:`HyperPrior`.

    Attributes:
        noise: Noise variance.
    """

    def __init__(self, layouts: Sequence[KernelLayout], hyperparameters: FloatArray) -> None:
        self._layouts = layouts
        views, self.noise, self._entries = Hyperparameters.of(layouts, hyperparameters)
        self._length, self._signal, linear = views.T
        self._linear = np.repeat(linear, [layout.width for layout in layouts])

    def inputs(self, rows: FloatArray) -> KernelInputs:
        """Prepare rows of shape (n, columns)."""
        views = split(rows, self._layouts)
        parameters = zip(self._layouts, views, self._entries, self._length, strict=True)
        return KernelInputs(
            rows,
            [
                layout.mapped(view, entries) * (np.sqrt(5) / length)
                for layout, view, entries, length in parameters
            ],
        )

    def __call__(self, own: KernelInputs, other: KernelInputs) -> FloatArray:
        """Covariance, shape (own rows, other rows)."""
        covariance: FloatArray = (own.rows * self._linear) @ other.rows.T
        for variance, a, b in zip(self._signal, own.coordinates, other.coordinates, strict=True):
            covariance += variance * _matern(distances(a, b))
        return covariance

    def variance(self, rows: FloatArray) -> FloatArray:
        """Variance of rows of shape (n, columns), shape (n,)."""
        variance: FloatArray = np.square(rows) @ self._linear + self._signal.sum()
        return variance


def standardisation(
    features: FloatArray, layouts: Sequence[KernelLayout]
) -> tuple[FloatArray, FloatArray]:
    """Find the centre and the factor of every column.

    With them, rows are at a distance of about 1 in a view. The factor of a constant column is 0.
    Columns that mean the same in tied blocks have the same factor.

    Args:
        features: Rows of shape (n, columns).
        layouts: One layout a view.

    Returns:
        Two arrays of shape (columns,).
    """
    factors = []
    for view, layout in zip(split(features, layouts), layouts, strict=True):
        variance = view.var(axis=0)
        for columns, width in layout.sets():
            own = as_blocks(variance[columns], width)  # The same numbers, in other rows.
            own[:] = own.mean(axis=0)
        deviation = np.sqrt(variance)
        used = deviation > 1e-12
        count = max(1, int(used.sum()))
        factors.append(used / np.where(used, deviation, 1.0) / np.sqrt(count))
    return features.mean(axis=0), np.concatenate(factors)


def prior_covariance(views: Sequence[FloatArray]) -> tuple[FloatArray, float]:
    """Give the covariance of designs' scores under the prior means of the hyperparameters.

    Args:
        views: Feature views of the same n designs, shape (n, columns) each.

    Returns:
        Covariance without noise, shape (n, n), and the noise variance, in units of the variance of
        the scores.
    """
    features, layouts = np.hstack(views), [KernelLayout(view.shape[1]) for view in views]
    centre, factors = standardisation(features, layouts)
    kernel = Kernel(layouts, hyperprior(layouts).means)
    inputs = kernel.inputs((features - centre) * factors)
    return kernel(inputs, inputs), NOISE
