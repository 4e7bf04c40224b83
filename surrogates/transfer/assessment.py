"""Which method serves a new device best, and whether to trust it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from evonas.run.diagnostics import spearman
from evonas.space import FloatArray
from evonas.surrogates.transfer.model_averaging import ModelAverage, Moments
from evonas.surrogates.transfer.monotonicity import (
    Calibration,
    Monotonicity,
    check_monotonicity,
)
from evonas.surrogates.transfer.proxy_devices import MEAN_ERROR

Method = Literal["reuse", "calibrate", "adapt"]

GOOD_ERROR = 0.2
"""Relative error up to which a predictor is trusted."""

GOOD_RANK = 0.8
"""Rank correlation of left-out probes from which on a predictor is trusted."""

CHEAP = 0.1
"""Errors of designs that cost less than this share of the median are relative to that."""

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
        error: Mean absolute relative error to be expected of all designs (of those that cost less
            than a tenth of the median: relative to that).
        spearman: Spearman's rank correlation of the probes' measured costs with their predictions,
            each probe left out in turn.
        left_out: Mean absolute relative error of these predictions. Chosen probes are extreme
            and hard to predict from the others, random ones may all be easy.
        outliers: Indices, among the probes, of measurements that were set aside.
    """

    error: float
    spearman: float
    left_out: float = 0.0
    outliers: tuple[int, ...] = ()

    @property
    def good(self) -> bool:
        """Whether to rely on the predictor."""
        return self.error <= GOOD_ERROR and self.spearman >= GOOD_RANK


@dataclass(frozen=True)
class Assessment:
    """Which method serves a new device best, and how well.

    Args:
        method: ``reuse`` a proxy as it is, ``calibrate`` it monotonically, or ``adapt``.
        calibration: Curve from the proxy's costs; ``None`` unless calibrated.
        monotonicity: Test of the best proxy; ``None`` when there is no proxy.
        proxy: Index of the best proxy; -1 when there is none.
        trust: How well the method can be expected to do.
        deviation: Root mean square error of the logarithms of left-out probes.
    """

    method: Method
    calibration: Calibration | None
    monotonicity: Monotonicity | None
    proxy: int
    trust: Trust
    deviation: float


def assess(
    average: ModelAverage,
    designs: Moments,
    left_out: Moments,
    proxies: FloatArray,
    costs: FloatArray,
    spread: FloatArray | None,
    rng: np.random.Generator,
) -> Assessment:
    """Choose between reusing, calibrating and adapting by the error of probes left out.

    The error to be expected when adapting is what the deviations of the predictions say, and more
    in proportion where probes that are left out are off by more than that.

    Args:
        average: The candidates, adapted to the probes.
        designs: Its predictions of a sample of designs, deviations calibrated.
        left_out: Its predictions of every probe from the others, deviations calibrated.
        proxies: Costs of the probes on the proxies, shape (k, devices).
        costs: Costs of the probes on the new device, shape (k,).
        spread: Relative deviation of every measurement, shape (k,).
        rng: Generator of the test of monotonicity.
    """
    used = average.used
    median = float(np.median(costs))
    adapted = left_out.mean

    def assessment(method: Method, predicted: FloatArray, expected: float = 0.0) -> Assessment:
        logarithms = np.log(predicted / costs)[used]
        deviation = float(np.sqrt(np.mean(logarithms**2)))
        error = _error(predicted, costs)
        expected = expected or max(error, MEAN_ERROR * deviation)
        rank = float(spearman(predicted[used], costs[used]))
        trust = Trust(expected, rank, error, tuple(np.flatnonzero(~used).tolist()))
        return Assessment(method, curve, test, best, trust, deviation)

    curve, test, best = None, None, -1
    surprise = _error(adapted, costs) / _expected(left_out, median)
    expected = _expected(designs, median) * max(1.0, surprise)
    if not proxies.shape[1]:
        return assessment("adapt", adapted, expected)
    best = int(np.argmax([spearman(proxy[used], costs[used]) for proxy in proxies.T]))
    proxy = proxies[:, best]
    test = check_monotonicity(
        proxy[used], costs[used], rng, None if spread is None else spread[used]
    )
    if test.holds:
        error = _error(adapted, costs)
        if np.abs(proxy / costs - 1)[used].max() <= SAME and _error(proxy, costs) <= error:
            return assessment("reuse", proxy)
        calibrated = np.empty(len(costs))
        for probe in range(len(costs)):
            others = used & (np.arange(len(costs)) != probe)
            calibrated[probe] = Calibration(proxy[others], costs[others])(proxy[[probe]])[0]
        if _error(calibrated, costs) <= SIMPLER * error:
            curve = Calibration(proxy[used], costs[used])
            return assessment("calibrate", calibrated)
    return assessment("adapt", adapted, expected)


def _error(predicted: FloatArray, costs: FloatArray) -> float:
    """Mean absolute error, relative to the cost or to that of a cheap design."""
    return float(np.mean(np.abs(predicted - costs) / np.maximum(costs, CHEAP * np.median(costs))))


def _expected(found: Moments, median: float) -> float:
    """The error to be expected from the deviations, as :func:`_error` counts it."""
    cheap = np.minimum(1, found.mean / (CHEAP * median))
    return float((cheap * np.minimum(MEAN_ERROR * found.deviation, WORST)).mean())
