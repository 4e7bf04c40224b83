"""The choice of the designs to measure on an unknown device."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evonas.space import FloatArray
from evonas.surrogates.initial_design import least_variance
from evonas.surrogates.transfer.links import invert_link, link_slope
from evonas.surrogates.transfer.priors import At, Indices, Priors, take

POOL = 800
"""Designs that are considered; more only if so many are measured, or asked for."""

CANDIDATES = 200
"""Candidate priors that the covariance is made of."""

WITHIN = 0.1
"""Squared scale of the terms of a candidate."""

NOISE = 0.14
"""Relative deviation of what a candidate leaves unexplained of a cost."""

USUAL_FROM = 0.2
"""Designs that cost a known device a smaller share of its median are no good probes."""


def usual(known: FloatArray) -> Indices:
    """Indices of designs that every known device takes for a network worth probing.

    Args:
        known: Costs, shape (designs, devices).
    """
    return np.flatnonzero((known > USUAL_FROM * np.median(known, axis=0)).all(axis=1))


def prior_covariance(
    priors: Priors, log_weights: FloatArray, at: At, rng: np.random.Generator
) -> FloatArray:
    """Covariance of the logarithm of the costs under all candidates together.

    Within candidates as far as their terms are unknown, and between their bases; from a sample of
    candidates.

    Returns:
        Array of shape (designs, designs).
    """
    shared = np.bincount(priors.key, minlength=len(priors.keys))
    shares = np.exp(log_weights - log_weights.max())[priors.key] / shared[priors.key]
    # Systematic sampling: as many candidates of every kind as their weight is worth.
    steps = (np.arange(CANDIDATES) + rng.random()) / CANDIDATES
    sample = np.searchsorted(np.cumsum(shares) / shares.sum(), steps)
    sample = np.minimum(sample, len(shares) - 1)
    total = np.zeros((len(at.level), len(at.level)))
    logarithms = []
    for candidate in sample:
        link = int(priors.link[candidate])
        cost = invert_link(link, at.bases[priors.base[candidate]])
        logarithms.append(np.log(np.maximum(cost, 0.05)))
        slope = 1 / (link_slope(link, np.maximum(cost, 0.05)) * np.maximum(cost, 0.05))
        # Relative deviations beyond a factor say no more than that a design is cheap.
        slope = np.minimum(slope, 3.0)
        total += priors.cross_covariance(candidate, at, at) * np.outer(slope, slope)
    bases = np.array(logarithms)
    bases -= bases.mean(axis=0)
    covariance: FloatArray = (WITHIN * total + bases.T @ bases) / CANDIDATES
    return covariance


def choose(
    priors: Priors,
    log_weights: FloatArray,
    at: At,
    k: int,
    rng: np.random.Generator,
    allowed: Indices | None = None,
    measured: Sequence[int] = (),
) -> list[int]:
    """Choose greedily the designs that leave the least integrated variance (Cohn 1996).

    Args:
        priors: Of the unknown device.
        log_weights: Of the keys of ``priors``.
        at: The parts of the candidates at all designs.
        k: How many to choose.
        rng: Chooses which designs are looked at when there are many.
        allowed: Designs that may be chosen; left out, all.
        measured: Designs that are known already.

    Returns:
        Their indices, the most telling first.
    """
    free = np.arange(len(at.level)) if allowed is None else np.asarray(allowed)
    free = np.setdiff1d(free, measured)
    looked_at = max(k, POOL - len(measured))
    pool = np.concatenate([np.array(measured, int), rng.permutation(free)[:looked_at]])
    covariance = prior_covariance(priors, log_weights, take(at, pool), rng)
    chosen = least_variance(covariance, NOISE**2, k, known=len(measured))
    return [int(pool[place]) for place in chosen]
