"""What the known devices teach about unknown ones, by leaving out one family at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evonas.space import FloatArray
from evonas.surrogates.transfer.mixture import Mixture
from evonas.surrogates.transfer.priors import Key, Priors, take
from evonas.surrogates.transfer.probes import usual
from evonas.surrogates.transfer.views import Views

ROWS = 2000
"""Designs that are looked at, at most."""

PROBES, LEAST_PROBES = 16, 3
"""Probes of a device that is left out, and how many a fit needs."""

SMOOTHING = 15.0
"""Families that all keys together are credited with beforehand."""

STEPS = 100
"""Of expectation-maximisation; the weights hardly change after that."""

COVERAGE = 0.9
"""Of the intervals."""

QUANTILE, QUANTILE_FAMILIES = 1.8, 10.0
"""Half the width of an interval in predicted deviations, and the families that it is worth."""


@dataclass(frozen=True)
class Experience:
    """What was learnt.

    Args:
        weights: Key -> prior weight; they sum to 1. Empty where nothing could be learnt.
        quantile: Half the width of an interval with 90% coverage, in predicted deviations.
        devices: How many it was learnt from.
    """

    weights: dict[Key, float]
    quantile: float
    devices: int

    def to_json(self) -> dict[str, Any]:
        """What was learnt as plain JSON."""
        weights = [[*key, weight] for key, weight in self.weights.items()]
        return {"weights": weights, "quantile": self.quantile, "devices": self.devices}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Experience:
        """Read what :meth:`to_json` gave."""
        weights = {Key(*key): weight for *key, weight in saved["weights"]}
        return cls(weights, saved["quantile"], saved["devices"])

    def log_weights(self, priors: Priors) -> FloatArray:
        """Log weights of the keys of some candidates."""
        if not self.weights:
            return default_log_weights(priors.keys)
        least = min(self.weights.values())
        return np.log([self.weights.get(key, least) for key in priors.keys])


def default_log_weights(keys: Sequence[Key]) -> FloatArray:
    """Log weights where nothing was learnt.

    Roughly those that are learnt both from NAS-Bench-201's devices and from Once-for-All's.
    """
    return np.array([_default_log_weight(key) for key in keys])


def _default_log_weight(key: Key) -> float:
    odds = {"none": 0.01, "parts": 2.0}.get(key.kind, 1.0)
    odds *= 0.5 if key.view and key.kind != "parts" else 2.0
    odds *= {0.4: 1.8, 0.005: 0.6}.get(key.noise, 1.0)
    return float(np.log(odds))


def learn(
    views: Views,
    known: FloatArray,
    smooth: FloatArray,
    families: Sequence[str],
    rng: np.random.Generator,
) -> Experience:
    """Weight the keys by how well they explain devices whose family is left out.

    Weights maximise the evidence of the left-out devices' probes (empirical Bayes by
    expectation-maximisation); a family counts once, however many devices it has. Nothing is learnt
    from one family alone, nor where too few designs are worth probing.

    Args:
        views: Of the designs.
        known: Costs, positive and without gaps, shape (designs, devices).
        smooth: Likewise, as the devices' own predictors give them.
        families: One a device.
        rng: Chooses designs and probes.
    """
    names = sorted(set(families))
    rows = rng.permutation(len(known))[:ROWS]
    views = {name: view[rows] for name, view in views.items()}
    known, smooth = known[rows], smooth[rows]
    worth = usual(known)
    count = min(PROBES, len(worth) // 2)
    if len(names) < 2 or count < LEAST_PROBES:
        return Experience({}, QUANTILE, 0)
    trials = []
    for name in names:
        left = np.array([family == name for family in families])
        priors = Priors(views, known[:, ~left], smooth[:, ~left])
        at = priors.at(views, known[:, ~left], smooth[:, ~left])
        for device in np.flatnonzero(left):
            probes = rng.choice(worth, count, replace=False)
            trials.append((priors, at, device, probes, 1 / left.sum()))
    keys = sorted({key for priors, *_ in trials for key in priors.keys})
    place = {key: number for number, key in enumerate(keys)}
    evidence = np.full((len(trials), len(keys)), -np.inf)
    for row, (priors, at, device, probes, _) in zip(evidence, trials, strict=True):
        flat = np.zeros(len(priors.keys))
        mixture = Mixture(priors, take(at, probes), known[probes, device], flat)
        shared = np.bincount(priors.key, minlength=len(priors.keys))
        columns = np.array([place[key] for key in priors.keys])[priors.key]
        np.logaddexp.at(row, columns, mixture.log_evidence - np.log(shared)[priors.key])
    counts = np.array([share for *_, share in trials])
    base = np.exp(default_log_weights(keys))
    weights = _maximise(evidence, counts, base / base.sum())
    weights = _maximise(evidence, counts, _independent(keys, weights))
    experience = Experience(dict(zip(keys, weights.tolist(), strict=True)), 0.0, len(trials))
    scores, shares = [], []
    for priors, at, device, probes, share in trials:
        ten = probes[: max(LEAST_PROBES, count // 2)]
        log_weights = experience.log_weights(priors)
        mixture = Mixture(priors, take(at, ten), known[ten, device], log_weights)
        others = rng.choice(len(known), min(300, len(known)), replace=False)
        found = mixture.predict(take(at, others))
        error = np.abs(np.log(known[others, device] / found.mean))
        scores.append(error / (mixture.caution * found.deviation))
        shares.append(np.full(len(others), share))
    quantile = _weighted_quantile(np.concatenate(scores), np.concatenate(shares), COVERAGE)
    total = QUANTILE_FAMILIES + len(names)
    quantile = (QUANTILE_FAMILIES * QUANTILE + len(names) * quantile) / total
    return Experience(experience.weights, quantile, len(trials))


def _maximise(evidence: FloatArray, counts: FloatArray, base: FloatArray) -> FloatArray:
    """Weights of keys by expectation-maximisation, smoothed by ``base``."""
    weights = base
    for _ in range(STEPS):
        posterior = np.log(weights) + evidence
        posterior = np.exp(posterior - posterior.max(axis=1, keepdims=True))
        posterior /= posterior.sum(axis=1, keepdims=True)
        weights = counts @ posterior + SMOOTHING * base
        weights = weights / weights.sum()
    return weights


def _independent(keys: Sequence[Key], weights: FloatArray) -> FloatArray:
    """Product of the marginal weights of what keys are made of, but for readings.

    How the next device reads a design is as open as before; how noisy it is, or whether costs add
    up, is not.
    """
    parts = [(key.link, key.kind, key.view.partition(":")[0], key.noise) for key in keys]
    product = np.ones(len(keys))
    for column in zip(*parts, strict=True):
        values = np.array([str(value) for value in column])
        for value in np.unique(values):
            same = values == value
            # Per key, so that what many keys share counts no more than once.
            product[same] *= weights[same].sum() / same.mean()
    total: FloatArray = product / product.sum()
    return total


def _weighted_quantile(values: FloatArray, weights: FloatArray, share: float) -> float:
    order = np.argsort(values)
    reached = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][np.searchsorted(reached, share)])
