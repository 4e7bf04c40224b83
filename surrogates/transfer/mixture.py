"""What is left of the candidate priors after a few probes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from evonas.space import FloatArray
from evonas.surrogates.transfer.blocks import blocks
from evonas.surrogates.transfer.conditioning import RATE, SHAPE, Conditioned, condition
from evonas.surrogates.transfer.links import LINKS, apply_link, invert_link, link_slope
from evonas.surrogates.transfer.priors import At, Indices, Priors, take

OUTLIERS = 0.05
"""Prior probability that a probe is an outlier."""

OUTLIER_WIDTH = 1.0
"""Half the width, at half its height, of the logarithm of an outlier."""

TEMPER = 0.7
"""Power of the likelihood, below 1 as no candidate is quite true.

Grünwald, "The Safe Bayesian" (2012).
"""

SIFTED = ((16, 1500), (64, 200), (256, 60))
"""Probes by which candidates are sifted when there are more, and how many are left then."""

DISTRUST = 40.0
"""How much the share of outliers adds to the variance: other designs may be as far off."""

KEPT = 60
"""Candidates that predictions are averaged over at most."""


@dataclass(frozen=True)
class Moments:
    """Mean cost, and deviation of its logarithm with and without noise, shape (designs,) each."""

    mean: FloatArray
    deviation: FloatArray


class Mixture:
    """The posterior over candidates and over what the probes' costs are under each.

    Every candidate is a Bayesian linear model that sets aside the probes that are likelier to be
    outliers; that one more may be is taken in by treating it without that probe as one more
    candidate.

    Args:
        priors: The candidates.
        at: Their parts at the probes.
        costs: Of the probes, shape (k,), positive.
        log_weights: Of the keys of ``priors``.
        spread: Relative deviation of every probe's measurement, shape (k,).
    """

    def __init__(
        self,
        priors: Priors,
        at: At,
        costs: FloatArray,
        log_weights: FloatArray,
        spread: FloatArray | None = None,
    ) -> None:
        self._priors, self._at = priors, at
        self.scale = float(np.median(costs / at.level))
        self._costs = costs / self.scale
        self._extra = np.zeros(len(costs)) if spread is None else spread
        shared = np.bincount(priors.key, minlength=len(priors.keys))
        self._log_prior = (log_weights - np.log(shared))[priors.key]
        self._candidates = np.arange(len(priors))
        for probes, candidates in SIFTED:
            if len(costs) > probes:
                self._condition_on(probes)
                best = np.argsort(-self._posterior.sum(axis=1), kind="stable")[:candidates]
                self._candidates = self._candidates[np.sort(best)]
        self._condition_on(len(costs))
        self._kept = list(self._keep())

    def _condition_on(self, probes: int) -> None:
        """Condition on the first so many probes."""
        some = self._candidates
        self._probes = take(self._at, np.arange(probes))
        parts = [self._explain(some[part]) for part in blocks(len(some), probes**2)]
        found = self._found = Conditioned(*map(np.concatenate, zip(*parts, strict=True)))
        self.log_evidence = np.logaddexp.reduce(found.cases, axis=1)
        log_posterior = TEMPER * found.cases + self._log_prior[some, None]
        posterior = np.exp(log_posterior - log_posterior.max())
        self._posterior = posterior / posterior.sum()
        shares = self._posterior.sum(axis=1)
        outlier = self._posterior[:, 1:].sum(axis=0) + shares @ found.outliers
        self.used = outlier <= 0.5

    def _explain(self, some: Indices) -> Conditioned:
        """Condition some candidates."""
        costs = self._costs[: len(self._probes.level)]
        relative = np.log(costs / self._probes.level) / OUTLIER_WIDTH
        # Cauchy: an outlier may be off by any factor.
        anywhere = -np.log(np.pi * OUTLIER_WIDTH * (1 + relative**2)) - np.log(costs)
        odds = np.log(OUTLIERS / (1 - OUTLIERS))
        return condition(self._covariances(some), *self._residuals(some), anywhere + odds)

    def _residuals(self, some: Indices) -> tuple[FloatArray, FloatArray]:
        """What bases leave of the probes, and logarithms of the links' slopes there.

        Returns:
            Two arrays of shape (candidates, k).
        """
        links, costs = self._priors.link[some], self._costs[: len(self._probes.level)]
        values = np.array([apply_link(n, costs) for n in range(len(LINKS))])[links]
        slopes = np.array([np.log(link_slope(n, costs)) for n in range(len(LINKS))])[links]
        return values - self._probes.bases[self._priors.base[some]], slopes

    def _covariances(self, some: Indices) -> FloatArray:
        """Covariances of the probes under some candidates, shape (candidates, k, k)."""
        priors, probes, k = self._priors, self._probes, len(self._probes.level)
        costs = self._costs[:k]
        noise = priors.noise_deviation(some, probes.level if priors.knows_devices else costs)
        extra = np.array([link_slope(n, costs) * costs for n in range(len(LINKS))])
        extra = extra[priors.link[some]] * self._extra[:k]
        covariance = priors.covariance(some, probes, probes)
        diagonal = np.arange(k)
        covariance[:, diagonal, diagonal] += noise**2 + extra**2
        return covariance

    def _keep(self) -> Iterator[tuple[int, Indices, FloatArray, FloatArray, float, float]]:
        """Give what predictions need of the most probable candidates and cases.

        Yields:
            A candidate, the probes that it is conditioned on, what they weigh, the inverse of
            their covariance, the scale, and the candidate's share.
        """
        posterior = self._posterior
        best = np.argsort(-posterior, axis=None)[:KEPT]
        best = best[posterior.ravel()[best] > 1e-3 * posterior.max()]
        rows, cases = np.divmod(best, posterior.shape[1])
        # Of a candidate several cases may be kept.
        candidates = {row: self._candidates[[row]] for row in rows.tolist()}
        covariances = {row: self._covariances(some)[0] for row, some in candidates.items()}
        residuals = {row: self._residuals(some)[0][0] for row, some in candidates.items()}
        for row, case in zip(rows.tolist(), cases.tolist(), strict=True):
            without = ~self._found.outliers[row]
            if case:
                without[case - 1] = False
            used = np.flatnonzero(without)
            inverse = np.linalg.inv(covariances[row][np.ix_(used, used)])
            residual = residuals[row][used]
            weights = inverse @ residual
            scale = (RATE + 0.5 * residual @ weights) / (SHAPE + len(used) / 2)
            yield int(self._candidates[row]), used, weights, inverse, scale, posterior[row, case]

    def predict(self, rows: At) -> Moments:
        """Predict costs of designs, given the parts of the candidates there."""
        total = sum(share for *_, share in self._kept)
        first = np.zeros(len(rows.level))
        second, within = first.copy(), first.copy()
        for candidate, used, weights, inverse, variance, share in self._kept:
            link = int(self._priors.link[candidate])
            some = np.array([candidate])
            cross = self._priors.cross_covariance(candidate, rows, self._probes)[:, used]
            value = rows.bases[self._priors.base[candidate]] + cross @ weights
            left = self._priors.variance(candidate, rows)
            left = np.maximum(left - ((cross @ inverse) * cross).sum(axis=1), 0)
            cost = invert_link(link, value)
            level = rows.level if self._priors.knows_devices else cost
            left = left + self._priors.noise_deviation(some, level)[0] ** 2
            relative = link_slope(link, cost) * cost
            logarithm = np.log(cost)
            first += share / total * cost
            within += share / total * (variance * left / relative**2 + logarithm**2)
            second += share / total * logarithm
        deviation = np.sqrt(np.maximum(within - second**2, 1e-12))
        return Moments(first * self.scale, deviation)

    @property
    def caution(self) -> float:
        """What deviations are multiplied by where probes were set aside as outliers."""
        return float(np.sqrt(1 + DISTRUST * np.mean(~self.used)))

    def leave_one_out(self) -> Moments:
        """Predict the cost of every probe from all others (and none from outliers)."""
        links, found = self._priors.link[self._candidates], self._found
        log_weights = np.log(self._posterior[:, :1] + 1e-300) - TEMPER * found.log_density
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
