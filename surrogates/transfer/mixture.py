"""What is left of the candidate priors after a few probes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

from evonas.space import FloatArray
from surrogates.transfer.blocks import blocks
from surrogates.transfer.links import LINKS, apply_link, invert_link, link_slope
from surrogates.transfer.priors import At, Indices, Priors, take

SHAPE, RATE = 0.5, 0.02
"""Of the inverse-gamma prior of the squared scale that all terms of a candidate share."""

OUTLIERS = 0.1
"""Prior probability that a probe is an outlier."""

OUTLIER_WIDTH = 1.0
"""Half the width, at half its height, of the logarithm of an outlier."""

TEMPER = 0.7
"""Power of the likelihood, below 1 as no candidate is quite true.

Grünwald, "The Safe Bayesian" (2012).
"""

SCREENED = 16
"""Probes that the candidates are sifted by when there are more."""

SIFTED = 1500
"""Candidates that are left then."""

SIFTED_AGAIN = ((64, 200), (256, 60))
"""Probes by which they are sifted further when there are more, and candidates that are left.

Outliers among these probes are set aside first, as they speak for the wrong candidates.
"""

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

    Every candidate is a Bayesian linear model whose scale has an inverse-gamma prior, so that its
    evidence is a Student t density (Rasmussen and Williams 2006, ch. 2 and 9). That a probe may be
    an outlier is taken in by treating each candidate without that probe as one more candidate.

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
        self._condition_on(SCREENED)
        if len(costs) > SCREENED:
            self._sift(SIFTED)
            for probes, candidates in SIFTED_AGAIN:
                if len(costs) > probes:
                    self._condition_on(probes)
                    self._set_aside()
                    self._sift(candidates)
            self._condition_on(len(costs))
        self._set_aside()

    def _condition_on(self, probes: int) -> None:
        """Condition on the first so many probes."""
        self.used = np.arange(len(self._costs)) < probes
        self._condition()

    def _sift(self, count: int) -> None:
        """Leave so many candidates, the most probable ones."""
        best = np.argsort(-self._posterior.sum(axis=1), kind="stable")[:count]
        self._candidates = self._candidates[np.sort(best)]

    def _set_aside(self) -> None:
        """Leave out outliers: a second is looked for once the first is certain enough."""
        least = max(4, 0.8 * self.used.sum())
        while self.used.sum() > least and self._outlier.max() > 0.5:
            self.used[np.flatnonzero(self.used)[self._outlier.argmax()]] = False
            self._condition()

    def _condition(self) -> None:
        priors, some = self._priors, self._candidates
        link = priors.link[some]
        probes = self._probes = take(self._at, np.flatnonzero(self.used))
        costs, k = self._costs[self.used], int(self.used.sum())
        values = np.array([apply_link(n, costs) for n in range(len(LINKS))])[link]
        slopes = np.array([np.log(link_slope(n, costs)) for n in range(len(LINKS))])[link]
        residual = values - probes.bases[priors.base[some]]
        weights, precision = np.empty_like(residual), np.empty_like(residual)
        determinant = np.empty(len(some))
        for part in blocks(len(some), k**2):
            inverse, determinant[part] = self._inverses(some[part])
            weights[part] = np.einsum("qij,qj->qi", inverse, residual[part])
            precision[part] = np.einsum("qii->qi", inverse)
        rate: FloatArray = RATE + 0.5 * np.einsum("qi,qi->q", residual, weights)
        evidence = -0.5 * determinant - (SHAPE + k / 2) * np.log(rate) + slopes.sum(axis=1)
        # Leaving one out, in closed form: mean, variance and density of every probe.
        left_error = weights / precision
        left_rate: FloatArray = rate[:, None] - 0.5 * weights**2 / precision
        left_shape = SHAPE + (k - 1) / 2
        log_density = (
            gammaln(left_shape + 0.5)
            - gammaln(left_shape)
            + 0.5 * np.log(precision / (2 * np.pi))
            + left_shape * np.log(left_rate)
            - (left_shape + 0.5) * np.log(rate)[:, None]
            + slopes
        )
        self._left_log_density, self._left_error = log_density, left_error
        self._left_variance = left_rate / left_shape / precision
        relative = np.log(costs / probes.level) / OUTLIER_WIDTH
        # Cauchy: an outlier may be off by any factor.
        anywhere = -np.log(np.pi * OUTLIER_WIDTH * (1 + relative**2)) - np.log(costs)
        odds = np.log(OUTLIERS / (1 - OUTLIERS))
        # One column for no outlier, and one for each probe as the outlier.
        without = evidence[:, None] - log_density + anywhere + odds
        cases = np.column_stack([evidence, without])
        self.log_evidence = np.logaddexp.reduce(cases, axis=1)
        log_posterior = TEMPER * cases + self._log_prior[some, None]
        posterior = np.exp(log_posterior - log_posterior.max())
        posterior /= posterior.sum()
        self._outlier = posterior[:, 1:].sum(axis=0)
        self._posterior = posterior
        self._keep(weights, rate, left_rate)

    def _inverses(self, some: Indices) -> tuple[FloatArray, FloatArray]:
        """Inverses of the probes' covariances under some candidates; logarithms of determinants.

        Returns:
            Arrays of shape (candidates, k, k) and (candidates,).
        """
        priors, probes, costs = self._priors, self._probes, self._costs[self.used]
        noise = priors.noise_deviation(some, probes.level if priors.knows_devices else costs)
        extra = np.array([link_slope(n, costs) * costs for n in range(len(LINKS))])
        extra = extra[priors.link[some]] * self._extra[self.used]
        covariance = priors.covariance(some, probes, probes)
        diagonal = np.arange(len(costs))
        covariance[:, diagonal, diagonal] += noise**2 + extra**2
        inverse: FloatArray = np.linalg.inv(covariance).astype(float, copy=False)
        return inverse, np.linalg.slogdet(covariance)[1]

    def _keep(self, weights: FloatArray, rate: FloatArray, left_rate: FloatArray) -> None:
        """Keep what predictions need of the most probable candidates and cases."""
        posterior, k = self._posterior, weights.shape[1]
        best = np.argsort(-posterior, axis=None)[:KEPT]
        best = best[posterior.ravel()[best] > 1e-3 * posterior.max()]
        # All inverses together would be too many to be held where there are many probes.
        rows = np.unique(best // (k + 1))
        parts = [self._candidates[rows[part]] for part in blocks(len(rows), k**2)]
        inverses = (one for some in parts for one in self._inverses(some)[0])
        inverse = dict(zip(rows.tolist(), inverses, strict=True))
        self._kept = []
        for number in best:
            candidate, case = divmod(int(number), k + 1)
            own, own_inverse = weights[candidate], inverse[candidate]
            own_rate, shape = rate[candidate], SHAPE + k / 2
            if case:
                # Conditioning on all other probes: block inversion.
                i = case - 1
                column = own_inverse[:, i] / own_inverse[i, i]
                own = own - column * own[i]
                own_inverse = own_inverse - np.outer(column, own_inverse[i])
                own_rate, shape = left_rate[candidate, i], shape - 0.5
            share = posterior[candidate, case]
            candidate = int(self._candidates[candidate])
            self._kept.append((candidate, own, own_inverse, own_rate / shape, share))

    def predict(self, rows: At) -> Moments:
        """Predict costs of designs, given the parts of the candidates there."""
        total = sum(share for *_, share in self._kept)
        first = np.zeros(len(rows.level))
        second, within = first.copy(), first.copy()
        for candidate, weights, inverse, variance, share in self._kept:
            link = int(self._priors.link[candidate])
            some = np.array([candidate])
            cross = self._priors.cross_covariance(candidate, rows, self._probes)
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
        found = self.predict(self._at)
        some = self._leave_one_out()
        found.mean[self.used], found.deviation[self.used] = some.mean, some.deviation
        return found

    def _leave_one_out(self) -> Moments:
        """Likewise of the probes that are no outliers, in closed form."""
        links, costs = self._priors.link[self._candidates], self._costs[self.used]
        log_weights = np.log(self._posterior[:, :1] + 1e-300) - TEMPER * self._left_log_density
        weights = np.exp(log_weights - log_weights.max(axis=0))
        weights /= weights.sum(axis=0)
        first = np.zeros(len(costs))
        second, within = first.copy(), first.copy()
        for link in range(len(LINKS)):
            chosen = links == link
            values = apply_link(link, costs) - self._left_error[chosen]
            left = invert_link(link, values)
            relative = link_slope(link, left) * left
            logarithm = np.log(left)
            first += (weights[chosen] * left).sum(axis=0)
            variance = self._left_variance[chosen] / relative**2
            within += (weights[chosen] * (variance + logarithm**2)).sum(axis=0)
            second += (weights[chosen] * logarithm).sum(axis=0)
        deviation = np.sqrt(np.maximum(within - second**2, 1e-12))
        return Moments(first * self.scale, deviation)
