"""The choice of probes: the designs to measure on a new device.

The notation is that of :mod:`evonas.surrogates.transfer`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evonas.space import FloatArray
from evonas.surrogates.initial_design import least_integrated_variance
from evonas.surrogates.transfer.candidates import Candidates, Terms
from evonas.surrogates.transfer.chunks import Indices
from evonas.surrogates.transfer.link_functions import invert_link, link_slope

POOL = 800
"""Designs that are considered; more only if more are measured, or asked for."""

SAMPLE = 200
"""Candidates that the covariance is made of."""

WITHIN = 0.1
"""Squared scale of the terms of a candidate."""

NOISE = 0.14
"""Relative deviation of what a candidate leaves unexplained of a cost."""

LEAST_SHARE = 0.2
"""Designs that cost a proxy device a smaller share of its median are no good probes."""


def worth_probing(costs: FloatArray) -> Indices:
    """Indices of designs that cost no proxy device next to nothing.

    Args:
        costs: Costs of the proxies, shape (designs, devices).
    """
    return np.flatnonzero((costs > LEAST_SHARE * np.median(costs, axis=0)).all(axis=1))


def prior_covariance(
    candidates: Candidates, log_weights: FloatArray, terms: Terms, rng: np.random.Generator
) -> FloatArray:
    """Prior covariance of the logarithms of the costs under all candidates together.

    It adds up that within candidates, whose terms are uncertain, and that between their prior
    means (law of total covariance), over a sample of candidates.

    Returns:
        Array of shape (designs, designs).
    """
    own = candidates.class_of
    shares = np.exp(log_weights - log_weights.max())[own] / candidates.class_sizes[own]
    # Systematic sampling: as many candidates of every class as its weight is worth.
    steps = (np.arange(SAMPLE) + rng.random()) / SAMPLE
    sample = np.searchsorted(np.cumsum(shares) / shares.sum(), steps)
    sample = np.minimum(sample, len(shares) - 1)
    total = np.zeros((len(terms.level), len(terms.level)))
    logarithms = []
    for candidate in sample:
        link = int(candidates.link[candidate])
        cost = invert_link(link, terms.means[candidates.mean[candidate]])
        logarithms.append(np.log(np.maximum(cost, 0.05)))
        slope = 1 / (link_slope(link, np.maximum(cost, 0.05)) * np.maximum(cost, 0.05))
        # Relative deviations beyond a factor say no more than that a design is cheap.
        slope = np.minimum(slope, 3.0)
        total += candidates.cross_covariance(candidate, terms, terms) * np.outer(slope, slope)
    means = np.array(logarithms)
    means -= means.mean(axis=0)
    covariance: FloatArray = (WITHIN * total + means.T @ means) / SAMPLE
    return covariance


def choose(
    candidates: Candidates,
    log_weights: FloatArray,
    terms: Terms,
    k: int,
    rng: np.random.Generator,
    allowed: Indices | None = None,
    measured: Sequence[int] = (),
) -> list[int]:
    """Choose greedily the designs that leave the least integrated variance (Cohn 1996).

    Args:
        candidates: Candidate models of the new device.
        log_weights: Log prior weights of their classes, shape (classes,).
        terms: Terms of the candidates at all designs.
        k: Number of designs to choose.
        rng: Generator that draws the designs that are considered when there are many.
        allowed: Indices of designs that may be chosen; left out, all.
        measured: Indices of designs that are measured already.

    Returns:
        Indices of designs, the most informative first.
    """
    free = np.arange(len(terms.level)) if allowed is None else np.asarray(allowed)
    free = np.setdiff1d(free, measured)
    looked_at = max(k, POOL - len(measured))
    pool = np.concatenate([np.array(measured, int), rng.permutation(free)[:looked_at]])
    covariance = prior_covariance(candidates, log_weights, terms.take(pool), rng)
    chosen = least_integrated_variance(covariance, NOISE**2, k, known=len(measured))
    return [int(pool[place]) for place in chosen]
