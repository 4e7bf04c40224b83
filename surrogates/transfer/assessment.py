"""Which method serves a new device best, and whether to trust it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from evonas.space import FloatArray
from surrogates.transfer.mixture import Mixture, Moments
from surrogates.transfer.monotonicity import (
    Calibration,
    Monotonicity,
    check_monotonicity,
    rank_correlation,
)

Method = Literal["reuse", "calibrate", "adapt"]

GOOD_ERROR = 0.2
"""Relative error up to which a predictor is trusted."""

GOOD_RANK = 0.8
"""Rank correlation of left-out probes from which on it is."""

CHEAP = 0.1
"""Errors of designs that cost less than this share of the median are relative to that."""

MEAN = 0.8
"""Mean absolute error of a normal variable, in deviations."""

WORST = 1.5
"""Relative error that a single design is expected to have at most."""

SIMPLER = 0.5
"""A calibrated proxy is preferred when it has at most this share of the error of adapting."""

SAME = 0.1
"""A proxy is reused as it is when its costs are within this share of the probes'."""


@dataclass(frozen=True)
class Trust:
    """How well the predictor can be expected to do.

    Args:
        left_out: Mean absolute relative error of probes that are left out one at a time (of
            designs that cost less than a tenth of the median: relative to that).
        spearman: Rank correlation of probes that are left out with what was measured.
        expected: The error to be expected of all designs, from the deviations of their
            predictions: probes are few and no random sample, so that theirs may be less.
        outliers: Indices, among the probes, of measurements that were set aside.
    """

    left_out: float
    spearman: float
    expected: float = 0.0
    outliers: tuple[int, ...] = ()

    @property
    def error(self) -> float:
        """The worse of both estimates."""
        return max(self.left_out, self.expected)

    @property
    def good(self) -> bool:
        """Whether to rely on the predictor."""
        return self.error <= GOOD_ERROR and self.spearman >= GOOD_RANK


@dataclass(frozen=True)
class Assessment:
    """Which method serves a new device best, and how well.

    Args:
        method: Reuse a proxy as it is, calibrate it monotonically, or adapt.
        calibration: Of the proxy; ``None`` unless calibrated.
        monotonicity: Of the best proxy; ``None`` when no device is known.
        proxy: Index of the best proxy; -1 when no device is known.
        trust: Of the method.
        deviation: Of the logarithm of left-out probes.
    """

    method: Method
    calibration: Calibration | None
    monotonicity: Monotonicity | None
    proxy: int
    trust: Trust
    deviation: float


def assess(
    mixture: Mixture,
    designs: Moments,
    proxies: FloatArray,
    costs: FloatArray,
    spread: FloatArray | None,
    rng: np.random.Generator,
) -> Assessment:
    """Choose between reusing, calibrating and adapting by the error of probes left out.

    Args:
        mixture: Adapted to the probes.
        designs: What it predicts, deviations calibrated, of a sample of designs.
        proxies: What the probes cost the known devices, shape (k, devices).
        costs: What they cost the new one, shape (k,).
        spread: Relative deviation of every measurement, shape (k,).
        rng: Of the test.
    """
    used = mixture.used
    adapted = mixture.leave_one_out().mean

    def trust(predicted: FloatArray, expected: float) -> Trust:
        rank = rank_correlation(predicted[used], costs[used])
        outliers = tuple(np.flatnonzero(~used).tolist())
        return Trust(_error(predicted, costs), rank, expected, outliers)

    def assessment(method: Method, predicted: FloatArray, expected: float | None) -> Assessment:
        deviation = float(np.sqrt(np.mean(_log_errors(predicted, costs)[used] ** 2)))
        found = trust(predicted, MEAN * deviation if expected is None else expected)
        return Assessment(method, curve, test, best, found, deviation)

    curve, test, best = None, None, -1
    cheapness = np.minimum(1, designs.mean / (CHEAP * np.median(designs.mean)))
    expected = float((cheapness * np.minimum(MEAN * designs.deviation, WORST)).mean())
    if not proxies.shape[1]:
        return assessment("adapt", adapted, expected)
    best = int(np.argmax([rank_correlation(proxy[used], costs[used]) for proxy in proxies.T]))
    proxy = proxies[:, best]
    test = check_monotonicity(
        proxy[used], costs[used], rng, None if spread is None else spread[used]
    )
    if test.holds:
        error = _error(adapted, costs)
        if np.abs(proxy / costs - 1)[used].max() <= SAME and _error(proxy, costs) <= error:
            return assessment("reuse", proxy, None)
        calibrated = np.empty(len(costs))
        for probe in range(len(costs)):
            others = used & (np.arange(len(costs)) != probe)
            calibrated[probe] = Calibration(proxy[others], costs[others])(proxy[[probe]])[0]
        if _error(calibrated, costs) <= SIMPLER * error:
            curve = Calibration(proxy[used], costs[used])
            return assessment("calibrate", calibrated, None)
    return assessment("adapt", adapted, expected)


def _error(predicted: FloatArray, costs: FloatArray) -> float:
    return float(np.mean(np.abs(predicted - costs) / np.maximum(costs, CHEAP * np.median(costs))))


def _log_errors(predicted: FloatArray, costs: FloatArray) -> FloatArray:
    errors: FloatArray = np.log(np.maximum(predicted, 1e-9) / costs)
    return errors
