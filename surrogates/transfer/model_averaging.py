"""Bayesian model averaging: the candidate models, weighted by how well they explain the probes.

The notation is that of :mod:`evonas.surrogates.transfer`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from evonas.space import FloatArray
from evonas.surrogates.transfer.bayesian_linear_model import RATE, SHAPE, Conditioned, condition
from evonas.surrogates.transfer.candidates import Candidates, Terms
from evonas.surrogates.transfer.chunks import Indices, chunks
from evonas.surrogates.transfer.link_functions import LINKS, apply_link, invert_link, link_slope

OUTLIERS = 0.05
"""Prior probability that a probe is an outlier."""

OUTLIER_WIDTH = 1.0
"""Half the width, at half its height, of the logarithm of an outlier."""

LEARNING_RATE = 0.7
"""Power of the likelihood, below 1 as no candidate is quite true.

It is eta in Grünwald, "The Safe Bayesian" (2012).
"""

SCREENS = ((16, 1500), (64, 200), (256, 60))
"""Probes that candidates are screened by when there are more, and how many candidates are left."""

OUTLIER_INFLATION = 40.0
"""What a share of outliers of 1 adds to a variance of 1: other designs may be as far off."""

KEPT = 60
"""Candidates that predictions are averaged over at most."""


@dataclass(frozen=True)
class Moments:
    """Predictions of the costs of designs.

    Args:
        mean: Mean cost, shape (designs,).
        deviation: Standard deviation of the logarithm of the cost, noise included, shape
            (designs,).
    """

    mean: FloatArray
    deviation: FloatArray


class _Kept(NamedTuple):
    """A candidate, conditioned on some of the probes.

    Args:
        candidate: Index of the candidate.
        probes: Indices of the u probes that it is conditioned on.
        weights: Weights of their residuals in a prediction, shape (u,).
        inverse: Inverse of their covariance without the scale, shape (u, u).
        variance: Posterior mean of the squared scale.
        share: Posterior probability.
    """

    candidate: int
    probes: Indices
    weights: FloatArray
    inverse: FloatArray
    variance: float
    share: float


class ModelAverage:
    """The posterior over candidate models, and over the costs under each.

    Every candidate is a Bayesian linear model that sets aside the probes that are likelier to be
    outliers; that one more may be is taken in by treating it without that probe as one more
    candidate. Posterior weights and averages are eq. 1 to 3 of Hoeting et al., "Bayesian Model
    Averaging: A Tutorial" (1999).

    Args:
        candidates: The candidates.
        terms: Their terms at the probes.
        costs: Costs of the probes, shape (k,), positive.
        log_weights: Log prior weights of the classes of candidates, shape (classes,).
        spread: Relative deviation of every probe's measurement, shape (k,); left out, it is 0.

    Attributes:
        scale: Cost of the new device that a relative cost of 1 stands for.
        log_evidence: Log evidence of the candidates that are left, shape (candidates,).
        used: Probes that are no outliers, shape (k,).
    """

    def __init__(
        self,
        candidates: Candidates,
        terms: Terms,
        costs: FloatArray,
        log_weights: FloatArray,
        spread: FloatArray | None = None,
    ) -> None:
        self._models, self._terms = candidates, terms
        self.scale = float(np.median(costs / terms.level))
        self._costs = costs / self.scale
        self._extra = np.zeros(len(costs)) if spread is None else spread
        self._log_prior = (log_weights - np.log(candidates.class_sizes))[candidates.class_of]
        self._candidates = np.arange(len(candidates))
        for probes, left in SCREENS:
            if len(costs) > probes:
                self._condition_on(probes)
                best = np.argsort(-self._posterior.sum(axis=1), kind="stable")[:left]
                self._candidates = self._candidates[np.sort(best)]
        self._condition_on(len(costs))
        self._kept = list(self._keep())

    def _condition_on(self, probes: int) -> None:
        """Condition on the first ``probes`` probes."""
        some = self._candidates
        self._probes = self._terms.take(np.arange(probes))
        parts = [self._explain(some[part]) for part in chunks(len(some), probes**2)]
        found = self._found = Conditioned(*map(np.concatenate, zip(*parts, strict=True)))
        self.log_evidence = np.logaddexp.reduce(found.cases, axis=1)
        log_posterior = LEARNING_RATE * found.cases + self._log_prior[some, None]
        posterior = np.exp(log_posterior - log_posterior.max())
        self._posterior = posterior / posterior.sum()
        shares = self._posterior.sum(axis=1)
        outlier = self._posterior[:, 1:].sum(axis=0) + shares @ found.outliers
        self.used = outlier <= 0.5

    def _explain(self, some: Indices) -> Conditioned:
        """Condition some candidates on the probes."""
        costs = self._costs[: len(self._probes.level)]
        relative = np.log(costs / self._probes.level) / OUTLIER_WIDTH
        # Cauchy: an outlier may be off by any factor.
        anywhere = -np.log(np.pi * OUTLIER_WIDTH * (1 + relative**2)) - np.log(costs)
        odds = np.log(OUTLIERS / (1 - OUTLIERS))
        return condition(self._covariances(some), *self._residuals(some), anywhere + odds)

    def _residuals(self, some: Indices) -> tuple[FloatArray, FloatArray]:
        """Probes less prior means in units of the link functions, and log slopes of these there.

        Returns:
            Two arrays of shape (candidates, k).
        """
        links, costs = self._models.link[some], self._costs[: len(self._probes.level)]
        values = np.array([apply_link(n, costs) for n in range(len(LINKS))])[links]
        slopes = np.array([np.log(link_slope(n, costs)) for n in range(len(LINKS))])[links]
        return values - self._probes.means[self._models.mean[some]], slopes

    def _covariances(self, some: Indices) -> FloatArray:
        """Covariances of the probes under some candidates, shape (candidates, k, k)."""
        models, probes, k = self._models, self._probes, len(self._probes.level)
        costs = self._costs[:k]
        noise = models.noise_deviation(some, probes.level if models.has_proxies else costs)
        extra = np.array([link_slope(n, costs) * costs for n in range(len(LINKS))])
        extra = extra[models.link[some]] * self._extra[:k]
        covariance = models.covariance(some, probes, probes)
        diagonal = np.arange(k)
        covariance[:, diagonal, diagonal] += noise**2 + extra**2
        return covariance

    def _keep(self) -> Iterator[_Kept]:
        """Give the most probable candidates, each with and without one more outlier."""
        posterior = self._posterior
        best = np.argsort(-posterior, axis=None)[:KEPT]
        best = best[posterior.ravel()[best] > 1e-3 * posterior.max()]
        rows, cases = np.divmod(best, posterior.shape[1])
        # Several cases of one candidate may be kept.
        candidates = {row: self._candidates[[row]] for row in rows.tolist()}
        covariances = {row: self._covariances(some)[0] for row, some in candidates.items()}
        residuals = {row: self._residuals(some)[0][0] for row, some in candidates.items()}
        for row, case in zip(rows.tolist(), cases.tolist(), strict=True):
            used = ~self._found.outliers[row]
            if case:
                used[case - 1] = False
            probes = np.flatnonzero(used)
            inverse = np.linalg.inv(covariances[row][np.ix_(probes, probes)])
            residual = residuals[row][probes]
            weights = inverse @ residual
            variance = (RATE + 0.5 * residual @ weights) / (SHAPE + len(probes) / 2)
            candidate, share = int(self._candidates[row]), posterior[row, case]
            yield _Kept(candidate, probes, weights, inverse, variance, share)

    def predict(self, rows: Terms) -> Moments:
        """Predict the costs of designs, given the terms of the candidates there."""
        total = sum(kept.share for kept in self._kept)
        first = np.zeros(len(rows.level))
        second, within = first.copy(), first.copy()
        for candidate, probes, weights, inverse, variance, share in self._kept:
            link = int(self._models.link[candidate])
            some = np.array([candidate])
            cross = self._models.cross_covariance(candidate, rows, self._probes)[:, probes]
            value = rows.means[self._models.mean[candidate]] + cross @ weights
            left = self._models.variance(candidate, rows)
            left = np.maximum(left - ((cross @ inverse) * cross).sum(axis=1), 0)
            cost = invert_link(link, value)
            level = rows.level if self._models.has_proxies else cost
            left = left + self._models.noise_deviation(some, level)[0] ** 2
            relative = link_slope(link, cost) * cost
            logarithm = np.log(cost)
            first += share / total * cost
            within += share / total * (variance * left / relative**2 + logarithm**2)
            second += share / total * logarithm
        deviation = np.sqrt(np.maximum(within - second**2, 1e-12))
        return Moments(first * self.scale, deviation)

    @property
    def inflation(self) -> float:
        """Factor on deviations, above 1 where probes were set aside as outliers."""
        return float(np.sqrt(1 + OUTLIER_INFLATION * np.mean(~self.used)))

    def leave_one_out(self) -> Moments:
        """Predict the cost of every probe from all others but outliers."""
        links, found = self._models.link[self._candidates], self._found
        log_weights = np.log(self._posterior[:, :1] + 1e-300) - LEARNING_RATE * found.log_density
        weights = np.exp(log_weights - log_weights.max(axis=0))
        weights /= weights.sum(axis=0)
        first = np.zeros(len(self._costs))
        second, within = first.copy(), first.copy()
        for link in range(len(LINKS)):
            chosen = links == link
            values = apply_link(link, self._costs) - found.error[chosen]
            left = invert_link(link, values)
            relative = link_slope(link, left) * left
            logarithm = np.log(left)
            first += (weights[chosen] * left).sum(axis=0)
            variance = found.variance[chosen] / relative**2
            within += (weights[chosen] * (variance + logarithm**2)).sum(axis=0)
            second += (weights[chosen] * logarithm).sum(axis=0)
        deviation = np.sqrt(np.maximum(within - second**2, 1e-12))
        return Moments(first * self.scale, deviation)
