"""A Gaussian process for few rows: for each view a linear trend plus a smooth deviation from it."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from scipy.linalg import cho_solve
from scipy.optimize import minimize
from scipy.spatial.distance import cdist
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Hyperparameter, Kernel, WhiteKernel

from evonas.space import FloatArray

STEPS = 15
"""Steps of the optimizer that learns the hyperparameters, at most; the last ones gain little."""

TREND, SMOOTH, NOISE = 0.3, 0.5, 0.05
"""Shares of the variance that are expected of the linear trends, the smooth parts, the noise."""

BOUNDS = (1e-6, 1e3)
"""Of the variance of a part."""

PRIOR_WIDTH = 1.5
"""Standard deviation of the priors of the hyperparameters' logarithms."""


class ViewKernel(Kernel):  # type: ignore[misc]
    """Linear + Matérn-5/2 (Rasmussen and Williams 2006, eq. 4.17) on the columns of one view.

    Args:
        start: First column.
        stop: One after the last.
        trend: Variance of the linear part.
        smooth: Variance of the Matérn part.
        length: Distance at which designs are no longer alike.
    """

    hyperparameter_length = Hyperparameter("length", "numeric", (5e-2, 1e2))
    hyperparameter_smooth = Hyperparameter("smooth", "numeric", BOUNDS)
    hyperparameter_trend = Hyperparameter("trend", "numeric", BOUNDS)

    def __init__(
        self, start: int, stop: int, trend: float, smooth: float, length: float = 1.0
    ) -> None:
        self.start = start
        self.stop = stop
        self.trend = trend
        self.smooth = smooth
        self.length = length

    def __call__(
        self, X: FloatArray, Y: FloatArray | None = None, eval_gradient: bool = False
    ) -> Any:
        own = X[:, self.start : self.stop]
        other = own if Y is None else Y[:, self.start : self.stop]
        distance = np.sqrt(5) / self.length * cdist(own, other)
        decay = np.exp(-distance)
        linear = self.trend * (own @ other.T)
        smooth = self.smooth * (1 + distance + distance**2 / 3) * decay
        if not eval_gradient:
            return linear + smooth
        by_length = self.smooth * distance**2 / 3 * (1 + distance) * decay
        # By the logarithms of the hyperparameters, which are in the order of their names.
        return linear + smooth, np.stack([by_length, smooth, linear], axis=-1)

    def diag(self, X: FloatArray) -> FloatArray:
        squares: FloatArray = np.square(X[:, self.start : self.stop]).sum(axis=1)
        return self.trend * squares + self.smooth

    def is_stationary(self) -> bool:
        return False


def make_kernel(widths: Sequence[int]) -> Kernel:
    """A kernel on every view, and noise; how much each view matters is learnt.

    Columns are to be scaled so that two rows are at a distance of about 1 in every view.

    Args:
        widths: Columns of every view, side by side.
    """
    stops = np.cumsum(widths).tolist()
    trend, smooth = TREND / len(widths), SMOOTH / len(widths)
    parts = [ViewKernel(a, b, trend, smooth) for a, b in zip([0, *stops], stops, strict=False)]
    return reduce(operator.add, [*parts, WhiteKernel(NOISE, (1e-8, 1e1))])


def _maximise(
    loss: Callable[[FloatArray], tuple[float, FloatArray]], start: FloatArray, bounds: FloatArray
) -> tuple[FloatArray, float]:
    """Find the most probable hyperparameters under log-normal priors around the initial ones.

    Without priors, few rows are explained without any noise, and the process is far too certain.
    """

    def posterior(theta: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = loss(theta)
        away = (theta - start) / PRIOR_WIDTH
        return value + float(away @ away) / 2, gradient + away / PRIOR_WIDTH

    found = minimize(
        posterior, start, method="L-BFGS-B", jac=True, bounds=bounds, options={"maxiter": STEPS}
    )
    return found.x, float(found.fun)


@dataclass(frozen=True)
class LeaveOneOut:
    """Predictions of every row from all others, shape (rows,) each, in model units."""

    mean: FloatArray
    deviation: FloatArray


class GaussianProcess:
    """Gaussian-process regression (Rasmussen and Williams 2006) with a kernel that is learnt.

    Args:
        widths: Columns of every view; left out, all columns are one view.
        kernel: With the hyperparameters to use; left out, they are learnt.
    """

    def __init__(self, widths: Sequence[int] = (), kernel: Kernel | None = None) -> None:
        self._widths = list(widths)
        self._given = kernel

    @property
    def kernel(self) -> Kernel:
        """The kernel with its hyperparameters."""
        return self._model.kernel_

    def fit(self, features: FloatArray, scores: FloatArray) -> None:
        """Fit to rows of shape (n, columns) and their scores of shape (n,)."""
        widths = self._widths or [features.shape[1]]
        deviation = features.std(axis=0)
        used = deviation > 1e-12
        stops = np.cumsum(widths)[:-1]
        counts = [max(1, int(view.sum())) for view in np.split(used, stops)]
        self._centre = features.mean(axis=0)
        # Columns that are the same everywhere say nothing.
        self._reach = used / np.where(used, deviation, 1.0) / np.sqrt(np.repeat(counts, widths))
        self._model = GaussianProcessRegressor(
            self._given or make_kernel(widths),
            alpha=1e-9,
            optimizer=None if self._given is not None else _maximise,
            normalize_y=True,
        )
        with warnings.catch_warnings():
            # A hyperparameter at its bound is no concern: the bounds are wide on purpose.
            warnings.simplefilter("ignore", ConvergenceWarning)
            self._model.fit(self._scaled(features), scores)
        self._scores = scores

    def _scaled(self, features: FloatArray) -> FloatArray:
        scaled: FloatArray = (features - self._centre) * self._reach
        return scaled

    def predict(self, features: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Predict mean and standard deviation of an observation, noise included, (n,) each."""
        mean, deviation = self._model.predict(self._scaled(features), return_std=True)
        return mean, deviation

    def leave_one_out(self) -> LeaveOneOut:
        """Predict every row from all others in closed form (ibid., eq. 5.10 to 5.12)."""
        inverse = cho_solve((self._model.L_, True), np.eye(len(self._scores)))
        precision = np.diag(inverse)
        unit = self._model._y_train_std
        error = self._model.alpha_ / precision * unit
        return LeaveOneOut(self._scores - error, unit / np.sqrt(precision))
