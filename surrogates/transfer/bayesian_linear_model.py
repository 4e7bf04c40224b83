"""Many Bayesian linear models of the same few measurements, some of which may be outliers.

The notation is that of :mod:`evonas.surrogates.transfer`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from evonas.space import FloatArray

SHAPE, RATE = 0.5, 0.02
"""Parameters of the inverse-gamma prior of the squared scale that all terms of a model share."""

SPARED = 0.8
"""Share of the measurements, and four of them at least, that a model takes for no outliers."""


class Conditioned(NamedTuple):
    """Models, conditioned on k measurements.

    Args:
        cases: Log evidence with no further outlier, and with each measurement as one more,
            the log prior of the outliers included; shape (models, 1 + k).
        outliers: Measurements that each model sets aside, shape (models, k).
        log_density: Log density of every measurement given the others, shape (models, k).
        error: Every measurement less its prediction from the others, shape (models, k).
        variance: Variance of that error, shape (models, k).
    """

    cases: FloatArray
    outliers: NDArray[np.bool_]
    log_density: FloatArray
    error: FloatArray
    variance: FloatArray


def condition(
    covariance: FloatArray, residual: FloatArray, slopes: FloatArray, anywhere: FloatArray
) -> Conditioned:
    """Condition models on k measurements.

    The scale of a model has an inverse-gamma prior, so that its evidence is a Student t density
    (Rasmussen and Williams 2006, section 9.9). Each model sets aside its outliers one after the
    other as long as that makes it likelier; under all models together they could not be told, as
    several hide one another.

    Args:
        covariance: Covariance of the measurements under each model without its scale, shape
            (models, k, k).
        residual: Measurements less their prior means, shape (models, k).
        slopes: Log slope of the link function at every measurement, shape (models, k).
        anywhere: Log density of every measurement as an outlier plus the log odds of its being
            one, shape (k,).
    """
    models = _Models(covariance, residual, slopes)
    k = residual.shape[1]
    for more in range(max(0, k - max(4, int(np.ceil(SPARED * k)))), -1, -1):
        log_density = models.left_out_log_density()
        gain = np.where(models.outliers, -np.inf, anywhere - log_density)
        rows = np.flatnonzero(gain.max(axis=1) > 0)
        if not (more and len(rows)):
            break
        models.set_aside(rows, gain[rows].argmax(axis=1))
    evidence = models.log_evidence() + np.where(models.outliers, anywhere, 0).sum(axis=1)
    return Conditioned(
        evidence[:, None] + np.column_stack([np.zeros(len(evidence)), gain]),
        models.outliers,
        np.where(models.outliers, anywhere, log_density),
        *models.left_out(),
    )


class _Models:
    """Models, each conditioned on the measurements that it has not set aside."""

    def __init__(self, covariance: FloatArray, residual: FloatArray, slopes: FloatArray) -> None:
        self._covariance, self._residual, self._slopes = covariance, residual, slopes
        self.outliers = np.zeros(residual.shape, bool)
        # Rows and columns of what is set aside become zero.
        self._inverse: FloatArray = np.linalg.inv(covariance).astype(float, copy=False)
        self._log_determinant = np.linalg.slogdet(covariance)[1]
        self._weights = np.einsum("qij,qj->qi", self._inverse, residual)

    def set_aside(self, rows: NDArray[np.int64], which: NDArray[np.int64]) -> None:
        """Set one measurement aside in each of some models, shape (rows,) each."""
        self.outliers[rows, which] = True
        column = self._inverse[rows, :, which]
        precision = column[np.arange(len(rows)), which]
        self._log_determinant[rows] += np.log(precision)
        self._inverse[rows] -= column[:, :, None] * (column / precision[:, None])[:, None]
        self._inverse[rows, :, which] = self._inverse[rows, which] = 0
        self._weights[rows] = np.einsum("qij,qj->qi", self._inverse[rows], self._residual[rows])

    @property
    def _count(self) -> FloatArray:
        """Number of measurements that each model is conditioned on, shape (models,)."""
        count: FloatArray = (~self.outliers).sum(axis=1).astype(float)
        return count

    @property
    def _rate(self) -> FloatArray:
        rate: FloatArray = RATE + 0.5 * np.einsum("qi,qi->q", self._residual, self._weights)
        return rate

    def log_evidence(self) -> FloatArray:
        """Log density of the measurements that are not set aside, shape (models,)."""
        # Summed anew: the difference that an outlier makes may be lost to rounding.
        count = self._count
        total = gammaln(SHAPE + count / 2) - gammaln(SHAPE) + SHAPE * np.log(RATE)
        total -= 0.5 * (count * np.log(2 * np.pi) + self._log_determinant)
        total -= (SHAPE + count / 2) * np.log(self._rate)
        found: FloatArray = total + np.where(self.outliers, 0, self._slopes).sum(axis=1)
        return found

    def _leave_out(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Precision of a measurement given the others, and the others' shape and rate.

        Returns:
            Arrays of shape (models, k), (models, 1) and (models, k).
        """
        precision = np.where(self.outliers, 1.0, np.einsum("qii->qi", self._inverse))
        shape = SHAPE + (self._count[:, None] - 1) / 2
        # Never below the prior's, though rounding may say so where a measurement is far off.
        rate = np.maximum(self._rate[:, None] - 0.5 * self._weights**2 / precision, RATE)
        return precision, shape, rate

    def left_out_log_density(self) -> FloatArray:
        """Log density of each measurement given the others, shape (models, k)."""
        precision, shape, rate = self._leave_out()
        found: FloatArray = (
            gammaln(shape + 0.5)
            - gammaln(shape)
            + 0.5 * np.log(precision / (2 * np.pi))
            + shape * np.log(rate)
            - (shape + 0.5) * np.log(self._rate)[:, None]
            + self._slopes
        )
        return found

    def left_out(self) -> tuple[FloatArray, FloatArray]:
        """Error of the prediction of each measurement from the others, and its variance.

        Returns:
            Two arrays of shape (models, k).
        """
        precision, shape, rate = self._leave_out()
        error, variance = self._weights / precision, rate / shape / precision
        # What was set aside is predicted as anything else is.
        rows = np.flatnonzero(self.outliers.any(axis=1))
        inverse, covariance = self._inverse[rows], self._covariance[rows]
        missed = self._residual[rows] - np.einsum("qij,qj->qi", covariance, self._weights[rows])
        known = ((covariance @ inverse) * covariance).sum(axis=2)
        unknown = np.maximum(np.einsum("qii->qi", covariance) - known, 0)
        unknown *= (self._rate[rows] / (shape[rows, 0] + 0.5))[:, None]
        error[rows] = np.where(self.outliers[rows], missed, error[rows])
        variance[rows] = np.where(self.outliers[rows], unknown, variance[rows])
        return error, variance
