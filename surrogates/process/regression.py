"""Gaussian-process regression for few rows.

The notation and the equations are those of :mod:`evonas.surrogates.process`. The algebra is written
out: scikit-learn's computes a kernel twice a fit, and all distances anew at every step of the
optimizer, and takes three to five times as long to fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.linalg.lapack import dpotri
from scipy.optimize import minimize

from evonas.space import FloatArray
from evonas.surrogates.process.kernel import Kernel, KernelLayout, hyperprior, standardisation
from evonas.surrogates.process.likelihood import JITTER, LogLikelihood, log_density

STEPS = 15
"""Steps of the optimizer that learns the hyperparameters, at most; the last ones gain little."""

FREEDOM = 4.0
"""Degrees of freedom of Student's t distribution that left-out rows are judged by."""

ROUNDS = 3
"""How often the noise scale is computed anew from the predictions."""

LIMIT = 6.0
"""Largest logarithm of the noise scale, in either direction."""

BLOCK = 64
"""Rows of a covariance that are computed at a time: many more do not fit into a cache."""


@dataclass(frozen=True)
class LeaveOneOut:
    """Predictions of every row from all others, shape (n,) each, in the unit of the scores."""

    mean: FloatArray
    deviation: FloatArray

    def log_density(self, scores: FloatArray) -> float:
        """Sum the log densities of the scores, shape (n,), up to a constant.

        Student's t distribution stands for the normal one, so that no single row decides.
        """
        square = np.square((scores - self.mean) / self.deviation)
        tails = (FREEDOM + 1) / 2 * np.log1p(square / FREEDOM)
        return -float(np.sum(np.log(self.deviation) + tails))


class GaussianProcess:
    """Gaussian-process regression; how much each feature view matters is learnt.

    The noise may grow or shrink with the prediction, as that of a stopwatch does (the most likely
    heteroscedastic process of Kersting et al. 2007, with one parameter).

    Args:
        layouts: One layout a view; left out, all columns are one view.
        hyperparameters: Vector in the order of
            :class:`evonas.surrogates.process.kernel.HyperPrior`; left out, it is learnt.
        noise_slope: Rise of the logarithm of the noise deviation per standard deviation of the
            scores.

    Attributes:
        noise_slope: The argument.
        hyperparameters: Those in use; set by :meth:`fit`.
        evidence: Log marginal likelihood of the standardised scores, given the noise scale
            (eq. 2.30); set by :meth:`fit`.
    """

    def __init__(
        self,
        layouts: Sequence[KernelLayout] = (),
        hyperparameters: FloatArray | None = None,
        noise_slope: float = 0.0,
    ) -> None:
        self._layouts = list(layouts)
        self._given = hyperparameters
        self.noise_slope = noise_slope

    def fit(self, features: FloatArray, scores: FloatArray) -> None:
        """Fit to rows of shape (n, columns) and their scores of shape (n,)."""
        self._layouts = self._layouts or [KernelLayout(features.shape[1])]
        self._centre, self._factors = standardisation(features, self._layouts)
        self._rows = self._scaled(features)
        self._scores = scores
        self._level, self._unit = scores.mean(), scores.std()
        if self._unit < 1e-12:
            self._unit = 1.0
        self._targets = targets = (scores - self._level) / self._unit
        self._noise_scale = np.ones(len(scores))
        given = self._given
        self.hyperparameters = hyperprior(self._layouts).means if given is None else given
        self._solve()
        for _ in range(ROUNDS if self.noise_slope else 0):
            # The prediction of the rows themselves (eq. 2.25).
            noise = self._noise * self._noise_scale + JITTER
            self._noise_scale = self._noise_scale_at(targets - noise * self._weights)
            self._solve()
        self.evidence = log_density(self._factor, self._weights, targets)

    def _solve(self) -> None:
        """Learn the hyperparameters, unless they are given, and factorise the covariance."""
        if self._given is None:
            self.hyperparameters = self._learn(self._targets)
        self._kernel = Kernel(self._layouts, self.hyperparameters)
        self._inputs = self._kernel.inputs(self._rows)
        self._factor = cholesky(self._training_covariance(), lower=True, overwrite_a=True)
        self._weights = cho_solve((self._factor, True), self._targets)

    @property
    def _noise(self) -> float:
        return self._kernel.noise

    def _scaled(self, features: FloatArray) -> FloatArray:
        scaled: FloatArray = (features - self._centre) * self._factors
        return scaled

    def _noise_scale_at(self, predicted: FloatArray) -> FloatArray:
        """Noise scale of rows whose standardised scores are predicted, shape (n,)."""
        scale: FloatArray = np.exp(np.clip(2 * self.noise_slope * predicted, -LIMIT, LIMIT))
        return scale

    def _learn(self, targets: FloatArray) -> FloatArray:
        """Find the most probable hyperparameters under their prior.

        Without a prior, few rows are explained without any noise, and the process is far too
        certain.
        """
        means, deviations, bounds = hyperprior(self._layouts)
        likelihood = LogLikelihood(self._rows, self._layouts, targets, self._noise_scale)

        def loss(hyperparameters: FloatArray) -> tuple[float, FloatArray]:
            value, gradient = likelihood(hyperparameters)
            away = (hyperparameters - means) / deviations
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

    def _training_covariance(self) -> FloatArray:
        """K + sigma^2 diag(g), shape (n, n); its lower triangle, as no more is looked at."""
        inputs, rows = self._inputs, len(self._rows)
        covariance = np.diag(self._noise * self._noise_scale + JITTER)
        for start in range(0, rows, BLOCK):
            stop = min(start + BLOCK, rows)
            covariance[start:stop, :stop] += self._kernel(
                inputs.part(start, stop), inputs.part(0, stop)
            )
        return covariance

    def predict(self, features: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Predict observations, noise included (eq. 2.25 and 2.26).

        Args:
            features: Rows of shape (m, columns).

        Returns:
            Mean and standard deviation in the unit of the scores, shape (m,) each.
        """
        rows = self._scaled(features)
        covariance = self._kernel(self._kernel.inputs(rows), self._inputs)
        known = solve_triangular(self._factor, covariance.T, lower=True, check_finite=False)
        variance = np.maximum(self._kernel.variance(rows) - np.square(known).sum(axis=0), 0)
        mean = covariance @ self._weights
        variance += self._noise * self._noise_scale_at(mean)
        return self._level + self._unit * mean, self._unit * np.sqrt(variance)

    def leave_one_out(self) -> LeaveOneOut:
        """Predict every row from all others in closed form (eq. 5.10 to 5.12)."""
        inverse, _ = dpotri(self._factor, lower=True)
        precision = np.diag(inverse)
        error = self._weights / precision
        # A row's own noise is replaced by that of a row of which nothing is known.
        variance = np.maximum(1 / precision - self._noise * self._noise_scale - JITTER, 0)
        variance += self._noise * self._noise_scale_at(self._targets - error)
        return LeaveOneOut(
            self._scores - self._unit * error,
            self._unit * np.sqrt(variance),
        )
