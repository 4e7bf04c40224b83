"""Monotone scalings of a metric, so that distances and models are not ruled by a few outliers."""

from __future__ import annotations

from typing import ClassVar, Protocol, Self

import numpy as np

from evonas.space import FloatArray


class Scaling(Protocol):
    """A strictly rising map from values to scores without a unit, and back; shape (n,) each."""

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


class LogBelow:
    """Linear from a high percentile upwards, logarithmic below it.

    A few designs that are far worse than all others (a network that learns nothing) do not take up
    the whole range then, and the good ones, among which a search has to choose, keep distances in
    proportion. Value and slope are continuous.

    >>> scores = LogBelow.fit(np.linspace(0.0, 100.0, 101))
    >>> scores.to_scores(np.array([-1e6, 0.0, 70.0, 95.0, 120.0])).round(2).tolist()
    [-10.6, -1.34, 0.0, 1.0, 2.0]
    """

    sign: ClassVar[int] = 1
    percentiles: ClassVar[tuple[int, int]] = (70, 95)
    """Percentiles of the values that become the scores 0 and 1."""

    def __init__(self, start: float, unit: float) -> None:
        self._start, self._unit = start, unit

    @classmethod
    def fit(cls, values: FloatArray) -> Self:
        low, high = np.percentile(cls.sign * values, cls.percentiles)
        return cls(float(low), float(high - low) or float(values.std()) or 1.0)

    def to_scores(self, values: FloatArray) -> FloatArray:
        above = (self.sign * values - self._start) / self._unit
        return self.sign * np.where(above >= 0, above, -np.log1p(np.maximum(-above, 0)))

    def to_values(self, scores: FloatArray) -> FloatArray:
        above = self.sign * scores
        # A prediction far outside would overflow.
        above = np.where(above >= 0, above, -np.expm1(np.clip(-above, 0, 50)))
        return self.sign * (self._start + self._unit * above)


class LogAbove(LogBelow):
    """The mirror image of :class:`LogBelow`, for metrics whose high values are far off."""

    sign = -1


SCALINGS: tuple[type[Standard] | type[LogBelow], ...] = (Standard, LogBelow, LogAbove)
