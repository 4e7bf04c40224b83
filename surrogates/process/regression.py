"""A Gaussian process for few rows: for each view a linear trend plus a smooth deviation from it.

The algebra is written out: scikit-learn's computes a kernel twice a fit, and all distances anew at
every step of the optimizer, and takes three to five times as long to fit. Equations are those of
Rasmussen and Williams (2006).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.linalg.lapack import dpotri
from scipy.optimize import minimize

from evonas.space import FloatArray
from evonas.surrogates.process.kernel import Kernel, Layout, expected, standardisation
from evonas.surrogates.process.likelihood import JITTER, LogLikelihood, log_density

STEPS = 15
"""Steps of the optimizer that learns the hyperparameters, at most; the last ones gain little."""

FREEDOM = 4.0
"""Degrees of freedom of Student's t distribution, where rows left out are judged."""

ROUNDS = 3
"""How often rows' noise is computed anew from what is predicted of them."""

LIMIT = 6.0
"""Of the logarithm of the factor by which the noise's variance grows or shrinks."""

BLOCK = 64
"""Rows of a covariance that are computed at a time: many more do not fit into a cache."""


@dataclass(frozen=True)
class LeaveOneOut:
    """Predictions of every row from all others, shape (rows,) each, in the scores' unit."""

    mean: FloatArray
    deviation: FloatArray

    def log_density(self, scores: FloatArray) -> float:
        """Sum up the logarithms of the densities that rows were predicted with, but for a constant.

        Student's t distribution stands for the normal one, so that no single row decides.
        """
        square = np.square((scores - self.mean) / self.deviation)
        tails = (FREEDOM + 1) / 2 * np.log1p(square / FREEDOM)
        return -float(np.sum(np.log(self.deviation) + tails))


class GaussianProcess:
    """Gaussian-process regression; how much each view matters is learnt.

    The noise may grow or shrink with what is predicted, as that of a stopwatch does (the most
    likely heteroscedastic process, Kersting et al. 2007, with one parameter).

    Args:
        layouts: Of the views; left out, all columns are one view.
        hyperparameters: As :func:`evonas.surrogates.process.kernel.expected` lists them; left out,
            they are learnt.
        slope: By how much the logarithm of the noise's standard deviation rises with a prediction
            that is one standard deviation of the scores higher.

    Attributes:
        slope: As given.
        hyperparameters: Those that are used, from :meth:`fit` on.
        evidence: Logarithm of the marginal likelihood of the scores, standardised (eq. 2.30),
            given how noisy each row is.
    """

    def __init__(
        self,
        layouts: Sequence[Layout] = (),
        hyperparameters: FloatArray | None = None,
        slope: float = 0.0,
    ) -> None:
        self._layouts = list(layouts)
        self._given = hyperparameters
        self.slope = slope

    def fit(self, features: FloatArray, scores: FloatArray) -> None:
        """Fit to rows of shape (n, columns) and their scores of shape (n,)."""
        self._layouts = self._layouts or [Layout(features.shape[1])]
        self._centre, self._reach = standardisation(features, self._layouts)
        self._rows = self._scaled(features)
        self._scores = scores
        self._level, self._unit = scores.mean(), scores.std()
        if self._unit < 1e-12:
            self._unit = 1.0
        self._targets = targets = (scores - self._level) / self._unit
        self._spread = np.ones(len(scores))
        given = self._given
        self.hyperparameters = expected(self._layouts).values if given is None else given
        self._solve()
        for _ in range(ROUNDS if self.slope else 0):
            # What the process makes of its rows (eq. 2.23).
            noise = self._noise * self._spread + JITTER
            self._spread = self._growth(targets - noise * self._weights)
            self._solve()
        self.evidence = log_density(self._factor, self._weights, targets)

    def _solve(self) -> None:
        """Learn the hyperparameters, unless they are given, and factorise the covariance."""
        if self._given is None:
            self.hyperparameters = self._learn(self._targets)
        self._kernel = Kernel(self._layouts, self.hyperparameters)
        self._placed = self._kernel.place(self._rows)
        self._factor = cholesky(self._own_covariance(), lower=True, overwrite_a=True)
        self._weights = cho_solve((self._factor, True), self._targets)

    @property
    def _noise(self) -> float:
        """Variance of the noise, of targets."""
        return self._kernel.noise

    def _scaled(self, features: FloatArray) -> FloatArray:
        scaled: FloatArray = (features - self._centre) * self._reach
        return scaled

    def _growth(self, predicted: FloatArray) -> FloatArray:
        """Factor on the noise's variance for predictions in units of the scores' deviation."""
        growth: FloatArray = np.exp(np.clip(2 * self.slope * predicted, -LIMIT, LIMIT))
        return growth

    def _learn(self, targets: FloatArray) -> FloatArray:
        """Find the most probable hyperparameters under priors around what is expected of them.

        Without priors, few rows are explained without any noise, and the process is far too
        certain.
        """
        values, deviations, bounds = expected(self._layouts)
        likelihood = LogLikelihood(self._rows, self._layouts, targets, self._spread)

        def loss(hyperparameters: FloatArray) -> tuple[float, FloatArray]:
            value, gradient = likelihood(hyperparameters)
            away = (hyperparameters - values) / deviations
            return float(away @ away) / 2 - value, away / deviations - gradient

        found: FloatArray = minimize(
            loss,
            self.hyperparameters,
            method="L-BFGS-B",
            jac=True,
            bounds=bounds,
            options={"maxiter": STEPS},
        ).x
        return found

    def _own_covariance(self) -> FloatArray:
        """Of the rows, noise included; the lower triangle, as no more is looked at."""
        placed, rows = self._placed, len(self._rows)
        covariance = np.diag(self._noise * self._spread + JITTER)
        for start in range(0, rows, BLOCK):
            stop = min(start + BLOCK, rows)
            covariance[start:stop, :stop] += self._kernel(
                placed.some(start, stop), placed.some(0, stop)
            )
        return covariance

    def predict(self, features: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Predict mean and standard deviation of an observation, noise included, (n,) each."""
        rows = self._scaled(features)
        covariance = self._kernel(self._kernel.place(rows), self._placed)
        known = solve_triangular(self._factor, covariance.T, lower=True, check_finite=False)
        variance = np.maximum(self._kernel.variance(rows) - np.square(known).sum(axis=0), 0)
        mean = covariance @ self._weights
        variance += self._noise * self._growth(mean)
        return self._level + self._unit * mean, self._unit * np.sqrt(variance)

    def leave_one_out(self) -> LeaveOneOut:
        """Predict every row from all others in closed form (eq. 5.10 to 5.12)."""
        inverse, _ = dpotri(self._factor, lower=True)
        precision = np.diag(inverse)
        error = self._weights / precision
        # A row's own noise is replaced by that of a row of which nothing is known.
        variance = np.maximum(1 / precision - self._noise * self._spread - JITTER, 0)
        variance += self._noise * self._growth(self._targets - error)
        return LeaveOneOut(
            self._scores - self._unit * error,
            self._unit * np.sqrt(variance),
        )
