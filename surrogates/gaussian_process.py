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

STEPS = 15
"""Steps of the optimizer that learns the hyperparameters, at most; the last ones gain little."""

TREND, SMOOTH, NOISE = 0.3, 0.5, 0.05
"""Shares of the variance that are expected of the linear trends, the smooth parts, the noise."""

PRIOR_WIDTH = 1.5
"""Standard deviation of the priors of the hyperparameters' logarithms."""

FREEDOM = 4.0
"""Degrees of freedom of Student's t distribution, where rows left out are judged."""

ROUNDS = 3
"""How often rows' noise is computed anew from what is predicted of them."""

LIMIT = 6.0
"""Of the logarithm of the factor by which the noise's variance grows or shrinks."""

JITTER = 1e-9
"""Added to the noise, so that equal rows never make a singular matrix."""

BLOCK = 64
"""Rows of a covariance that are computed at a time: many more do not fit into a cache."""


def initial(views: int) -> tuple[FloatArray, FloatArray]:
    """Say what is expected of the hyperparameters before anything is known, and their bounds.

    Columns are to be scaled so that two rows are at a distance of about 1 in every view.

    Returns:
        Logarithms of shape (3 * views + 1,): of each view the length (distance at which rows are
        no longer alike), the variance of the smooth part and that of the trend; last, the noise's
        variance. Lower and upper bounds on them, shape (3 * views + 1, 2).
    """
    expected = [*[1.0, SMOOTH / views, TREND / views] * views, NOISE]
    bounds = [*[(5e-2, 1e2), (1e-6, 1e3), (1e-6, 1e3)] * views, (1e-8, 1e1)]
    return np.log(expected), np.log(bounds)


def _distances(own: FloatArray, other: FloatArray) -> FloatArray:
    """Euclidean distances, shape (own rows, other rows)."""
    squares = np.square(own).sum(axis=1)[:, None] + np.square(other).sum(axis=1)
    squares -= (2 * own) @ other.T
    # Rounding makes some negative.
    distances: FloatArray = np.sqrt(np.maximum(squares, 0))
    return distances


def _matern(distance: FloatArray) -> FloatArray:
    """Matérn covariance with 5/2 degrees of freedom (eq. 4.17), distances times the root of 5."""
    covariance: FloatArray = (1 + distance + distance**2 / 3) * np.exp(-distance)
    return covariance


def _covariance(
    own: FloatArray, other: FloatArray, widths: Sequence[int], hyperparameters: FloatArray
) -> FloatArray:
    """Of what is observed, but for the noise; shape (own rows, other rows)."""
    length, smooth, trend = np.exp(hyperparameters[:-1]).reshape(-1, 3).T
    covariance: FloatArray = (own * np.repeat(trend, widths)) @ other.T
    reach = np.repeat(np.sqrt(5) / length, widths)
    stops = np.cumsum(widths)[:-1]
    views = (np.split(rows * reach, stops, axis=1) for rows in (own, other))
    for variance, a, b in zip(smooth, *views, strict=True):
        covariance += variance * _matern(_distances(a, b))
    return covariance


def _standardisation(features: FloatArray, widths: Sequence[int]) -> tuple[FloatArray, FloatArray]:
    """Centre and factor of every column under which rows are at a distance of about 1 in a view.

    Columns that are the same everywhere say nothing: their factor is 0.
    """
    deviation = features.std(axis=0)
    used = deviation > 1e-12
    views = np.split(used, np.cumsum(widths)[:-1])
    counts = np.repeat([max(1, int(view.sum())) for view in views], widths)
    return features.mean(axis=0), used / np.where(used, deviation, 1.0) / np.sqrt(counts)


def prior_covariance(views: Sequence[FloatArray]) -> tuple[FloatArray, float]:
    """Say how designs' scores go together before any is known, in units of their variance.

    Args:
        views: Of the same n designs, shape (n, columns) each.

    Returns:
        Covariance without noise, shape (n, n), and the noise's variance.
    """
    features, widths = np.hstack(views), [view.shape[1] for view in views]
    centre, reach = _standardisation(features, widths)
    rows = (features - centre) * reach
    return _covariance(rows, rows, widths, initial(len(widths))[0]), NOISE


def _log_density(factor: FloatArray, weights: FloatArray, targets: FloatArray) -> float:
    """Logarithm of the marginal likelihood (eq. 2.30), from what was solved with the factor."""
    logarithm = np.log(2 * np.pi * np.diag(factor) ** 2).sum()
    return -(float(targets @ weights) + float(logarithm)) / 2


