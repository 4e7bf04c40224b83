"""The log marginal likelihood of a Gaussian process, and its gradient.

The notation and the equations are those of :mod:`evonas.surrogates.process`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import cho_solve, cholesky
from scipy.linalg.lapack import dpotri

from evonas.space import FloatArray
from evonas.surrogates.process.kernel import (
    Hyperparameters,
    KernelLayout,
    as_blocks,
    distances,
    split,
)

JITTER = 1e-9
"""Added to the noise, so that equal rows never make a singular matrix."""


def log_density(factor: FloatArray, weights: FloatArray, targets: FloatArray) -> float:
    """Log marginal likelihood (eq. 2.30).

    Args:
        factor: Cholesky factor L, shape (n, n).
        weights: alpha, shape (n,).
        targets: y, shape (n,).
    """
    logarithm = np.log(2 * np.pi * np.diag(factor) ** 2).sum()
    return -(float(targets @ weights) + float(logarithm)) / 2


class LogLikelihood:
    """The log marginal likelihood as a function of the hyperparameters.

    Args:
        rows: Standardised features, shape (n, columns).
        layouts: One layout a view.
        targets: Standardised scores, shape (n,).
        noise_scale: Factor of every row on the noise variance, shape (n,).
    """

    def __init__(
        self,
        rows: FloatArray,
        layouts: Sequence[KernelLayout],
        targets: FloatArray,
        noise_scale: FloatArray,
    ) -> None:
        # Covariances are symmetric: their lower triangle, flat, is enough.
        self._lower = np.tril_indices(len(rows))
        self._layouts = layouts
        self._views = split(rows, layouts)
        self._products = [(view @ view.T)[self._lower] for view in self._views]
        # They are the same under all hyperparameters, unless these map the view.
        self._distances = [
            None if layout.tied else self._between(view)
            for layout, view in zip(layouts, self._views, strict=True)
        ]
        self._targets = targets
        self._unit = np.eye(len(rows))
        self._noise_scale = noise_scale

    def _between(self, coordinates: FloatArray) -> FloatArray:
        return distances(coordinates, coordinates)[self._lower]

    def __call__(self, flat: FloatArray) -> tuple[float, FloatArray]:
        """Give the value (eq. 2.30) and its gradient (eq. 5.9).

        Args:
            flat: Hyperparameters in the order of
                :class:`evonas.surrogates.process.kernel.HyperPrior`, shape (parameters,).

        Returns:
            A number, and an array of shape (parameters,).
        """
        targets, lower, unit = self._targets, self._lower, self._unit
        parameters, noise, entries = Hyperparameters.of(self._layouts, flat)
        mapped = [
            layout.mapped(view, own)
            for layout, view, own in zip(self._layouts, self._views, entries, strict=True)
        ]
        slopes, curves = [], []
        for view, apart, products, (length, signal, linear) in zip(
            mapped, self._distances, self._products, parameters, strict=True
        ):
            scaled = np.sqrt(5) / length * (self._between(view) if apart is None else apart)
            third, decay = scaled**2 / 3, signal * np.exp(-scaled)
            slopes += [
                third * (1 + scaled) * decay,
                (1 + scaled + third) * decay,
                linear * products,
            ]
            curves.append((scaled, decay / length**2))
        covariance = np.diag(noise * self._noise_scale + JITTER)
        covariance[lower] += sum(slopes[1::3]) + sum(slopes[2::3])
        factor = cholesky(covariance, lower=True)
        weights = cho_solve((factor, True), targets)
        inverse, _ = dpotri(factor, lower=True)
        # The derivative by the covariance; each entry off the diagonal is there twice.
        slope = (np.outer(weights, weights) - inverse) * (1 - unit / 2)
        flat_slope = slope[lower]
        gradient = [
            np.array([part @ flat_slope for part in slopes]),
            np.array([noise * (np.diag(slope) @ self._noise_scale)]),
        ]
        for layout, view, coordinates, (scaled, decay) in zip(
            self._layouts, self._views, mapped, curves, strict=True
        ):
            if layout.tied:
                # The derivative of the covariance by half the squared distance.
                steepness = -5 / 3 * (1 + scaled) * decay
                by_coordinate = self._by_coordinate(steepness * flat_slope, coordinates)
                for columns, width in layout.sets():
                    blocks = as_blocks(view[:, columns], width)
                    own = as_blocks(by_coordinate[:, columns], width)
                    gradient.append((blocks.T @ own).ravel())
        return log_density(factor, weights, targets), np.concatenate(gradient)

    def _by_coordinate(self, by_square: FloatArray, coordinates: FloatArray) -> FloatArray:
        """Turn the derivative by half the squared distances into that by the coordinates.

        Args:
            by_square: Lower triangle, flat.
            coordinates: Mapped view, shape (n, columns).

        Returns:
            Array of shape (n, columns).
        """
        pull = np.zeros_like(self._unit)
        pull[self._lower] = by_square
        pull += pull.T
        found: FloatArray = pull.sum(axis=1)[:, None] * coordinates - pull @ coordinates
        return found
