"""How probable scores are under the hyperparameters of a Gaussian process, and its gradient.

Equations are those of Rasmussen and Williams (2006).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import cho_solve, cholesky
from scipy.linalg.lapack import dpotri

from evonas.space import FloatArray
from evonas.surrogates.process.kernel import Hyperparameters, Layout, distances, parts, split

JITTER = 1e-9
"""Added to the noise, so that equal rows never make a singular matrix."""


def log_density(factor: FloatArray, weights: FloatArray, targets: FloatArray) -> float:
    """Logarithm of the marginal likelihood (eq. 2.30), from what was solved with the factor."""
    logarithm = np.log(2 * np.pi * np.diag(factor) ** 2).sum()
    return -(float(targets @ weights) + float(logarithm)) / 2


class LogLikelihood:
    """The logarithm of the marginal likelihood, a function of the hyperparameters.

    Args:
        rows: Shape (n, columns).
        layouts: Of the views.
        targets: Shape (n,).
        spread: How much noisier each row is than the noise's variance says, a factor, shape (n,).
    """

    def __init__(
        self, rows: FloatArray, layouts: Sequence[Layout], targets: FloatArray, spread: FloatArray
    ) -> None:
        # Covariances are symmetric: their lower triangle, flat, is enough.
        self._lower = np.tril_indices(len(rows))
        self._layouts = layouts
        self._views = split(rows, layouts)
        self._products = [(view @ view.T)[self._lower] for view in self._views]
        # They are the same under all hyperparameters, unless these map the view.
        self._distances = [
            None if layout.alike else self._between(view)
            for layout, view in zip(layouts, self._views, strict=True)
        ]
        self._targets = targets
        self._unit = np.eye(len(rows))
        self._spread = spread

    def _between(self, places: FloatArray) -> FloatArray:
        return distances(places, places)[self._lower]

    def __call__(self, flat: FloatArray) -> tuple[float, FloatArray]:
        """Give the value and its gradient (eq. 5.8 and 5.9)."""
        targets, lower, unit = self._targets, self._lower, self._unit
        parameters, noise, entries = Hyperparameters.of(self._layouts, flat)
        places = [
            layout.mapped(view, own)
            for layout, view, own in zip(self._layouts, self._views, entries, strict=True)
        ]
        slopes, curves = [], []
        for place, apart, products, (length, smooth, trend) in zip(
            places, self._distances, self._products, parameters, strict=True
        ):
            scaled = np.sqrt(5) / length * (self._between(place) if apart is None else apart)
            third, decay = scaled**2 / 3, smooth * np.exp(-scaled)
            slopes += [third * (1 + scaled) * decay, (1 + scaled + third) * decay, trend * products]
            curves.append((scaled, decay / length**2))
        covariance = np.diag(noise * self._spread + JITTER)
        covariance[lower] += sum(slopes[1::3]) + sum(slopes[2::3])
        factor = cholesky(covariance, lower=True)
        weights = cho_solve((factor, True), targets)
        inverse, _ = dpotri(factor, lower=True)
        # The slope by the covariance; each entry off the diagonal is there twice.
        slope = (np.outer(weights, weights) - inverse) * (1 - unit / 2)
        flat_slope = slope[lower]
        gradient = [
            np.array([part @ flat_slope for part in slopes]),
            np.array([noise * (np.diag(slope) @ self._spread)]),
        ]
        for layout, view, place, (scaled, decay) in zip(
            self._layouts, self._views, places, curves, strict=True
        ):
            if layout.alike:
                # Of the covariance by half the squared distance.
                steepness = -5 / 3 * (1 + scaled) * decay
                by_place = self._pull(steepness * flat_slope, place)
                for columns, width in layout.kinds():
                    rows = parts(view[:, columns], width)
                    gradient.append((rows.T @ parts(by_place[:, columns], width)).ravel())
        return log_density(factor, weights, targets), np.concatenate(gradient)

    def _pull(self, by_square: FloatArray, place: FloatArray) -> FloatArray:
        """Turn the slope by half the squared distances into that by the places, (n, columns)."""
        pull = np.zeros_like(self._unit)
        pull[self._lower] = by_square
        pull += pull.T
        found: FloatArray = pull.sum(axis=1)[:, None] * place - pull @ place
        return found
