"""Diagnostics of the surrogate of a run, from its journal alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np

from evonas.pareto import dominates
from evonas.records import Candidate, Decision, Evaluation, Status, Verdict
from evonas.run.front import cost_array
from evonas.space import FloatArray, genome_key

CONFIDENCE = 0.95
"""Confidence level of the interval of the rate of wrong prunes."""

COVERAGE = 0.9
"""Nominal coverage at which prediction intervals are checked."""


def surrogate_report(
    description: Mapping[str, Any],
    candidates: Sequence[tuple[Candidate, Verdict]],
    evaluations: Sequence[Evaluation],
) -> dict[str, Any]:
    """Summarise prunes, audits, and predictions of designs before they were evaluated.

    A prune is wrong when the design, had it been evaluated, would have entered the front of that
    moment. The rate is estimated from audits: pruned designs that were evaluated all the same.

    Args:
        description: Description of the problem, see :meth:`evonas.Problem.describe`.
        candidates: Candidates of the run, with their verdicts.
        evaluations: Evaluations of the run, and its free designs, which are not counted.

    Returns:
        ``spared_share``: share of pruned designs among all that were pruned or evaluated; a design
        that was pruned first and evaluated later counts as evaluated. ``wrong_prune_rate`` and
        ``wrong_prune_interval`` (95%, Wilson 1927): ``None`` without an audit. ``spearman``:
        predicted metric -> Spearman's rank correlation of predictions and values. ``coverage``:
        predicted metric -> share of values within the prediction's 90% interval.
    """
    designs = {genome_key(candidate.genome) for candidate, _ in candidates}
    let_through = sum(verdict.decision is not Decision.PRUNE for _, verdict in candidates)
    pruned = len(designs) - let_through
    judged = [
        _enters(description, evaluation, evaluations)
        for evaluation in _audited(candidates, evaluations)
    ]
    return {
        "spared_share": pruned / max(1, pruned + sum(e.source is None for e in evaluations)),
        "wrong_prune_rate": sum(judged) / len(judged) if judged else None,
        "wrong_prune_interval": list(wilson_interval(sum(judged), len(judged))) if judged else None,
        **_accuracy(candidates, evaluations),
    }


def _audited(
    candidates: Sequence[tuple[Candidate, Verdict]], evaluations: Sequence[Evaluation]
) -> list[Evaluation]:
    audited = {c.id for c, verdict in candidates if verdict.decision is Decision.AUDIT}
    return [e for e in evaluations if e.candidate.id in audited and e.values]


def _enters(
    description: Mapping[str, Any], evaluation: Evaluation, evaluations: Sequence[Evaluation]
) -> bool:
    """Whether nothing of the earlier batches dominates it."""
    if evaluation.status is not Status.OK:
        return False
    batch = evaluation.candidate.batch
    before = [e for e in evaluations if e.candidate.batch < batch and e.status is Status.OK]
    costs = cost_array(description, [evaluation, *before])
    return not bool(dominates(costs[1:].T, costs[:1].T).any())


def wilson_interval(hits: int, trials: int) -> tuple[float, float]:
    """Bound a rate by Wilson's score interval (1927).

    Args:
        hits: Number of hits.
        trials: Number of trials, at least 1.

    Returns:
        Lower and upper bound of the rate, with a confidence of 95%.

    >>> [round(bound, 3) for bound in wilson_interval(0, 40)]
    [0.0, 0.088]
    """
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    rate, weight = hits / trials, z**2 / trials
    centre = (rate + weight / 2) / (1 + weight)
    half = z * math.sqrt(rate * (1 - rate) / trials + weight / (4 * trials)) / (1 + weight)
    # Rounding must not push a bound past the rate itself where that is 0 or 1.
    return min(rate, max(0.0, centre - half)), max(rate, min(1.0, centre + half))


def _accuracy(
    candidates: Sequence[tuple[Candidate, Verdict]], evaluations: Sequence[Evaluation]
) -> dict[str, dict[str, float]]:
    values = {e.candidate.id: e.values for e in evaluations}
    pairs: dict[str, list[tuple[float, float, float]]] = {}
    for candidate, verdict in candidates:
        measured = values.get(candidate.id, {})
        for metric, p in verdict.predictions.items():
            if metric in measured:
                pairs.setdefault(metric, []).append((p.mean, p.deviation, measured[metric]))
    width = NormalDist().inv_cdf((1 + COVERAGE) / 2)
    agreement, coverage = {}, {}
    for metric, rows in pairs.items():
        means, deviations, found = np.array(rows).T
        agreement[metric] = round(float(spearman(means, found)), 12)
        coverage[metric] = float(np.mean(abs(means - found) <= width * deviations))
    return {"spearman": agreement, "coverage": coverage}


def spearman(first: FloatArray, second: FloatArray) -> FloatArray:
    """Spearman's rank correlation along the last axis; 0 where one of the two is constant.

    Unlike :func:`scipy.stats.spearmanr`, it takes pairs of rows and allows constant ones.

    Args:
        first: Values, shape (..., n).
        second: Other values, of the same shape.

    Returns:
        Array of shape (...).

    >>> float(spearman(np.array([1.0, 2.0, 3.0]), np.array([10.0, 20.0, 15.0])))
    0.5
    """
    from scipy.stats import rankdata  # Slow to import, and every command would wait for it.

    one, other = rankdata(first, axis=-1), rankdata(second, axis=-1)
    one -= one.mean(axis=-1, keepdims=True)
    other -= other.mean(axis=-1, keepdims=True)
    scale = np.sqrt((one**2).sum(axis=-1) * (other**2).sum(axis=-1))
    found: FloatArray = (one * other).sum(axis=-1) / np.where(scale > 0, scale, np.inf)
    return found