class LogLikelihood:
    """The logarithm of the marginal likelihood, a function of the hyperparameters.

    Args:
        rows: Shape (n, columns).
        widths: Columns of every view.
        targets: Shape (n,).
        spread: How much noisier each row is than the noise's variance says, a factor, shape (n,).
    """

    def __init__(
        self, rows: FloatArray, widths: Sequence[int], targets: FloatArray, spread: FloatArray
    ) -> None:
        # Covariances are symmetric: their lower triangle, flat, is enough.
        self._lower = lower = np.tril_indices(len(rows))
        views = np.split(rows, np.cumsum(widths)[:-1], axis=1)
        self._products = [(view @ view.T)[lower] for view in views]
        self._distances = [np.sqrt(5) * _distances(view, view)[lower] for view in views]
        self._targets = targets
        self._unit = np.eye(len(rows))
        self._spread = spread

    def __call__(self, hyperparameters: FloatArray) -> tuple[float, FloatArray]:
        """Give the value and its gradient (eq. 5.8 and 5.9)."""
        targets, lower, unit = self._targets, self._lower, self._unit
        *parts, noise = np.exp(hyperparameters)
        slopes = []
        for products, distances, (length, smooth, trend) in zip(
            self._products, self._distances, np.reshape(parts, (-1, 3)), strict=True
        ):
            scaled = distances / length
            third, decay = scaled**2 / 3, smooth * np.exp(-scaled)
            slopes += [third * (1 + scaled) * decay, (1 + scaled + third) * decay, trend * products]
        covariance = np.diag(noise * self._spread + JITTER)
        covariance[lower] += sum(slopes[1::3]) + sum(slopes[2::3])
        factor = cholesky(covariance, lower=True)
        weights = cho_solve((factor, True), targets)
        inverse, _ = dpotri(factor, lower=True)
        # The slope by the covariance; each entry off the diagonal is there twice.
        slope = (np.outer(weights, weights) - inverse) * (1 - unit / 2)
        flat = slope[lower]
        gradient = [*(part @ flat for part in slopes), noise * (np.diag(slope) @ self._spread)]
        return _log_density(factor, weights, targets), np.array(gradient)


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
        widths: Columns of every view; left out, all columns are one view.
        hyperparameters: As :func:`initial` gives them; left out, they are learnt.
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
        widths: Sequence[int] = (),
        hyperparameters: FloatArray | None = None,
        slope: float = 0.0,
    ) -> None:
        self._widths = list(widths)
        self._given = hyperparameters
        self.slope = slope

    def fit(self, features: FloatArray, scores: FloatArray) -> None:
        """Fit to rows of shape (n, columns) and their scores of shape (n,)."""
        self._widths = self._widths or [features.shape[1]]
        self._centre, self._reach = _standardisation(features, self._widths)
        self._rows = self._scaled(features)
        self._scores = scores
        self._level, self._unit = scores.mean(), scores.std()
        if self._unit < 1e-12:
            self._unit = 1.0
        self._targets = targets = (scores - self._level) / self._unit
        self._spread = np.ones(len(scores))
        self.hyperparameters = initial(len(self._widths))[0] if self._given is None else self._given
        self._solve()
        for _ in range(ROUNDS if self.slope else 0):
            # What the process makes of its rows (eq. 2.23).
            noise = self._noise * self._spread + JITTER
            self._spread = self._growth(targets - noise * self._weights)
            self._solve()
        self.evidence = _log_density(self._factor, self._weights, targets)

    def _solve(self) -> None:
        """Learn the hyperparameters, unless they are given, and factorise the covariance."""
        if self._given is None:
            self.hyperparameters = self._learn(self._targets)
        self._factor = cholesky(self._own_covariance(), lower=True, overwrite_a=True)
        self._weights = cho_solve((self._factor, True), self._targets)

    @property
    def _noise(self) -> float:
        """Variance of the noise, of targets."""
        return float(np.exp(self.hyperparameters[-1]))

    def _scaled(self, features: FloatArray) -> FloatArray:
        scaled: FloatArray = (features - self._centre) * self._reach
        return scaled

    def _growth(self, predicted: FloatArray) -> FloatArray:
        """Factor on the noise's variance for predictions in units of the scores' deviation."""
        growth: FloatArray = np.exp(np.clip(2 * self.slope * predicted, -LIMIT, LIMIT))
        return growth

    def _learn(self, targets: FloatArray) -> FloatArray:
        """Find the most probable hyperparameters under log-normal priors around the initial ones.

        Without priors, few rows are explained without any noise, and the process is far too
        certain.
        """
        expected, bounds = initial(len(self._widths))
        likelihood = LogLikelihood(self._rows, self._widths, targets, self._spread)

        def loss(hyperparameters: FloatArray) -> tuple[float, FloatArray]:
            value, gradient = likelihood(hyperparameters)
            away = (hyperparameters - expected) / PRIOR_WIDTH
            return float(away @ away) / 2 - value, away / PRIOR_WIDTH - gradient

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
        rows = self._rows
        covariance = np.diag(self._noise * self._spread + JITTER)
        for start in range(0, len(rows), BLOCK):
            stop = start + BLOCK
            covariance[start:stop, :stop] += _covariance(
                rows[start:stop], rows[:stop], self._widths, self.hyperparameters
            )
        return covariance

    def predict(self, features: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Predict mean and standard deviation of an observation, noise included, (n,) each."""
        rows = self._scaled(features)
        covariance = _covariance(rows, self._rows, self._widths, self.hyperparameters)
        _, smooth, trend = np.exp(self.hyperparameters[:-1]).reshape(-1, 3).T
        alone = np.square(rows) @ np.repeat(trend, self._widths) + smooth.sum()
        known = solve_triangular(self._factor, covariance.T, lower=True, check_finite=False)
        variance = np.maximum(alone - np.square(known).sum(axis=0), 0)
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
