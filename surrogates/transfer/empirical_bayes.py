"""Empirical Bayes: prior weights of the candidates, from proxies that are left out in turn.

The notation is that of :mod:`evonas.surrogates.transfer`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evonas.space import FloatArray
from evonas.surrogates.transfer.candidates import Candidates, ModelClass
from evonas.surrogates.transfer.inputs import Views
from evonas.surrogates.transfer.model_averaging import ModelAverage
from evonas.surrogates.transfer.probes import worth_probing

ROWS = 2000
"""Designs that are looked at, at most."""

PROBES, LEAST_PROBES = 16, 3
"""Probes of a device that is left out, and the fewest that a fit needs."""

SMOOTHING = 15.0
"""Families that all classes together are credited with beforehand."""

STEPS = 100
"""Steps of expectation-maximisation; the weights hardly change after that."""

COVERAGE = 0.9
"""Nominal coverage of the intervals."""

QUANTILE, QUANTILE_FAMILIES = 1.8, 10.0
"""Prior quantile of standardised errors at ``COVERAGE``, and the families that it is worth."""


@dataclass(frozen=True)
class EmpiricalPrior:
    """The prior that proxy devices teach.

    Args:
        weights: Class of candidates -> prior weight; they sum to 1. Empty where nothing could be
            learnt.
        quantile: Half the width of an interval with 90% coverage, in predicted deviations.
        devices: Number of devices that it was learnt from.
    """

    weights: dict[ModelClass, float]
    quantile: float
    devices: int

    def to_json(self) -> dict[str, Any]:
        """Give it as plain JSON."""
        weights = [[*own, weight] for own, weight in self.weights.items()]
        return {"weights": weights, "quantile": self.quantile, "devices": self.devices}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> EmpiricalPrior:
        """Read what :meth:`to_json` gave."""
        weights = {ModelClass(*own): weight for *own, weight in saved["weights"]}
        return cls(weights, saved["quantile"], saved["devices"])

    def log_weights(self, candidates: Candidates) -> FloatArray:
        """Log weights of the classes of candidates, shape (classes,)."""
        if not self.weights:
            return default_log_weights(candidates.classes)
        least = min(self.weights.values())
        return np.log([self.weights.get(own, least) for own in candidates.classes])


def default_log_weights(classes: Sequence[ModelClass]) -> FloatArray:
    """Log weights where nothing was learnt, shape (classes,).

    They are roughly those that are learnt from NAS-Bench-201's devices and from Once-for-All's.
    """
    return np.array([_default_log_weight(own) for own in classes])


def _default_log_weight(own: ModelClass) -> float:
    odds = {"none": 0.01, "parts": 2.0}.get(own.kind, 1.0)
    odds *= 0.5 if own.view and own.kind != "parts" else 2.0
    odds *= {0.4: 1.8, 0.005: 0.6}.get(own.noise, 1.0)
    return float(np.log(odds))


def learn(
    views: Views,
    costs: FloatArray,
    predicted: FloatArray,
    families: Sequence[str],
    rng: np.random.Generator,
) -> EmpiricalPrior:
    """Weight the classes of candidates by how well they explain devices that are left out.

    The devices of a family are left out together. Weights maximise the evidence of their probes by
    expectation-maximisation (Bishop, "Pattern Recognition and Machine Learning", 2006, eq. 9.23
    and 9.26); a family counts once, however many devices it has. Nothing is learnt from one family
    alone, nor where too few designs are worth probing.

    Args:
        views: Feature views of the designs.
        costs: Costs of the proxies, positive and without gaps, shape (designs, devices).
        predicted: The same costs as the proxies' own models predict them.
        families: Families of the proxies, one a device.
        rng: Generator that draws designs and probes.
    """
    names = sorted(set(families))
    rows = rng.permutation(len(costs))[:ROWS]
    views = {name: view[rows] for name, view in views.items()}
    costs, predicted = costs[rows], predicted[rows]
    worth = worth_probing(costs)
    count = min(PROBES, len(worth) // 2)
    if len(names) < 2 or count < LEAST_PROBES:
        return EmpiricalPrior({}, QUANTILE, 0)
    trials = []
    for name in names:
        left = np.array([family == name for family in families])
        candidates = Candidates(views, costs[:, ~left], predicted[:, ~left])
        terms = candidates.terms(views, costs[:, ~left], predicted[:, ~left])
        for device in np.flatnonzero(left):
            probes = rng.choice(worth, count, replace=False)
            trials.append((candidates, terms, device, probes, 1 / left.sum()))
    classes = sorted({own for candidates, *_ in trials for own in candidates.classes})
    place = {own: number for number, own in enumerate(classes)}
    evidence = np.full((len(trials), len(classes)), -np.inf)
    for row, (candidates, terms, device, probes, _) in zip(evidence, trials, strict=True):
        flat = np.zeros(len(candidates.classes))
        average = ModelAverage(candidates, terms.take(probes), costs[probes, device], flat)
        columns = np.array([place[own] for own in candidates.classes])[candidates.class_of]
        sizes = candidates.class_sizes[candidates.class_of]
        np.logaddexp.at(row, columns, average.log_evidence - np.log(sizes))
    counts = np.array([share for *_, share in trials])
    base = np.exp(default_log_weights(classes))
    weights = _maximise(evidence, counts, base / base.sum())
    weights = _maximise(evidence, counts, _independent(classes, weights))
    prior = EmpiricalPrior(dict(zip(classes, weights.tolist(), strict=True)), 0.0, len(trials))
    scores, shares = [], []
    for candidates, terms, device, probes, share in trials:
        ten = probes[: max(LEAST_PROBES, count // 2)]
        log_weights = prior.log_weights(candidates)
        average = ModelAverage(candidates, terms.take(ten), costs[ten, device], log_weights)
        others = rng.choice(len(costs), min(300, len(costs)), replace=False)
        found = average.predict(terms.take(others))
        error = np.abs(np.log(costs[others, device] / found.mean))
        scores.append(error / (average.inflation * found.deviation))
        shares.append(np.full(len(others), share))
    quantile = _weighted_quantile(np.concatenate(scores), np.concatenate(shares), COVERAGE)
    total = QUANTILE_FAMILIES + len(names)
    quantile = (QUANTILE_FAMILIES * QUANTILE + len(names) * quantile) / total
    return EmpiricalPrior(prior.weights, quantile, len(trials))


def _maximise(evidence: FloatArray, counts: FloatArray, base: FloatArray) -> FloatArray:
    """Find the weights of classes by expectation-maximisation.

    Args:
        evidence: Log evidence of devices under the classes, shape (devices, classes).
        counts: Weights of the devices, shape (devices,).
        base: Weights of the classes that the result is smoothed by, shape (classes,).

    Returns:
        Array of shape (classes,).
    """
    weights = base
    for _ in range(STEPS):
        posterior = np.log(weights) + evidence
        posterior = np.exp(posterior - posterior.max(axis=1, keepdims=True))
        posterior /= posterior.sum(axis=1, keepdims=True)
        weights = counts @ posterior + SMOOTHING * base
        weights = weights / weights.sum()
    return weights


def _independent(classes: Sequence[ModelClass], weights: FloatArray) -> FloatArray:
    """Product of the marginal weights of what classes are made of, but for graph variants.

    Which variant of a graph the next device runs is as open as before; how noisy it is, or whether
    costs add up, is not.
    """
    parts = [(own.link, own.kind, own.view.partition(":")[0], own.noise) for own in classes]
    product = np.ones(len(classes))
    for column in zip(*parts, strict=True):
        values = np.array([str(value) for value in column])
        for value in np.unique(values):
            same = values == value
            # A mean, so that what many classes share counts no more than once.
            product[same] *= weights[same].sum() / same.mean()
    total: FloatArray = product / product.sum()
    return total


def _weighted_quantile(values: FloatArray, weights: FloatArray, share: float) -> float:
    order = np.argsort(values)
    reached = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][np.searchsorted(reached, share)])
