"""A Gaussian process for few rows: a linear trend plus a smooth deviation from it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import (
    ConstantKernel,
    DotProduct,
    Kernel,
    Matern,
    WhiteKernel,
)

from evonas.space import FloatArray

STEPS = 15
"""Steps of the optimizer that learns the hyperparameters, at most; the last ones gain little."""

PRIOR_WIDTH = 1.5
"""Standard deviation of the priors of the hyperparameters' logarithms."""


def make_kernel() -> Kernel:
    """Linear + Matérn-5/2 + noise, over columns scaled so that distances are about 1."""
    bounds = (1e-3, 1e3)
    return (
        ConstantKernel(1.0, bounds) * DotProduct(0.0, "fixed")
        + ConstantKernel(1.0, bounds) * Matern(1.0, (5e-2, 1e2), nu=2.5)
        + WhiteKernel(0.02, (1e-8, 1e1))
    )


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
        kernel: With the hyperparameters to use; left out, they are learnt.
        relevance: How far a step of one standard deviation in each column goes, shape (columns,);
            left out, equally far in all.
    """

    def __init__(self, kernel: Kernel | None = None, relevance: FloatArray | None = None) -> None:
        self._given = kernel
        self._relevance = relevance

    @property
    def kernel(self) -> Kernel:
        """The kernel with its hyperparameters."""
        return self._model.kernel_

    def fit(self, features: FloatArray, scores: FloatArray) -> None:
        """Fit to rows of shape (n, columns) and their scores of shape (n,)."""
        deviation = features.std(axis=0)
        self._used = deviation > 1e-12
        self._centre = features.mean(axis=0)[self._used]
        relevance = np.ones(len(deviation)) if self._relevance is None else self._relevance
        reach = relevance[self._used]
        self._scale = deviation[self._used] * float(np.square(reach).sum()) ** 0.5 / reach
        self._model = GaussianProcessRegressor(
            self._given or make_kernel(),
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
        used = features[:, self._used]
        if not used.shape[1]:
            return np.zeros((len(features), 1))
        scaled: FloatArray = (used - self._centre) / self._scale
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
