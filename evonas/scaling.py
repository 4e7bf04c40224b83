"""Monotone scalings of a metric, so that distances and models are not ruled by a few outliers."""

from __future__ import annotations

from statistics import NormalDist
from typing import Protocol, Self

import numpy as np

from evonas.space import FloatArray


class Scaling(Protocol):
    """Maps values to scores without a unit and back; strictly rising."""

    @classmethod
    def fit(cls, values: FloatArray) -> Self:
        """Fit to values of shape (n,), at least one."""

    def to_scores(self, values: FloatArray) -> FloatArray:
        """Map values to scores."""

    def to_values(self, scores: FloatArray) -> FloatArray:
        """Map scores to values."""


class Standard:
    """Mean 0 and standard deviation 1."""

    def __init__(self, mean: float, deviation: float) -> None:
        self._mean, self._deviation = mean, deviation

    @classmethod
    def fit(cls, values: FloatArray) -> Self:
        return cls(float(values.mean()), float(values.std()) or 1.0)

    def to_scores(self, values: FloatArray) -> FloatArray:
        return (values - self._mean) / self._deviation

    def to_values(self, scores: FloatArray) -> FloatArray:
        return scores * self._deviation + self._mean


class NormalScores:
    """The value of rank r of n becomes the normal quantile of (r - 1/2) / n; ties share theirs.

    Between the values it is linear, and it goes on beyond them with the slope of the outermost
    tenth. A few designs that are far worse than all others (a network that learns nothing) do not
    take up the whole range then.

    >>> scores = NormalScores.fit(np.array([1.0, 2.0, 1000.0]))
    >>> scores.to_scores(np.array([1.0, 2.0, 1000.0])).round(2).tolist()
    [-0.97, 0.0, 0.97]
    """

    def __init__(self, values: FloatArray, scores: FloatArray) -> None:
        last = len(values) - 1
        reach = max(1, last // 10)
        beyond = 10 * (values[last] - values[0])
        low = (scores[reach] - scores[0]) / (values[reach] - values[0])
        high = (scores[last] - scores[last - reach]) / (values[last] - values[last - reach])
        self._values = np.array([values[0] - beyond, *values, values[last] + beyond])
        self._scores = np.array([scores[0] - beyond * low, *scores, scores[last] + beyond * high])

    @classmethod
    def fit(cls, values: FloatArray) -> Self:
        distinct, counts = np.unique(values, return_counts=True)
        if len(distinct) == 1:
            return cls(distinct[0] + np.array([-1.0, 1.0]), np.array([-1.0, 1.0]))
        middles = (np.cumsum(counts) - counts / 2) / len(values)
        return cls(distinct, np.array([NormalDist().inv_cdf(share) for share in middles]))

    def to_scores(self, values: FloatArray) -> FloatArray:
        scores: FloatArray = np.interp(values, self._values, self._scores)
        return scores

    def to_values(self, scores: FloatArray) -> FloatArray:
        values: FloatArray = np.interp(scores, self._scores, self._values)
        return values
